package scaler

import (
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
	// FirstLaunch runs a session's first_launch hook, before anybody has it.
	FirstLaunch Kind = "first_launch"
	// Publish makes a session claimable.
	Publish Kind = "publish"
	// Withdraw takes a session whose checks fail out of the ready queue.
	Withdraw Kind = "withdraw"
	// Retire ends a session that is nobody's.
	Retire Kind = "retire"
	// Assign gives an on-demand session that is up to its user.
	Assign Kind = "admit"
	// Restore notes in Redis whose a session is, from its fate record.
	Restore Kind = "restore"
	// End ends a session that is, or was to be, a user's.
	End Kind = "end"
	// Tag shows in Consul whose a session is, and learns its terms.
	Tag Kind = "tag"
	// ExpireKeepalive ends a user's session if no keepalive came in time.
	ExpireKeepalive Kind = "lapse"
	// Stop stops the job of a session whose end has begun.
	Stop Kind = "stop"
	// MarkEnded notes that nothing of a session runs any more.
	MarkEnded Kind = "bury"
	// Purge removes what is left of an ended session from Nomad and Consul.
	Purge Kind = "purge"
)

// Kinds are all of them.
var Kinds = []Kind{Stage, Record, FirstLaunch, Publish, Withdraw, Retire, Assign, Restore, End, Tag, ExpireKeepalive, Stop, MarkEnded, Purge}

// Step is one thing to do, and why.
type Step struct {
	Kind    Kind
	Session string // "" for Stage
	Reason  string
	// Failure, of a Retire, counts towards the pool's backoff.
	Failure *staging.Failure
}

// Member is what Decide knows of one unassigned session of a pool. What is read of
// each, whatever its state, comes first.
type Member struct {
	// State is pending, starting or ready.
	State staging.State
	// Running, Passing: its allocation runs; its checks pass.
	Running, Passing bool
	// Over: its allocation has come to its end.
	Over bool
	// Draining: its node is being drained.
	Draining bool
	// FirstLaunch: its first_launch hook is not known to have run.
	FirstLaunch bool
	// Misplaced: it is of another zone, image or permissions than the config now
	// names: no launch may be given it.
	// Stale: it was made from an older revision of its image, zone or permissions.
	Misplaced, Stale bool
	// Busy: a step for it is under way, or it is to be left alone for a moment.
	Busy bool
	// Failure: why it is over or cannot start. Refused: why no node would take it.
	Failure, Refused *staging.Failure
	ExpiresAt        time.Time

	ID        string
	CreatedAt time.Time
	// PlacedAt is when a node was found for it; zero while none is.
	PlacedAt time.Time
	// RunningSince is when it began to run. UnhealthySince is when its checks
	// stopped passing, having passed before, or its node to tell of it; zero while
	// it runs and they pass.
	RunningSince, UnhealthySince time.Time
	// EndReason is what Nomad says of the end of one that did not fail.
	EndReason string
}

// healthy: it runs and its checks pass.
func (m *Member) healthy() bool { return m.Running && m.Passing }

// Backoff is how a pool's sessions have failed lately.
type Backoff struct {
	// Failures counts the tries that failed since a session became ready.
	Failures int
	// Last is the latest failure.
	Last *staging.Failure
	// At is when it happened.
	At time.Time
	// ReadyAt is when a session became ready after that; zero while none has. The
	// pause is over then, and the failures are forgotten once one stays so for a
	// while: an image that is ready for a moment and then fails is failing, too.
	ReadyAt time.Time
}

// steadyAfter is how long after one became ready failures are forgotten.
const steadyAfter = 30 * time.Second

// failed is the backoff after one more failure. Sessions that fail during the pause
// after one were made beside it: together they are one try.
func (b Backoff) failed(why *staging.Failure, now time.Time) Backoff {
	switch {
	case now.Before(b.until()):
		b.Last = why
		return b
	case !b.ReadyAt.IsZero() && now.Sub(b.ReadyAt) >= steadyAfter:
		b = Backoff{}
	}
	return Backoff{Failures: b.Failures + 1, Last: why, At: now}
}

// paused: the last try has failed, and none has been ready since.
func (b Backoff) paused() bool { return b.Failures > 0 && b.ReadyAt.IsZero() }

// Longest pause between two tries of an image that keeps failing.
const maxBackoff = 5 * time.Minute

// until is the end of the pause: it doubles with every failure, from a second.
func (b Backoff) until() time.Time {
	if !b.paused() {
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
	// Blocked says why the pool stages nothing and is drained; nil when it is not.
	Blocked *staging.Failure
	// Desired is the number of ready sessions wanted now, DesiredUntil when that
	// changes; zero for never.
	Desired      int
	DesiredUntil time.Time
	// HealthKnown: Consul's word on the pool's checks is current. Without it
	// nothing is published or withdrawn.
	HealthKnown bool
	Members     []Member
	// Unrecorded counts the pool's sessions that run and that Redis does not know
	// (any more): they are about to be members again, and count as there.
	Unrecorded int
	Backoff    Backoff
	// AssignHook is how the assign hook has failed lately, in a row.
	AssignHook Backoff
}

// Bounds keep one pass from flooding Nomad, and a session from being waited for
// without end.
type Bounds struct {
	// StagePerPass bounds the sessions that one pass makes for one pool.
	StagePerPass int
	// NotReady bounds a pool's sessions that are on their way to ready.
	NotReady int
	// Grace is how long a session whose checks no longer pass may take to come back.
	Grace time.Duration
	// StartTimeout is how long one that runs may take until its checks pass,
	// PlaceTimeout how long one that is placed may take until it runs.
	StartTimeout, PlaceTimeout time.Duration
}

// DefaultBounds suit a cluster of a few dozen nodes. By what it takes a Nomad client from
// a job to its service in Consul when it is busy, 3 s on two cores, fewer that are not
// ready at a time would hold Nomad back.
var DefaultBounds = Bounds{StagePerPass: 20, NotReady: 250, Grace: 30 * time.Second, StartTimeout: 10 * time.Minute, PlaceTimeout: 30 * time.Minute}

// Plan is what Decide wants done.
type Plan struct {
	Steps      []Step
	Conditions []staging.Condition
	// Wake is when the pool should be looked at again though nothing happened;
	// zero for never.
	Wake time.Time
}
