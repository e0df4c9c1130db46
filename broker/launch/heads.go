package launch

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/internal/staging"
)

// headsLife is how long after a launch used a listing its heads may have shells.
const headsLife = 5 * time.Second

// Heads returns the sessions that launches take next of each pool that they serve without
// Redis now, at most the pool's number in most, as Nomad has them. Pools that Redis serves are
// absent.
func (l *Launcher) Heads(ctx context.Context, most map[string]int) map[string][]staging.Session {
	ctx, cancel := context.WithTimeout(ctx, deadline.Nomad)
	defer cancel()
	var mu sync.Mutex
	heads := map[string][]staging.Session{}
	resources := l.Resources.Resources()
	var finds errgroup.Group
	finds.SetLimit(maxFinds)
	for pool, n := range most {
		next, used := l.listings.next(pool, n)
		if !used {
			continue
		}
		mu.Lock()
		heads[pool] = make([]staging.Session, 0, len(next)) // present, also if none is found
		mu.Unlock()
		zone := resources.Zones[resources.Configs[pool].Zone]
		for _, s := range next {
			finds.Go(func() error {
				facts, known := l.listings.facts(pool, s.id)
				if !known {
					var err error
					facts, err = l.Fleet.Find(ctx, staging.Session{ID: s.id, Zone: zone.Name, Namespace: zone.Namespace, Region: zone.Region})
					if err != nil {
						return nil // a launch that takes it sees the error
					}
					l.listings.note(pool, facts)
				}
				mu.Lock()
				defer mu.Unlock()
				if facts.AllocID == s.allocID {
					heads[pool] = append(heads[pool], facts)
				}
				return nil
			})
		}
	}
	_ = finds.Wait() // none returns an error
	return heads
}

// next returns up to n sessions that are taken next off a pool's listing. used is false if no
// launch has used the listing of late.
func (l *listings) next(pool string, n int) (next []listed, used bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.pools[pool]
	if p == nil || time.Since(p.used) > headsLife {
		return nil, false
	}
	return append(next, p.free[:min(n, len(p.free))]...), true
}

// facts returns what Nomad has of a session of a pool's listing, if it was looked up.
func (l *listings) facts(pool, id string) (staging.Session, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.pools[pool]
	if p == nil {
		return staging.Session{}, false
	}
	s, ok := p.facts[id]
	return s, ok
}
