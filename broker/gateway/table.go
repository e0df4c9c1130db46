package gateway

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

// How long what was read is used.
const (
	// confirmEvery is how old the reading of a session in use may be, confirmBlind the same while
	// no events come. A reading that fails changes nothing.
	confirmEvery, confirmBlind = time.Minute, 10 * time.Second
	// absentLife is how long a session that was not found, or is over, is not read again.
	absentLife = 2 * time.Second
	// idleRoute is how long a session without use is kept in memory.
	idleRoute = 10 * time.Minute
	// readTimeout bounds a reading, which may ask Redis, Consul and Nomad in turn.
	readTimeout = 15 * time.Second
)

// maxAbsent bounds the sessions that are remembered as absent.
const maxAbsent = 4096

// Reader reads sessions.
type Reader interface {
	// Assigned reads a session that is expected to be a user's. Errors are a *refusal.Error.
	Assigned(ctx context.Context, id string) (staging.Session, error)
}

// table is the sessions that the gateway knows. It may be used concurrently.
type table struct {
	reader Reader
	most   int
	reads  singleflight.Group

	mu     sync.Mutex
	routes map[string]*route
	absent map[string]absence
}

// absence is why a session was not found.
type absence struct {
	err error
	at  time.Time
}

func newTable(reader Reader, most int) *table {
	return &table{reader: reader, most: most, routes: map[string]*route{}, absent: map[string]absence{}}
}

var (
	errOver = errors.New("this session has ended")
	// errNotUp: the session is its user's and has no address yet.
	errNotUp = errors.New("this session is still starting")
	// errClaim: the session is another claim's than the seal says.
	errClaim = errors.New("this session is another user's")
)

// route returns the route to a session, if it is the user's of a claim. A known one is answered
// from memory.
func (t *table) route(ctx context.Context, id, claim string) (*route, error) {
	t.mu.Lock()
	known, gone := t.routes[id], t.absent[id]
	t.mu.Unlock()
	if known == nil && gone.err != nil && time.Since(gone.at) < absentLife {
		return nil, gone.err
	}
	if known == nil || known.suspect.Load() {
		var err error
		if known, err = t.read(ctx, id); err != nil {
			return nil, err
		}
	}
	if known.claim != claim {
		return nil, errClaim
	}
	return known, nil
}

// errUnread: the session could not be read. What was known of it stands.
var errUnread = errors.New("the session cannot be read")

// read reads a session and updates its route.
func (t *table) read(ctx context.Context, id string) (*route, error) {
	reading := t.reads.DoChan(id, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readTimeout)
		defer cancel()
		found, err := t.reader.Assigned(ctx, id)
		return t.update(id, found, err)
	})
	select {
	case <-ctx.Done():
		return nil, errors.Join(errUnread, context.Cause(ctx))
	case done := <-reading:
		r, _ := done.Val.(*route)
		return r, done.Err
	}
}

// update takes in a reading of a session.
func (t *table) update(id string, s staging.Session, err error) (*route, error) {
	now := time.Now()
	no, refused := errors.AsType[*refusal.Error](err)
	t.mu.Lock()
	defer t.mu.Unlock()
	known := t.routes[id]
	switch {
	case err != nil && !(refused && no.Kind == refusal.NotFound):
		if known != nil {
			known.checked(now)
		}
		return nil, errors.Join(errUnread, err)
	case err != nil || s.State.Over():
		t.endLocked(id)
		t.missLocked(id, absence{errOver, now})
		return nil, errOver
	case !usable(s):
		if known != nil && s.State == staging.Quarantined {
			// No readable record says whose it is, so nothing is taken from anybody.
			known.checked(now)
			return known, nil
		}
		if known != nil {
			known.checked(now)
		} else {
			t.missLocked(id, absence{errNotUp, now})
		}
		return nil, errNotUp
	case known != nil && known.sameAs(s):
		known.read(s, now)
		return known, nil
	}
	t.endLocked(id)
	fresh := newRoute(s, now)
	if len(t.routes) >= t.most {
		t.evictLocked(now)
	}
	t.routes[id] = fresh
	delete(t.absent, id)
	return fresh, nil
}

func (t *table) missLocked(id string, a absence) {
	if len(t.absent) >= maxAbsent {
		clear(t.absent)
	}
	t.absent[id] = a
}

// over ends the route to a session that is over.
func (t *table) over(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.routes[id] != nil {
		t.endLocked(id)
		t.missLocked(id, absence{errOver, time.Now()})
	}
}

func (t *table) endLocked(id string) {
	if known := t.routes[id]; known != nil {
		known.end(errSessionOver)
		delete(t.routes, id)
	}
}

// evictLocked drops routes that nothing is open to: those that have not been used for a while,
// and if all have, some others. They are read again at their next use.
func (t *table) evictLocked(now time.Time) {
	t.dropUnusedLocked(now)
	for id, r := range t.routes {
		if len(t.routes) < t.most {
			return
		}
		if r.open.Load() == 0 {
			delete(t.routes, id)
		}
	}
}

// dropUnusedLocked drops the routes that have not been used for a while.
func (t *table) dropUnusedLocked(now time.Time) {
	for id, r := range t.routes {
		if r.unusedFor(idleRoute, now) {
			delete(t.routes, id)
		}
	}
}

// has reports whether a route is still that of its session. What is open to one that is not would
// not be closed when the session ends.
func (t *table) has(id string, r *route) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.routes[id] == r
}

// happened notes that something has happened to a session, or, with "", may have to any.
func (t *table) happened(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if id != "" {
		if r := t.routes[id]; r != nil {
			r.stale.Store(true)
		}
		return
	}
	for _, r := range t.routes {
		r.stale.Store(true)
	}
}

// size returns how many sessions the table has.
func (t *table) size() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.routes)
}

// due returns the sessions to read again: those to which something has happened, and those whose
// reading has an age. It drops the unused ones.
func (t *table) due(age time.Duration) []string {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dropUnusedLocked(now)
	var ids []string
	for id, r := range t.routes {
		if r.stale.Load() || now.Sub(time.Unix(0, r.checkedAt.Load())) > age {
			ids = append(ids, id)
		}
	}
	return ids
}
