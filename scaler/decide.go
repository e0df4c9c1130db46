package scaler

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// Kind is what a step does.
type Kind string

// The steps. Each acts on one session.
const (
	// Stage makes a new session.
	Stage Kind = "stage"
	// Record notes in Redis a session that it does not know, or that has been placed.
	Record Kind = "record"
	// Publish makes a session claimable.
	Publish Kind = "publish"
	// Withdraw takes a session whose checks fail out of the ready queue.
	Withdraw Kind = "withdraw"
	// Retire ends a session that is nobody's.
	Retire Kind = "retire"
	// Admit gives an on-demand session that is up to its user.
	Admit Kind = "admit"
	// Restore notes in Redis whose a session is, from its fate record.
	Restore Kind = "restore"
	// End ends a session that is, or was to be, a user's.
	End Kind = "end"
	// Stop stops the job of a session whose end has begun.
	Stop Kind = "stop"
	// Bury notes that nothing of a session runs any more.
	Bury Kind = "bury"
	// Purge removes what is left of an ended session from Nomad and Consul.
	Purge Kind = "purge"
)

// Step is one thing to do, and why.
type Step struct {
	Kind    Kind
	Session string // "" for Stage
	Reason  string
}

// Member is what Decide knows of one unassigned session of a pool.
type Member struct {
	ID string
	// State is pending, starting or ready.
	State                staging.State
	CreatedAt, ExpiresAt time.Time
	// Running, Passing: its allocation runs; its checks pass.
	Running, Passing bool
	// Over: its allocation has come to its end.
	Over bool
	// Failure: why it is over or cannot start. Refused: why no node would take it.
	Failure, Refused *staging.Failure
	// Misplaced: it is of another zone or image than the config now names.
	// Stale: it was made from an older revision of its image or zone.
	Misplaced, Stale bool
	// Busy: a step for it is under way, or it is to be left alone for a moment.
	Busy bool
}

// Backoff is how a pool's sessions have failed lately.
type Backoff struct {
	// Failures counts the sessions that failed since one became ready.
	Failures int
	// Last is the latest failure.
	Last *staging.Failure
	// At is when it happened.
	At time.Time
}

// Longest pause between two tries of an image that keeps failing.
const maxBackoff = 5 * time.Minute

// until is the end of the pause: it doubles with every failure, from a second.
func (b Backoff) until() time.Time {
	if b.Failures == 0 {
		return time.Time{}
	}
	pause := maxBackoff
	if n := b.Failures - 1; n < 9 {
		pause = min(pause, time.Second<<n)
	}
	return b.At.Add(pause)
}

// View is all that Decide knows of one pool.
type View struct {
	Config staging.Config
	// Removed: the config was deleted; the pool is to be drained.
	Removed bool
	// NoZone, NoImage: the config names a resource that is not there.
	NoZone, NoImage bool
	// Desired is the number of ready sessions wanted now.
	Desired int
	// HealthKnown: Consul's word on the pool's checks is current. Without it
	// nothing is published or withdrawn.
	HealthKnown bool
	Members     []Member
	Backoff     Backoff
}

// Bounds keep one pass from flooding Nomad.
type Bounds struct {
	// StagePerPass bounds the sessions that one pass makes for one pool.
	StagePerPass int
	// NotReady bounds a pool's sessions that are on their way to ready.
	NotReady int
}

// DefaultBounds suit a cluster of a few dozen nodes.
var DefaultBounds = Bounds{StagePerPass: 20, NotReady: 100}

// Plan is what Decide wants done.
type Plan struct {
	Steps      []Step
	Conditions []staging.Condition
	// Wake is when the pool should be looked at again though nothing happened;
	// zero for never.
	Wake time.Time
}

// Decide says what one pool needs. It is pure: the same view and time give the
// same plan. A member that is Busy gets no step. Conditions have no Since.
func Decide(v View, b Bounds, now time.Time) Plan {
	d := decision{View: v, now: now}
	d.sort()
	d.failed()
	d.misplaced()
	d.shrink()
	d.replaceExpired()
	d.publishAndWithdraw()
	d.grow(b)
	d.plan.Conditions = conditions(v)
	return d.plan
}

// decision is a Decide under way.
type decision struct {
	View
	now  time.Time
	plan Plan
	// live are the members that stay, in the order in which the excess goes.
	live []Member
}

func (d *decision) step(k Kind, id, format string, args ...any) {
	d.plan.Steps = append(d.plan.Steps, Step{Kind: k, Session: id, Reason: fmt.Sprintf(format, args...)})
}

func (d *decision) wake(at time.Time) {
	if d.plan.Wake.IsZero() || at.Before(d.plan.Wake) {
		d.plan.Wake = at
	}
}

// sort puts first who is the smallest loss: what is not ready, the newest
// first, since it has the furthest to go; then the ready, the oldest first,
// since they would expire first.
func (d *decision) sort() {
	d.live = slices.Clone(d.Members)
	rank := map[staging.State]int{staging.Pending: 0, staging.Starting: 1, staging.Ready: 2}
	slices.SortFunc(d.live, func(a, b Member) int {
		if c := cmp.Compare(rank[a.State], rank[b.State]); c != 0 {
			return c
		}
		byAge := cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
		if a.State != staging.Ready {
			byAge = -byAge
		}
		return byAge
	})
}

