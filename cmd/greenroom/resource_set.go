package main

import (
	"context"
	"encoding/json"

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

// storedBy reads what the broker has.
func storedBy(ctx context.Context, c *client) (stored, error) {
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
