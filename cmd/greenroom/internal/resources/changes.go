package resources

import (
	"maps"
	"slices"
)

// action is what a change does to a resource.
type action string

const (
	actionCreate action = "create"
	actionUpdate action = "update"
	actionDelete action = "delete"
	actionNone   action = "unchanged"
)

// done returns the word for an action that has been done, such as "created".
func (a action) done() string {
	if a == actionNone {
		return string(a)
	}
	return string(a) + "d"
}

// change is what applying does to one resource.
type change struct {
	Kind   string       `json:"kind"`
	Name   string       `json:"name"`
	Action action       `json:"action"`
	Fields []Difference `json:"fields,omitempty"`
	// resource is what to store; nil where nothing is stored.
	resource any
}

// changes returns what brings the broker from there to the set, in an order in which
// references always resolve: a zone is created before, and deleted after, the staging
// configs that name it. Of the kinds in prune, it deletes what is there and not in the set.
func (s Set) changes(there stored, prune []string) []change {
	var all []change
	add := func(kind, name string, resource any) {
		before, after := there[kind][name], asText(resource)
		c := change{Kind: kind, Name: name, Action: actionNone}
		if before != after {
			c.Action, c.resource, c.Fields = actionUpdate, resource, differences(before, after)
			if before == "" {
				c.Action = actionCreate
			}
		}
		all = append(all, c)
	}
	for _, z := range s.Zones {
		add(blockZone, z.Name, z)
	}
	for _, i := range s.Images {
		add(blockImage, i.Name, i)
	}
	for _, g := range s.Groups {
		add(blockGroup, g.Name, g)
	}
	for _, c := range s.Configs {
		add(blockStaging, c.Name, c)
	}
	kept := map[string]bool{}
	for _, c := range all {
		kept[c.Kind+" "+c.Name] = true
	}
	for _, kind := range []string{blockStaging, blockImage, blockGroup, blockZone} {
		if !slices.Contains(prune, kind) {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(there[kind])) {
			if !kept[kind+" "+name] {
				all = append(all, change{Kind: kind, Name: name, Action: actionDelete})
			}
		}
	}
	return all
}

// pending returns the changes without those that change nothing.
func pending(all []change) []change {
	return slices.DeleteFunc(slices.Clone(all), func(c change) bool { return c.Action == actionNone })
}
