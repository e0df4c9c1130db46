package broker

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// Standing is how something stands.
type Standing string

// The standings.
const (
	// StandingOK: all is as wanted.
	StandingOK Standing = "ok"
	// StandingDegraded: launches are served, and something is in the way of serving them well.
	StandingDegraded Standing = "degraded"
	// StandingUnavailable: no launch is served.
	StandingUnavailable Standing = "unavailable"
)

// Status is one answer to whether all is well.
type Status struct {
	Standing Standing
	// Reasons say why it is not, each in a sentence.
	Reasons      []string
	Dependencies []Dependency
	// Zones are in the order of their names.
	Zones []ZoneStatus
}

// ZoneStatus is how a zone stands.
type ZoneStatus struct {
	Name string
	// Vouched: a scaler is at work here, and what Redis says of the zone is believed.
	Vouched bool
	// Known is false where Redis does not answer: the counts are not known then.
	Known bool
	Pools []PoolStatus
}

// PoolStatus is how a pool stands and what has gone on in it.
type PoolStatus struct {
	Pool
	Activity staging.Activity
}

// told is what was last found, and when.
type told struct {
	mu     sync.Mutex
	at     time.Time
	status Status
}

// Status says whether all is well. It answers whatever does not: with what is known. It
// is found anew once a second at most, however many ask.
func (b *Broker) Status(ctx context.Context) Status {
	b.told.mu.Lock()
	defer b.told.mu.Unlock()
	if time.Since(b.told.at) > askAgain {
		b.told.status, b.told.at = b.look(context.WithoutCancel(ctx)), time.Now()
	}
	return b.told.status
}

func (b *Broker) look(ctx context.Context) Status {
	s := Status{Standing: StandingOK, Dependencies: b.Dependencies(ctx)}
	down := map[string]bool{}
	for _, d := range s.Dependencies {
		if d.Problem == "" {
			continue
		}
		down[d.Name] = true
		standing := StandingUnavailable
		if d.Name == "redis" {
			// Launches go by Consul.
			standing = StandingDegraded
		}
		s.worse(standing, "%s %s", d.Name, d.Problem)
	}
	resources := b.Registry.Resources()
	if !down["consul"] {
		if now, err := b.fresh(ctx); err == nil {
			resources = now
		}
	}
	configs := listed(resources.Configs)
	pools, activity, known := b.poolsNow(ctx, configs, down["redis"])
	zones := map[string]*ZoneStatus{}
	for name := range resources.Zones {
		zones[name] = &ZoneStatus{Name: name, Known: known}
	}
	for i, c := range configs {
		z := zones[c.Zone]
		if z == nil {
			// Its zone is gone, as its conditions say.
			z = &ZoneStatus{Name: c.Zone, Known: known}
			zones[c.Zone] = z
		}
		z.Pools = append(z.Pools, PoolStatus{Pool: pools[i], Activity: activity[c.Name]})
	}
	for _, name := range slices.Sorted(maps.Keys(zones)) {
		z := *zones[name]
		z.Vouched = known && b.vouched(ctx, name)
		s.Zones = append(s.Zones, z)
		s.judge(z)
	}
	return s
}

// poolsNow gives the configs with how their pools stand; known is false where Redis
// does not say.
func (b *Broker) poolsNow(ctx context.Context, configs []staging.Config, away bool) (pools []Pool, activity map[string]staging.Activity, known bool) {
	if !away {
		found, err := b.standing(ctx, configs)
		if err == nil {
			ctx, cancel := context.WithTimeout(ctx, storeTimeout)
			defer cancel()
			if activity, err = b.Store.Activity(ctx, configs); err == nil {
				return found, activity, true
			}
		}
		b.Log.WithError(err).Warn("cannot read from Redis how the pools stand")
	}
	for _, c := range configs {
		pools = append(pools, Pool{Config: c})
	}
	return pools, nil, false
}

func (b *Broker) vouched(ctx context.Context, zone string) bool {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	ok, err := b.Store.Trusted(ctx, zone)
	return err == nil && ok
}

// worse notes a reason why not all is well.
func (s *Status) worse(standing Standing, format string, args ...any) {
	if s.Standing != StandingUnavailable {
		s.Standing = standing
	}
	s.Reasons = append(s.Reasons, fmt.Sprintf(format, args...))
}

// judge notes what is not well in a zone.
func (s *Status) judge(z ZoneStatus) {
	if len(z.Pools) > 0 && z.Known && !z.Vouched {
		s.worse(StandingDegraded, "no scaler is at work in zone %s: its pools are not kept, and launches there go by Consul", z.Name)
	}
	for _, p := range z.Pools {
		for _, c := range p.Conditions {
			s.worse(StandingDegraded, "staging config %s: %s: %s", p.Name, c.Type, c.Message)
		}
		if z.Known && len(p.Conditions) == 0 && p.DesiredSessions > 0 && p.Ready == 0 {
			s.worse(StandingDegraded, "staging config %s: none of %d sessions is ready yet", p.Name, p.DesiredSessions)
		}
	}
}
