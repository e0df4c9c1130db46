package quota

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// Ledger is the record of reservations, and the fates, in Consul.
type Ledger interface {
	Reservations(ctx context.Context) (staging.Reservations, error)
	// StoreReservations stores the record unless its version has changed.
	StoreReservations(ctx context.Context, all staging.Reservations) (stored bool, err error)
	// Fates reads all of them, by session: whose each session is.
	Fates(ctx context.Context) (map[string]staging.Fate, error)
}

// Fleet is Nomad.
type Fleet interface {
	// Running lists the sessions that run or may.
	Running(ctx context.Context) ([]staging.SessionUse, error)
}

// passTimeout bounds one pass, which makes a few calls, and makes them again while others
// change the record.
const passTimeout = 10 * time.Second

// Quota reserves places under limits of sessions. It may be used concurrently.
type Quota struct {
	ledger Ledger
	fleet  Fleet

	mu sync.Mutex
	// waiting are the calls for the next pass; passing: one is under way.
	waiting []*call
	passing bool
	// seen is since when this process has seen each reservation that is held.
	seen map[made]time.Time
}

// made identifies a reservation: one that its holder renewed is another.
type made struct {
	holder string
	at     time.Time
}

// call is one caller's wish: to reserve, or to release a holder's places.
type call struct {
	reserve staging.Reservation
	limits  []staging.SessionLimit
	release string

	// turn is true when the call was carried out, false when it is its turn to lead a pass.
	turn    chan bool
	reached *staging.LimitReached
	err     error
}

// New returns the quota that all processes with the same ledger share.
func New(l Ledger, f Fleet) *Quota {
	return &Quota{ledger: l, fleet: f, seen: map[made]time.Time{}}
}

// Reserve reserves a place under limits, or returns the first that would be exceeded. The
// caller makes the sessions within staging.ReservationUse, or not at all, and releases the
// place once they can be read. Without limits nothing is reserved.
//
// A holder that reserves again renews its place.
//
// After an error it is not known whether a place is held. staging.ErrUncounted: Nomad did not
// say what exists; else it is Consul's.
func (q *Quota) Reserve(ctx context.Context, r staging.Reservation, limits []staging.SessionLimit) (*staging.LimitReached, error) {
	if len(limits) == 0 {
		return nil, nil
	}
	r.At = time.Now().UTC()
	c := &call{reserve: r, limits: limits}
	q.do(ctx, c)
	return c.reached, c.err
}

// Release gives back the places of a holder; those that it does not have cost nothing.
func (q *Quota) Release(ctx context.Context, holder string) error {
	c := &call{release: holder}
	q.do(ctx, c)
	return c.err
}

// do has a call carried out: at once, or with all that wait in the next pass. No goroutine
// runs for it: one of the waiting callers leads the pass.
func (q *Quota) do(ctx context.Context, c *call) {
	if !q.enter(c) {
		q.await(ctx, c)
	}
}

// enter leads a pass at once unless one is under way. It reports whether the call is done.
func (q *Quota) enter(c *call) bool {
	q.mu.Lock()
	if q.passing {
		c.turn = make(chan bool, 1)
		q.waiting = append(q.waiting, c)
		q.mu.Unlock()
		return false
	}
	q.passing = true
	q.mu.Unlock()
	q.lead(c)
	return true
}

// await waits until the call was carried out, or leads a pass when it is its turn. Where ctx
// is done before its pass began, nothing was done. A pass that has begun is waited for: its
// outcome must be known.
func (q *Quota) await(ctx context.Context, c *call) {
	select {
	case done := <-c.turn:
		if !done {
			q.lead(c)
		}
		return
	case <-ctx.Done():
	}
	q.mu.Lock()
	i := slices.Index(q.waiting, c)
	if i >= 0 {
		q.waiting = slices.Delete(q.waiting, i, i+1)
	}
	q.mu.Unlock()
	if i >= 0 {
		c.err = fmt.Errorf("wait to reserve a session: %w", context.Cause(ctx))
		return
	}
	if !<-c.turn {
		q.lead(c)
	}
}

// lead carries out a call, with all that wait, and passes the turn on.
func (q *Quota) lead(c *call) {
	q.mu.Lock()
	calls := append([]*call{c}, q.waiting...)
	q.waiting = nil
	q.mu.Unlock()
	q.pass(calls)
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, other := range calls[1:] {
		other.turn <- true
	}
	if len(q.waiting) == 0 {
		q.passing = false
		return
	}
	next := q.waiting[0]
	q.waiting = q.waiting[1:]
	next.turn <- false
}

