package scaler

import (
	"context"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// ensureHealthWatches starts and stops watches, so that the service of every pool, and of
// every zone's on-demand sessions, is watched in the zones whose locks this scaler holds.
// Elsewhere another scaler watches them: each watch is a connection to Consul.
func (s *Scaler) ensureHealthWatches(ctx context.Context, v *view) {
	for name, p := range v.pools {
		switch held := v.holds(p.config.Zone); {
		case held && p.stopWatch == nil:
			p.stopWatch = s.startHealthWatch(ctx, staging.PoolService(name), func(v *view) *pool { return v.pools[name] })
		case !held && p.stopWatch != nil:
			p.stopWatch()
			p.stopWatch, p.healthKnown = nil, false
		}
	}
	for name, p := range v.onDemand {
		if v.holds(name) && (v.resources.HasZone(name) || v.hasOnDemandSession(name)) {
			continue
		}
		p.stopWatch()
		delete(v.onDemand, name)
	}
	for _, name := range v.resources.ZoneNames() {
		s.ensureZoneWatch(ctx, v, name)
	}
	for name := range v.onDemandZones {
		if !v.resources.HasZone(name) && !v.hasOnDemandSession(name) {
			delete(v.onDemandZones, name)
			continue
		}
		s.ensureZoneWatch(ctx, v, name)
	}
}

// holds reports whether this scaler acts in a zone, or is about to.
func (v *view) holds(zone string) bool { return !v.heldSince[zone].IsZero() }

// ensureZoneWatch starts the watch of a zone's on-demand sessions, unless it runs or
// another scaler acts there.
func (s *Scaler) ensureZoneWatch(ctx context.Context, v *view, name string) {
	if v.onDemand[name] != nil || !v.holds(name) {
		return
	}
	p := &pool{health: map[string]staging.Health{}}
	v.onDemand[name] = p
	p.stopWatch = s.startHealthWatch(ctx, staging.OnDemandService(name), func(v *view) *pool { return v.onDemand[name] })
}

// hasOnDemandSession reports whether an on-demand session is in a zone.
func (v *view) hasOnDemandSession(zone string) bool {
	for _, e := range v.sessions {
		if e.s.Origin == staging.OnDemand && e.s.Zone == zone {
			return true
		}
	}
	return false
}

// startHealthWatch follows a service's health checks until stop is called. find returns
// the pool that they belong to, or nil.
func (s *Scaler) startHealthWatch(ctx context.Context, service string, find func(*view) *pool) (stop func()) {
	ctx, stop = context.WithCancel(ctx)
	lost := func(v *view) {
		if p := find(v); p != nil {
			p.healthKnown = false
		}
	}
	s.wg.Go(func() {
		s.retry(ctx, "consul health of "+service, lost, func() error {
			return s.Health.Watch(ctx, service, func(found []staging.Health) {
				s.post(ctx, func(v *view) {
					if p := find(v); p != nil && ctx.Err() == nil {
						v.setHealth(p, found, time.Now())
					}
				})
			})
		})
	})
	return stop
}
