package sessioncatalog

import (
	"context"
	"fmt"

	"github.com/hashicorp/consul/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// sweep reads the catalog and compares it with what this scaler knows: what is missing or
// differs is written again, and what is left of sessions that are not assigned is removed.
// It returns how many entries the catalog has.
func (c *Catalog) sweep(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	c.mu.Lock()
	c.sweepSoon = false // a zone that is taken from now on needs another sweep
	c.mu.Unlock()
	found, _, err := c.health.Service(c.names.Service, "", false, (&api.QueryOptions{}).WithContext(ctx))
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.sweepSoon = true
		return 0, fmt.Errorf("consul: read the instances of service %s: %w", c.names.Service, err)
	}
	listed := make(map[string]bool, len(found))
	for _, f := range found {
		if f.Node.Node != c.names.Node {
			continue // somebody else's
		}
		listed[f.Service.ID] = true
		c.observe(f)
	}
	for id, e := range c.entries {
		if listed[id] {
			continue
		}
		if e.gone {
			c.forget(id)
			continue
		}
		e.written = record{}
		c.compare(id, e)
	}
	return len(listed), nil
}

// observe compares an entry that Consul has with what this scaler knows of its session.
func (c *Catalog) observe(f *api.ServiceEntry) {
	id := f.Service.ID
	e := c.entries[id]
	if e == nil {
		zone := f.Service.Meta[metaZone]
		if zone == "" {
			zone = staging.UnplacedZone
		}
		if !c.inSync || !c.owns(zone) {
			return
		}
		// The scaler knows every session of its zones, so this one is not assigned.
		e = &entry{zone: zone, gone: true}
		c.entries[id] = e
	}
	e.written = recordIn(f)
	c.compare(id, e)
}
