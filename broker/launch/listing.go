package launch

import (
	"cmp"
	"context"
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/internal/staging"
)

// While Redis does not answer, or is not trusted, all launches share one listing of each
// pool: the instances that pass their checks in Consul, less the sessions that have a fate or
// whose fate a restore of Consul may have lost.
// A listing is only a choice of what to try. The fate record decides, as always, so that a
// listing of a moment ago costs a retry and nothing else.

const (
	// listingLife is how long a listing is used before it is read again.
	listingLife = 500 * time.Millisecond
	// dryLife is the same for a listing that has too few sessions for a launch.
	dryLife = 50 * time.Millisecond
	// idleListing is how long the listing of a pool that no launch tries is kept.
	idleListing = 5 * time.Minute
)

// listings are the shared listings of all pools.
type listings struct {
	health Health
	fates  Fates
	mu     sync.Mutex
	pools  map[string]*listing
	reads  singleflight.Group
	// seed orders the sessions: brokers that read the same list must not all try the same
	// session, and each has the same order from one reading to the next.
	seed maphash.Seed
}

func newListings(health Health, fates Fates) *listings {
	return &listings{health: health, fates: fates, pools: map[string]*listing{}, seed: maphash.MakeSeed()}
}

// listing is what may be tried of one pool. Its fields are guarded by the mutex of listings.
type listing struct {
	// began is when the last reading began.
	began time.Time
	// used is when a launch last took sessions off it, or wanted to.
	used time.Time
	// free may be tried, in this broker's order.
	free []listed
	// held are with launches under way. spent have been tried since a time, and stay out until a
	// reading that began later shows them.
	held  map[string]bool
	spent map[string]time.Time
	// facts are what Nomad has of sessions that were looked up.
	facts map[string]staging.Session
}

// listed is a session of a listing.
type listed struct{ id, allocID string }

// take takes up to n sessions of a pool off its listing, none of which fits refuses by what
// is known of it. The caller passes each of them to putBack or spend. Fewer than n means that
// a listing no older than this call, or all but so, has no more.
func (l *listings) take(ctx context.Context, pool string, n int, fits func(id string, facts *staging.Session) bool) ([]listed, error) {
	called := time.Now()
	if err := l.refresh(ctx, pool, called.Add(-listingLife)); err != nil {
		return nil, err
	}
	taken, began := l.pick(pool, n, fits)
	if len(taken) == n || !began.Before(called.Add(-dryLife)) {
		return taken, nil
	}
	if err := l.refresh(ctx, pool, called.Add(-dryLife)); err != nil {
		l.putBack(pool, taken...)
		return nil, err
	}
	more, _ := l.pick(pool, n-len(taken), fits)
	return append(taken, more...), nil
}

// count returns how many sessions of a pool may be tried now.
func (l *listings) count(ctx context.Context, pool string) (int, error) {
	if err := l.refresh(ctx, pool, time.Now().Add(-listingLife)); err != nil {
		return 0, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.of(pool).free), nil
}

// pick takes up to n sessions that fit off a pool's listing.
func (l *listings) pick(pool string, n int, fits func(id string, facts *staging.Session) bool) (taken []listed, began time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.of(pool)
	p.used = time.Now()
	rest := p.free[:0]
	for _, s := range p.free {
		var facts *staging.Session
		if known, ok := p.facts[s.id]; ok {
			facts = &known
		}
		if len(taken) == n || !fits(s.id, facts) {
			rest = append(rest, s)
			continue
		}
		p.held[s.id] = true
		taken = append(taken, s)
	}
	p.free = rest
	return taken, p.began
}

// of returns a pool's listing. The caller holds the mutex.
func (l *listings) of(pool string) *listing {
	p := l.pools[pool]
	if p == nil {
		for name, other := range l.pools {
			if len(other.held) == 0 && time.Since(other.began) > idleListing {
				delete(l.pools, name)
			}
		}
		p = &listing{held: map[string]bool{}, spent: map[string]time.Time{}, facts: map[string]staging.Session{}}
		l.pools[pool] = p
	}
	return p
}

// putBack returns sessions that were taken and have no fate.
func (l *listings) putBack(pool string, unused ...listed) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.of(pool)
	for _, s := range unused {
		delete(p.held, s.id)
		p.free = append(p.free, s)
	}
}

// spend keeps sessions that were taken off the listing until a later reading shows them:
// they have a fate now, or do not exist.
func (l *listings) spend(pool string, tried ...listed) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.of(pool)
	for _, s := range tried {
		delete(p.held, s.id)
		p.spent[s.id] = time.Now()
	}
}

// note remembers what Nomad has of a session, so that launches that it does not suit do not
// look it up again.
func (l *listings) note(pool string, s staging.Session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.of(pool).facts[s.ID] = s
}

// expire makes the next launch read the pool's listing again: another broker is taking
// sessions of it.
func (l *listings) expire(pool string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.of(pool).began = time.Time{}
}

// refresh reads a pool's listing unless its last reading began after a time. Callers share a
// reading that is under way. It is not cancelled with ctx, since others wait for it.
func (l *listings) refresh(ctx context.Context, pool string, after time.Time) error {
	for {
		l.mu.Lock()
		current := !l.of(pool).began.Before(after)
		l.mu.Unlock()
		if current {
			return nil
		}
		reading := l.reads.DoChan(pool, func() (any, error) {
			read, cancel := context.WithTimeout(context.WithoutCancel(ctx), deadline.Consul)
			defer cancel()
			return nil, l.read(read, pool)
		})
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case r := <-reading:
			if r.Err != nil {
				return r.Err
			}
		}
	}
}

// read reads a pool's listing.
func (l *listings) read(ctx context.Context, pool string) error {
	began := time.Now()
	found, err := l.health.Passing(ctx, staging.PoolService(pool))
	if err != nil {
		return err
	}
	// Read after the instances, so that it is later than theirs unless Consul was restored.
	generation, err := l.fates.Generation(ctx)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(found, func(h staging.Health) bool { return !h.TakenOver && generation.Shows(h.Generation) }) {
		// No scaler has noted the restore yet. A session without a fate record may be a user's.
		found = nil
	}
	var all []listed
	var ids []string
	for _, h := range found {
		// Without Redis nothing says whose a session is that was taken over, or whose fate
		// record may be lost.
		if h.Passing && h.Session != "" && !h.TakenOver && !generation.LostFates(h.Generation) {
			all = append(all, listed{id: h.Session, allocID: h.AllocID})
			ids = append(ids, h.Session)
		}
	}
	decided, err := l.fates.Decided(ctx, ids)
	if err != nil {
		return err
	}
	slices.SortFunc(all, func(a, b listed) int {
		return cmp.Compare(maphash.String(l.seed, a.id), maphash.String(l.seed, b.id))
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.of(pool).replace(all, decided, began)
	return nil
}

// replace takes in a reading that began at a time.
func (p *listing) replace(all []listed, decided map[string]bool, began time.Time) {
	p.began = began
	for id, at := range p.spent {
		if at.Before(began) {
			delete(p.spent, id)
		}
	}
	facts := make(map[string]staging.Session, len(p.facts))
	free := make([]listed, 0, len(all))
	for _, s := range all {
		if decided[s.id] {
			continue
		}
		if known, ok := p.facts[s.id]; ok {
			facts[s.id] = known
		}
		if _, spent := p.spent[s.id]; !spent && !p.held[s.id] {
			free = append(free, s)
		}
	}
	p.facts, p.free = facts, free
}
