package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/internal/staging"
)

// resourceSet is resources to store.
type resourceSet struct {
	zones   []staging.Zone
	images  []staging.Image
	groups  []staging.Group
	configs []staging.Config
}

// stored is what the broker has: of each kind, each resource as its JSON by its name.
type stored map[string]map[string]string

// stored reads what the broker has.
func (c *client) stored(ctx context.Context) (stored, error) {
	s := stored{blockZone: {}, blockImage: {}, blockGroup: {}, blockStaging: {}}
	zones, err := c.listZones(ctx)
	if err != nil {
		return s, err
	}
	for _, z := range zones.items {
		s[blockZone][z.Name] = asText(z)
	}
	images, err := c.listImages(ctx)
	if err != nil {
		return s, err
	}
	for _, i := range images.items {
		s[blockImage][i.Name] = asText(i)
	}
	groups, err := c.listGroups(ctx)
	if err != nil {
		return s, err
	}
	for _, g := range groups.items {
		s[blockGroup][g.Name] = asText(g)
	}
	pools, err := c.pools(ctx)
	if err != nil {
		return s, err
	}
	for _, p := range pools {
		s[blockStaging][p.Name] = asText(configOf(p))
	}
	return s, nil
}

// configOf is the config of a pool, without how the pool stands.
func configOf(p httpapi.StagingPool) staging.Config {
	return staging.Config{
		Name: p.Name, Zone: p.Zone, Image: p.Image, DesiredSessions: p.DesiredSessions, Expiration: p.Expiration,
		Permissions: p.Permissions, MaxUnavailable: p.MaxUnavailable, Schedule: p.Schedule,
	}
}

// asText writes a resource so that equal ones are equal texts.
func asText(resource any) string {
	b, err := json.Marshal(resource)
	if err != nil {
		panic("greenroom: what came from JSON or HCL always marshals: " + err.Error())
	}
	return string(b)
}

// action is what a change does to a resource.
type action string

const (
	actionCreate action = "create"
	actionUpdate action = "update"
	actionDelete action = "delete"
	actionNone   action = "unchanged"
)

// done is how an action is called once it was done.
func (a action) done() string {
	if a == actionNone {
		return string(a)
	}
	return string(a) + "d"
}

// change is what is to become of one resource.
type change struct {
	Kind   string       `json:"kind"`
	Name   string       `json:"name"`
	Action action       `json:"action"`
	Fields []difference `json:"fields,omitempty"`
	// resource is what to store; nil where nothing is.
	resource any
}

// changes are what bring the broker from what it has to the set, in the order in
// which they can be done: what others name comes before them, and goes after them.
// With prune, what is there and not in the set is deleted, of the kinds given.
func (s resourceSet) changes(there stored, prune []string) []change {
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
	for _, z := range s.zones {
		add(blockZone, z.Name, z)
	}
	for _, i := range s.images {
		add(blockImage, i.Name, i)
	}
	for _, g := range s.groups {
		add(blockGroup, g.Name, g)
	}
	for _, c := range s.configs {
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

// pending are the changes that do something.
func pending(all []change) []change {
	return slices.DeleteFunc(slices.Clone(all), func(c change) bool { return c.Action == actionNone })
}

// do makes a change.
func (c *client) do(ctx context.Context, ch change) error {
	ctx, cancel := brief(ctx)
	defer cancel()
	if ch.Action == actionDelete {
		return c.remove(ctx, ch.Kind, ch.Name)
	}
	var (
		r   response
		err error
	)
	switch v := ch.resource.(type) {
	case nil:
		return nil
	case staging.Zone:
		r, err = c.PutZoneWithResponse(ctx, v.Name, v)
	case staging.Image:
		r, err = c.PutImageWithResponse(ctx, v.Name, v)
	case staging.Group:
		r, err = c.PutGroupWithResponse(ctx, v.Name, v)
	case staging.Config:
		r, err = c.PutStagingWithResponse(ctx, v.Name, v)
	default:
		return fmt.Errorf("nothing stores a %T", v)
	}
	return c.answered(r, err, http.StatusOK, http.StatusCreated)
}

// remove deletes a resource. That it is gone already is no error.
func (c *client) remove(ctx context.Context, kind, name string) error {
	var (
		r   response
		err error
	)
	switch kind {
	case blockZone:
		r, err = c.DeleteZoneWithResponse(ctx, name)
	case blockImage:
		r, err = c.DeleteImageWithResponse(ctx, name)
	case blockGroup:
		r, err = c.DeleteGroupWithResponse(ctx, name)
	default:
		r, err = c.DeleteStagingWithResponse(ctx, name)
	}
	if err == nil && r.StatusCode() == http.StatusNotFound {
		return nil
	}
	return c.answered(r, err, http.StatusNoContent)
}

// apply makes the changes in their order and stops at the first that fails, with
// an error that says which were not made.
func (c *client) apply(ctx context.Context, all []change, made func(change)) error {
	for i, ch := range all {
		if err := c.do(ctx, ch); err != nil {
			return &unfinishedError{
				cause: fmt.Errorf("%s %q: %w", ch.Kind, ch.Name, err),
				made:  len(pending(all[:i])), left: pending(all[i:]),
			}
		}
		made(ch)
	}
	return nil
}
