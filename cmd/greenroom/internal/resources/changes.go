package resources

import (
	"maps"
	"slices"

	"github.com/greenroom/greenroom/internal/staging"
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

// changeOf returns what storing a resource changes; before is the stored one as JSON, "" for
// none. What the resource hides is that of the stored one. Values that may be secrets are in
// the fields only with secrets: plans are often kept in logs.
func changeOf[T staging.Confidential[T]](kind, name, before string, resource T, secrets bool) change {
	c := change{Kind: kind, Name: name, Action: actionNone}
	was := asResource[T](before)
	// The broker refuses what hides a value that is not stored, and names the field.
	whole, _ := staging.KeepHidden(name, resource, was)
	after := asText(whole)
	if before == after {
		return c
	}
	c.Action, c.resource = actionUpdate, resource
	if before == "" {
		c.Action = actionCreate
	}
	if !secrets {
		// Through JSON, so that both sides have the same types in a run config.
		was, is := staging.RedactedChange(was, asResource[T](after))
		before, after = redactedText(was), redactedText(is)
	}
	c.Fields = differences(before, after)
	return c
}

func redactedText[T any](v *T) string {
	if v == nil {
		return ""
	}
	return asText(*v)
}

// changes returns what brings the broker from there to the set, in an order in which
// references always resolve: what is named is created before, and deleted after, what names
// it. Of the kinds in prune, it deletes what is there and not in the set. With secrets, it
// shows them.
func (s Set) changes(there stored, prune []string, secrets bool) []change {
	var all []change
	// A group that is the default no more makes way for the one that becomes it.
	for _, g := range slices.SortedStableFunc(slices.Values(s.Groups), func(a, b staging.Group) int { return defaultLast(a) - defaultLast(b) }) {
		all = append(all, changeOf(blockGroup, g.Name, there[blockGroup][g.Name], g, secrets))
	}
	for _, z := range s.Zones {
		all = append(all, changeOf(blockZone, z.Name, there[blockZone][z.Name], z, secrets))
	}
	for _, i := range s.Images {
		all = append(all, changeOf(blockImage, i.Name, there[blockImage][i.Name], i, secrets))
	}
	for _, c := range s.Configs {
		all = append(all, changeOf(blockStaging, c.Name, there[blockStaging][c.Name], c, secrets))
	}
	for _, w := range s.Webhooks {
		all = append(all, webhookChange(there[blockWebhook][w.Name], w, secrets))
	}
	kept := map[string]bool{}
	for _, c := range all {
		kept[c.Kind+" "+c.Name] = true
	}
	for _, kind := range []string{blockWebhook, blockStaging, blockImage, blockZone, blockGroup} {
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

func defaultLast(g staging.Group) int {
	if g.Default {
		return 1
	}
	return 0
}

// pending returns the changes without those that change nothing.
func pending(all []change) []change {
	return slices.DeleteFunc(slices.Clone(all), func(c change) bool { return c.Action == actionNone })
}