// drop takes the members for which the predicate holds out of the live ones.
func (d *decision) drop(gone func(Member) bool) { d.live = slices.DeleteFunc(d.live, gone) }

// failed retires what has ended by itself or cannot start.
func (d *decision) failed() {
	d.drop(func(m Member) bool {
		if !m.Over && m.Failure == nil {
			return false
		}
		if !m.Busy {
			why := "its allocation ended"
			if m.Failure != nil {
				why = m.Failure.Message
			}
			d.step(Retire, m.ID, "failed: %s", why)
		}
		return true
	})
}

// misplaced retires at once what its config no longer asks for: it may serve nobody.
func (d *decision) misplaced() {
	if d.Removed {
		return
	}
	d.drop(func(m Member) bool {
		if m.Misplaced && !m.Busy {
			d.step(Retire, m.ID, "its staging config now names another zone or image")
		}
		return m.Misplaced
	})
}

// publishAndWithdraw follows the checks.
func (d *decision) publishAndWithdraw() {
	if !d.HealthKnown {
		return
	}
	for _, m := range d.live {
		healthy := m.Running && m.Passing
		switch {
		case m.Busy:
		case m.State == staging.Pending && m.Running && !healthy:
			d.step(Record, m.ID, "its allocation runs")
		case m.State != staging.Ready && healthy:
			d.step(Publish, m.ID, "running and its checks pass")
		case m.State == staging.Ready && !healthy:
			d.step(Withdraw, m.ID, "its checks no longer pass")
		}
	}
}

// shrink retires the excess over desired.
func (d *decision) shrink() {
	excess, why := len(d.live)-d.Desired, fmt.Sprintf("excess: %d wanted", d.Desired)
	if d.Removed {
		excess, why = len(d.live), "its staging config was deleted"
	} else if due := d.expired(); len(due) > 0 {
		// Sessions due for replacement stand beside their replacements for a
		// while; replaceExpired sees to those.
		excess -= len(due)
	}
	if excess <= 0 {
		return
	}
	d.drop(func(m Member) bool {
		if excess <= 0 || (!d.Removed && d.due(m)) {
			return false
		}
		excess--
		if !m.Busy {
			d.step(Retire, m.ID, "%s", why)
		}
		return true
	})
}

// due: it is to be replaced, its replacement first.
func (d *decision) due(m Member) bool {
	return m.Stale || (!m.ExpiresAt.IsZero() && !m.ExpiresAt.After(d.now))
}

func (d *decision) expired() []Member {
	var due []Member
	for _, m := range d.live {
		if d.due(m) {
			due = append(due, m)
		}
	}
	return due
}

// replaceExpired retires sessions that are due for replacement, each once a
// replacement is ready, so that ready does not dip. Where the zone has no room
// for a replacement beside it, the old session goes first, one at a time.
func (d *decision) replaceExpired() {
	fresh, refused := 0, false
	for _, m := range d.live {
		if d.due(m) {
			continue
		}
		if !m.ExpiresAt.IsZero() {
			d.wake(m.ExpiresAt)
		}
		if m.State == staging.Ready {
			fresh++
		}
		refused = refused || m.Refused != nil
	}
	due := d.expired()
	// Oldest ready come first in live among the ready; those not ready go at once.
	keep := max(0, d.Desired-fresh)
	if refused {
		keep = min(keep, max(0, len(due)-1))
	}
	gone := map[string]bool{}
	for i := 0; i < len(due); i++ {
		if due[i].State == staging.Ready && len(due)-len(gone) <= keep {
			break
		}
		gone[due[i].ID] = true
		if !due[i].Busy {
			d.step(Retire, due[i].ID, "%s", d.whyDue(due[i]))
		}
	}
	d.drop(func(m Member) bool { return gone[m.ID] })
}

func (d *decision) whyDue(m Member) string {
	if m.Stale {
		return "made from an older revision of its image or zone"
	}
	return fmt.Sprintf("expired after %s", d.Config.Expiration)
}

// grow stages what is missing. Sessions due for replacement do not count, but a
// pool is never more than a quarter over its desired number.
func (d *decision) grow(b Bounds) {
	if d.Removed || d.NoZone || d.NoImage {
		return
	}
	fresh, notReady := 0, 0
	for _, m := range d.live {
		if !d.due(m) {
			fresh++
		}
		if m.State != staging.Ready {
			notReady++
		}
		if m.Refused != nil {
			// The zone is full: this one is its probe, and Nomad places it as
			// soon as there is room.
			return
		}
	}
	surge := max(1, d.Desired/4)
	want := min(d.Desired-fresh, d.Desired+surge-len(d.live))
	if want <= 0 {
		return
	}
	if until := d.Backoff.until(); until.After(d.now) {
		d.wake(until)
		return
	}
	if d.Backoff.Failures > 0 {
		// One try after a pause, not a whole pool of them.
		want = min(want, max(0, 1-notReady))
	}
	want = min(want, b.StagePerPass, b.NotReady-notReady)
	for range want {
		d.step(Stage, "", "%d of %d there", fresh, d.Desired)
		fresh++
	}
	if fresh < d.Desired && d.Backoff.Failures == 0 {
		// The rest comes with the next pass: soon, or when one of these is ready.
		d.wake(d.now.Add(passPause))
	}
}

// passPause is the time between two passes that each stage a bounded number.
const passPause = 200 * time.Millisecond