// pass carries out calls in one change of the record.
func (q *Quota) pass(calls []*call) {
	// Not under a caller's context: the others' calls are in it, too.
	ctx, cancel := context.WithTimeout(context.Background(), passTimeout)
	defer cancel()
	for {
		stored, err := q.try(ctx, calls)
		if err != nil {
			for _, c := range calls {
				c.reached, c.err = nil, err
			}
		}
		if stored || err != nil {
			return
		}
	}
}

// try is one try of a pass. It reports false where another process has changed the record
// meanwhile, and nothing was done.
func (q *Quota) try(ctx context.Context, calls []*call) (stored bool, err error) {
	all, err := q.ledger.Reservations(ctx)
	if err != nil {
		return false, err
	}
	before := len(all.Held)
	all.Held = q.dropStrays(all.Held, time.Now())
	for _, c := range calls {
		if c.release != "" {
			all.Held = without(all.Held, c.release)
		}
	}
	changed := len(all.Held) != before
	var reserving []*call
	for _, c := range calls {
		if c.release == "" {
			reserving = append(reserving, c)
		}
	}
	if len(reserving) > 0 {
		held, err := q.grant(ctx, reserving, all.Held)
		if err != nil {
			return false, err
		}
		changed = changed || !slices.Equal(held, all.Held)
		all.Held = held
	}
	if !changed {
		return true, nil
	}
	return q.ledger.StoreReservations(ctx, all)
}

// grant adds the places of the calls whose limits allow them to those that are held. What
// exists is read here, after the record.
//
// Where only limits of users are asked for, the fates that assign a session to them are no fewer
// than their sessions: Nomad is asked only where those would be too many.
func (q *Quota) grant(ctx context.Context, calls []*call, held []staging.Reservation) ([]staging.Reservation, error) {
	ofUser := func(c *call) bool { return slices.ContainsFunc(c.limits, staging.SessionLimit.OfUser) }
	notOfUser := func(l staging.SessionLimit) bool { return !l.OfUser() }
	var fates map[string]staging.Fate
	if slices.ContainsFunc(calls, ofUser) {
		var err error
		if fates, err = q.ledger.Fates(ctx); err != nil {
			return nil, err
		}
	}
	if !slices.ContainsFunc(calls, func(c *call) bool { return slices.ContainsFunc(c.limits, notOfUser) }) {
		atMost := func(c *call) []staging.SessionUse { return assignedTo(fates, c.reserve.UserID, c.reserve.Image) }
		if granted, all := reserveEach(calls, held, atMost); all {
			return granted, nil
		}
	}
	running, err := q.fleet.Running(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", staging.ErrUncounted, err)
	}
	for i, u := range running {
		if f, ok := fates[u.Session]; ok && assigns(f) {
			running[i].UserID, running[i].Claim = f.User.ID, f.Claim
		}
	}
	granted, _ := reserveEach(calls, held, func(*call) []staging.SessionUse { return running })
	return granted, nil
}

// reserveEach adds the places of the calls that reach no limit, in their order, and reports
// whether that are all.
func reserveEach(calls []*call, held []staging.Reservation, existing func(*call) []staging.SessionUse) (granted []staging.Reservation, all bool) {
	granted, all = slices.Clone(held), true
	for _, c := range calls {
		if c.reached = staging.Reached(c.limits, c.reserve, existing(c), granted); c.reached != nil {
			all = false
			continue
		}
		granted = append(without(granted, c.reserve.Holder), c.reserve)
	}
	return granted, all
}

// assigns reports whether a fate assigns its session to a user.
func assigns(f staging.Fate) bool {
	return f.Verdict == staging.VerdictAssigned && f.Reason == "" && f.User != nil
}

// assignedTo are the sessions that fates assign to a user, as if all existed and were of an
// image.
func assignedTo(fates map[string]staging.Fate, userID, image string) []staging.SessionUse {
	var all []staging.SessionUse
	for id, f := range fates {
		if assigns(f) && f.User.ID == userID {
			all = append(all, staging.SessionUse{Session: id, Image: image, Claim: f.Claim, UserID: userID})
		}
	}
	return all
}

// without returns the reservations of the other holders.
func without(held []staging.Reservation, holder string) []staging.Reservation {
	return slices.DeleteFunc(held, func(r staging.Reservation) bool { return r.Holder == holder })
}

// dropStrays drops the reservations that this process has seen for so long that their holders
// must have died.
func (q *Quota) dropStrays(held []staging.Reservation, now time.Time) []staging.Reservation {
	q.mu.Lock()
	defer q.mu.Unlock()
	seen := make(map[made]time.Time, len(held))
	kept := slices.DeleteFunc(held, func(r staging.Reservation) bool {
		id := made{r.Holder, r.At}
		since, known := q.seen[id]
		if !known {
			since = now
		}
		seen[id] = since
		return now.Sub(since) >= staging.ReservationStray
	})
	q.seen = seen
	return kept
}
