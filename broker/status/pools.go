package status

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

// Pool is a staging config with the numbers of its pool.
type Pool struct {
	staging.Config
	// Current counts the sessions that exist and are unassigned; Ready those of them that are claimable.
	Current, Ready int
	// Revision is that of the sessions that are made now; "" if it is not known.
	Revision string
	// Updated are those of Current and Ready that are of that revision; nil if it is not known.
	Updated *Updated
	// Conditions say why current or ready differs from desired.
	Conditions []staging.Condition
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
	rollouts, err := m.Store.Rollouts(ctx, names...)
	if err != nil {
		return nil, refusal.NoRedis(err)
	}
	resources := m.Registry.Resources()
	pools := make([]Pool, len(configs))
	for i, c := range configs {
		cs := conditions[c.Name]
		slices.SortFunc(cs, func(a, b staging.Condition) int { return cmp.Compare(a.Type, b.Type) })
		pools[i] = Pool{Config: c, Current: current[c.Name], Ready: ready[c.Name], Conditions: cs, Revision: resources.CurrentRevision(c)}
		if r, known := rollouts[c.Name]; known && pools[i].Revision != "" {
			pools[i].Updated = new(Updated)
			pools[i].Updated.Current, pools[i].Updated.Ready = r.Updated(pools[i].Revision, pools[i].Current, pools[i].Ready)
		}
	}
	return pools, nil
}

// byName returns the configs in the order of their names.
func byName(configs map[string]staging.Config) []staging.Config {
	return slices.SortedFunc(maps.Values(configs), func(a, b staging.Config) int { return cmp.Compare(a.Name, b.Name) })
}
