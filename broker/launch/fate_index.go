package launch

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/internal/staging"
)

// While Redis does not answer, a user's sessions are found by their fates. There is one
// record for every session that is or was lately somebody's, so all launches share one
// reading of them.

const (
	// fatesLife is how long a reading of all fates is used, at least; readShare bounds the part
	// of the time that is spent on reading, where they are many.
	fatesLife = time.Second
	readShare = 10
	// fatesTimeout bounds a reading of all fates. A caller waits for it no longer than its own
	// deadline; the next one finds it done.
	fatesTimeout = 2 * deadline.Consul
	// idleFates is how long a reading that no launch uses is kept in memory.
	idleFates = time.Minute
)

// fateIndex holds, by user, the fates that assign a session.
type fateIndex struct {
	fates Fates
	reads singleflight.Group

	mu sync.Mutex
	// began is when the reading began; life is how long it is used.
	began time.Time
	life  time.Duration
	users map[string][]staging.Fate
	// since are the fates that this broker's launches had decided since the reading began.
	since []decidedFate
	idle  *time.Timer
}

// decidedFate is a fate with the time, by this broker's clock, at which Consul had it.
type decidedFate struct {
	staging.Fate
	at time.Time
}

// of returns the fates that assign a session to a user and that stand, in the order of the
// sessions' creation, which is that of their ids. Those of other brokers' launches may be
// missing for as long as a reading is used.
func (x *fateIndex) of(ctx context.Context, userID string) ([]staging.Fate, error) {
	x.mu.Lock()
	current := x.users != nil && time.Since(x.began) <= x.life
	x.mu.Unlock()
	if !current {
		reading := x.reads.DoChan("", func() (any, error) { return nil, x.read(context.WithoutCancel(ctx)) })
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case r := <-reading:
			if r.Err != nil {
				return nil, r.Err
			}
		}
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	own := map[string]staging.Fate{}
	for _, f := range x.users[userID] {
		own[f.Session] = f
	}
	for _, f := range x.since {
		if f.User.ID == userID {
			own[f.Session] = f.Fate
		}
	}
	return slices.SortedFunc(maps.Values(own), func(a, b staging.Fate) int { return strings.Compare(a.Session, b.Session) }), nil
}

// read reads all fates.
func (x *fateIndex) read(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, fatesTimeout)
	defer cancel()
	began := time.Now()
	all, err := x.fates.Fates(ctx)
	if err != nil {
		return err
	}
	users := map[string][]staging.Fate{}
	for id, f := range all {
		if f.Session = id; f.Verdict == staging.VerdictAssigned && f.Reason == "" && f.User != nil {
			users[f.User.ID] = append(users[f.User.ID], f)
		}
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.since = slices.DeleteFunc(x.since, func(f decidedFate) bool { return f.at.Before(began) })
	x.users, x.began, x.life = users, began, max(fatesLife, readShare*time.Since(began))
	if x.idle == nil {
		x.idle = time.AfterFunc(idleFates, x.drop)
	}
	x.idle.Reset(idleFates + x.life)
	return nil
}

// drop frees the memory of a reading.
func (x *fateIndex) drop() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.users, x.since = nil, nil
}

// add adds the fates of a launch that was decided without Redis, so that its user's next
// launch counts them.
func (x *fateIndex) add(fates []staging.Fate) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.users == nil {
		return // the next reading has them
	}
	for _, f := range fates {
		x.since = append(x.since, decidedFate{f, time.Now()})
	}
}
