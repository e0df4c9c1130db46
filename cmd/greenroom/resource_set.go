package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/greenroom/greenroom/internal/staging"
)

// resourceSet is resources to store.
type resourceSet struct {
	zones   []staging.Zone
	images  []staging.Image
	groups  []staging.Group
	configs []staging.Config
}

// stored is what the broker has, each resource as its JSON by its name.
type stored struct{ zones, images, groups, configs map[string]string }

// stored reads what the broker has.
func (c *client) stored(ctx context.Context) (stored, error) {
	s := stored{zones: map[string]string{}, images: map[string]string{}, groups: map[string]string{}, configs: map[string]string{}}
	ctx, cancel := brief(ctx)
	defer cancel()
	zones, err := c.ListZonesWithResponse(ctx)
	if err := c.answered(zones, err, http.StatusOK); err != nil {
		return s, err
	}
	for _, z := range zones.JSON200.Items {
		s.zones[z.Name] = asText(z)
	}
	images, err := c.ListImagesWithResponse(ctx)
	if err := c.answered(images, err, http.StatusOK); err != nil {
		return s, err
	}
	for _, i := range images.JSON200.Items {
		s.images[i.Name] = asText(i)
	}
	groups, err := c.ListGroupsWithResponse(ctx)
	if err := c.answered(groups, err, http.StatusOK); err != nil {
		return s, err
	}
	for _, g := range groups.JSON200.Items {
		s.groups[g.Name] = asText(g)
	}
	pools, err := c.pools(ctx)
	if err != nil {
		return s, err
	}
	for _, p := range pools {
		s.configs[p.Name] = asText(staging.Config{
			Name: p.Name, Zone: p.Zone, Image: p.Image, DesiredSessions: p.DesiredSessions, Expiration: p.Expiration,
			Permissions: p.Permissions, MaxUnavailable: p.MaxUnavailable, Schedule: p.Schedule,
		})
	}
	return s, nil
}

// asText writes a resource so that equal ones are equal texts.
func asText(resource any) string {
	b, err := json.Marshal(resource)
	if err != nil {
		panic("greenroom: what came from JSON or HCL always marshals: " + err.Error())
	}
	return string(b)
}

// applied is what became of one resource.
type applied struct {
	Kind   string `json:"kind"`
	Name   string `json:"name"`
	Result string `json:"result"`
}

// The results.
const (
	resultCreated   = "created"
	resultUpdated   = "updated"
	resultUnchanged = "unchanged"
)

func printApplied(out io.Writer) func(applied) {
	return func(a applied) { fmt.Fprintf(out, "%s %q %s\n", a.Kind, a.Name, a.Result) }
}

// put stores the set, leaving alone what is there already, and prints a line
// for each resource.
func (s resourceSet) put(ctx context.Context, c *client, out io.Writer) error {
	there, err := c.stored(ctx)
	if err != nil {
		return err
	}
	return s.apply(ctx, c, there, printApplied(out))
}

// apply stores the set in the order in which its parts name each other, and
// stops at the first that is refused.
func (s resourceSet) apply(ctx context.Context, c *client, there stored, report func(applied)) error {
	for _, z := range s.zones {
		if err := one(ctx, blockZone, z.Name, there.zones[z.Name], z, report, func(ctx context.Context) (int, error) {
			r, err := c.PutZoneWithResponse(ctx, z.Name, z)
			return c.status(r, err)
		}); err != nil {
			return err
		}
	}
	for _, i := range s.images {
		if err := one(ctx, blockImage, i.Name, there.images[i.Name], i, report, func(ctx context.Context) (int, error) {
			r, err := c.PutImageWithResponse(ctx, i.Name, i)
			return c.status(r, err)
		}); err != nil {
			return err
		}
	}
	for _, g := range s.groups {
		if err := one(ctx, blockGroup, g.Name, there.groups[g.Name], g, report, func(ctx context.Context) (int, error) {
			r, err := c.PutGroupWithResponse(ctx, g.Name, g)
			return c.status(r, err)
		}); err != nil {
			return err
		}
	}
	for _, p := range s.configs {
		if err := one(ctx, blockStaging, p.Name, there.configs[p.Name], p, report, func(ctx context.Context) (int, error) {
			r, err := c.PutStagingWithResponse(ctx, p.Name, p)
			return c.status(r, err)
		}); err != nil {
			return err
		}
	}
	return nil
}

// status is a call's status, once it is known to have done what it was to do.
func (c *client) status(r response, err error) (int, error) {
	if err := c.answered(r, err, http.StatusOK, http.StatusCreated); err != nil {
		return 0, err
	}
	return r.StatusCode(), nil
}

// one stores a resource with put, unless it is there as it is.
func one(ctx context.Context, kind, name, there string, resource any, report func(applied), put func(context.Context) (status int, err error)) error {
	a := applied{Kind: kind, Name: name, Result: resultUnchanged}
	if there != asText(resource) {
		ctx, cancel := brief(ctx)
		defer cancel()
		status, err := put(ctx)
		if err != nil {
			return fmt.Errorf("%s %q: %w", kind, name, err)
		}
		a.Result = resultUpdated
		if status == http.StatusCreated {
			a.Result = resultCreated
		}
	}
	report(a)
	return nil
}
