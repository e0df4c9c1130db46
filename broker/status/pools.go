package status

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
	"github.com/greenroom/greenroom/scaler/sizing"
)

// Pool is a staging config with the numbers of its pool.
type Pool struct {
	staging.Config
	// Wanted is how many ready sessions are wanted now; Config.DesiredSessions is only the
	// config's own number.
	Wanted staging.Wanted
	// Current counts the sessions that exist and are unassigned; Ready those of them that are claimable.
	Current, Ready int
	// Revision is that of the sessions that are made now; "" if it is not known.
	Revision string
	// Updated are those of Current and Ready that are of that revision; nil if it is not known.
	Updated *Updated
	// Pause covers the pool, Recycle is the order to replace its sessions, and LastFailure is
	// its session that failed last; each is nil for none.
	Pause       *staging.Pause
	Recycle     *staging.Recycle
	LastFailure *staging.PoolFailure
	// Kept are the ids of its failed sessions whose jobs are kept in Nomad.
	Kept []string
	// Conditions say why current or ready differs from desired.
	Conditions []staging.Condition
	// Fill is how full the pool is; "" where that is not known. Lack says what a degraded pool
	// lacks, and Usual is how long its sessions usually take to be ready; 0 for not known.
	Fill  staging.Fill
	Lack  string
	Usual time.Duration
	// Demand is what the pool's demand asks for; nil for a pool without sizing, and while no
	// scaler has sized it.
	Demand *staging.DemandSize
}

// Updated is how many of a pool's sessions are of its current revision.
type Updated struct{ Current, Ready int }

// Pools returns the configs with the numbers and conditions of their pools, in the order
// of the configs. An error is a *refusal.Error.
func (m *Monitor) Pools(ctx context.Context, configs []staging.Config) ([]Pool, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline.Redis)
	defer cancel()
	names := make([]string, len(configs))
	for i, c := range configs {
		names[i] = c.Name
	}
	current, ready, err := m.Store.Counts(ctx, names...)
	if err != nil {
		return nil, refusal.NoRedis(err)
	}
	conditions, err := m.Store.Conditions(ctx, names...)
	if err != nil {
		return nil, refusal.NoRedis(err)
	}
	usual, err := m.Store.Usual(ctx)
	if err != nil {
		return nil, refusal.NoRedis(err)
	}
	rollouts, err := m.Store.Rollouts(ctx, names...)
	if err != nil {
		return nil, refusal.NoRedis(err)
	}
	failures, err := m.Store.Failures(ctx)
	if err != nil {
		return nil, refusal.NoRedis(err)
	}
	kept, err := m.Store.Kept(ctx)
	if err != nil {
		return nil, refusal.NoRedis(err)
	}
	sizes, err := m.Histories.DemandSizes(ctx)
	if err != nil {
		return nil, refusal.NoRedis(err)
	}
	resources := m.Registry.Resources()
	pools, now := make([]Pool, len(configs)), time.Now()
	for i, c := range configs {
		cs := withPause(conditions[c.Name], c, resources)
		slices.SortFunc(cs, func(a, b staging.Condition) int { return cmp.Compare(a.Type, b.Type) })
		pools[i] = Pool{
			Config: c, Wanted: sizing.Wanted(c, sizes[c.Name], now), Current: current[c.Name], Ready: ready[c.Name], Conditions: cs, Usual: usual[c.Name],
			Revision: resources.CurrentRevision(c),
		}
		if pause, paused := resources.PauseOf(c); paused {
			pools[i].Pause = &pause
		}
		pools[i].Recycle = resources.Orders[c.Name].Recycle
		pools[i].LastFailure, pools[i].Kept = failures[c.Name], kept[c.Name]
		if c.Sizing != nil {
			pools[i].Demand = sizes[c.Name]
		}
		if r, known := rollouts[c.Name]; known && pools[i].Revision != "" {
			pools[i].Updated = new(Updated)
			pools[i].Updated.Current, pools[i].Updated.Ready = r.Updated(pools[i].Revision, pools[i].Current, pools[i].Ready)
		}
	}
	return pools, m.fill(ctx, pools, now)
}

// withPause returns a pool's conditions with its pause as Consul has it now: a scaler reports it a
// moment later, or not at all while none is at work.
func withPause(cs []staging.Condition, c staging.Config, resources staging.Resources) []staging.Condition {
	isPaused := func(c staging.Condition) bool { return c.Type == staging.Paused }
	pause, paused := resources.PauseOf(c)
	if !paused {
		return slices.DeleteFunc(slices.Clone(cs), isPaused)
	}
	return append(slices.DeleteFunc(slices.Clone(cs), isPaused), pause.Condition())
}

// fill sets how full each pool is. Only of pools that lack sessions more is read.
func (m *Monitor) fill(ctx context.Context, pools []Pool, now time.Time) error {
	var lacking []string
	for _, p := range pools {
		if p.Ready < p.Wanted.Sessions {
			lacking = append(lacking, p.Name)
		}
	}
	oldest, err := m.Store.Oldest(ctx, lacking...)
	if err != nil {
		return refusal.NoRedis(err)
	}
	kept := map[string]bool{}
	for i := range pools {
		p := &pools[i]
		s := staging.PoolStatus{
			Zone: p.Zone, Image: p.Image, Desired: p.Wanted.Sessions, Current: p.Current, Ready: p.Ready,
			Oldest: oldest[p.Name], Usual: p.Usual, Conditions: p.Conditions,
		}
		if p.Ready < p.Wanted.Sessions {
			if _, known := kept[p.Zone]; !known {
				if kept[p.Zone], err = m.Store.Trusted(ctx, p.Zone); err != nil {
					return refusal.NoRedis(err)
				}
			}
			s.Unkept = !kept[p.Zone]
		}
		p.Fill, p.Lack = s.Fill(now), s.Lack(now)
	}
	return nil
}

// byName returns the configs in the order of their names.
func byName(configs map[string]staging.Config) []staging.Config {
	return slices.SortedFunc(maps.Values(configs), func(a, b staging.Config) int { return cmp.Compare(a.Name, b.Name) })
}
