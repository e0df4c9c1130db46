package scaler

import (
	"cmp"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// Kind is what a step does. The values are those of the label `kind` of
// greenroom_scaler_steps_total and of the log field `step`. Operators know them, so they
// stay where a constant has a newer name: Assign, ExpireKeepalive and MarkEnded.
type Kind string

// The steps. Each acts on one session.
const (
	// Stage makes a new session.
	Stage Kind = "stage"
	// Record stores in Redis a session that it does not have, or that was placed.
	Record Kind = "record"
	// FirstLaunch runs a session's first_launch hook, before the session is assigned.
	FirstLaunch Kind = "first_launch"
	// Publish makes a session claimable.
	Publish Kind = "publish"
	// Withdraw takes a session whose checks fail out of the ready queue.
	Withdraw Kind = "withdraw"
	// Demote puts a ready session on a draining node behind the others of its pool,
	// Promote puts it back to its place by age when the drain was cancelled.
	Demote  Kind = "demote"
	Promote Kind = "promote"
	// Quarantine stores a session as one that may be a user's, although no readable record
	// says so.
	Quarantine Kind = "quarantine"
	// Discard deletes a session's record in Redis that cannot be read, so that it is written
	// again.
	Discard Kind = "discard"
	// RewriteFate writes the fate record of a user's session that Redis has and Consul lost.
	RewriteFate Kind = "rewrite_fate"
	// Retire ends an unassigned session.
	Retire Kind = "retire"
	// MakeRoom ends an unassigned session of a pool of lower priority, for a launch.
	MakeRoom Kind = "make_room"
	// Assign assigns to its user an on-demand session that runs, or a claimed one
	// whose fate record is finished.
	Assign Kind = "admit"
	// Restore writes a session's assignment to Redis from its fate record.
	Restore Kind = "restore"
	// End ends a session that is, or was to become, a user's.
	End Kind = "end"
	// Tag reads the user and the terms of an assigned session, so that Consul's catalog
	// shows the user and the terms are enforced.
	Tag Kind = "tag"
	// NoteRestart notes that a user's session is not up, because its main task was
	// restarted. Reassign runs its assign hook again, after which it is up.
	NoteRestart Kind = "restarted"
	Reassign    Kind = "reassign"
	// NoteHealth notes in Redis whether a user's session runs with passing checks.
	NoteHealth Kind = "health"
	// ExpireKeepalive ends a user's session if no keepalive came in time.
	ExpireKeepalive Kind = "lapse"
	// ExpireIdle warns the user of a session that is not used, and ends it some time later.
	ExpireIdle Kind = "expire_idle"
	// ExpireUnvisited ends a session that its user did not open in time.
	ExpireUnvisited Kind = "expire_unvisited"
	// ExpireLimit ends a session that has reached its time limit, unless it was extended.
	ExpireLimit Kind = "expire_limit"
	// WarnEnd warns the user that the time limit is near. PreEnd runs the pre_end hook, PreStop
	// the pre_stop hook of a session whose end has begun, which it then stops.
	WarnEnd Kind = "warn_end"
	PreEnd  Kind = "pre_end"
	PreStop Kind = "pre_stop"
	// ReadClaim reads which claim holds a session, and its fate record.
	ReadClaim Kind = "read_claim"
	// NoteRoom notes what a session waits for that no node can take.
	NoteRoom Kind = "note_room"
	// Stop stops the job of a session whose end has begun.
	Stop Kind = "stop"
	// MarkEnded notes that nothing of a session runs any more.
	MarkEnded Kind = "bury"
	// Purge removes what is left of an ended session from Nomad and Consul.
	Purge Kind = "purge"
)

// Kinds are all of them.
var Kinds = []Kind{Stage, Record, FirstLaunch, Publish, Withdraw, Demote, Promote, Quarantine, Discard, RewriteFate, Retire, MakeRoom, Assign, Restore, End, Tag, NoteRestart, Reassign, NoteHealth, ExpireKeepalive, ExpireIdle, ExpireUnvisited, ExpireLimit, WarnEnd, PreEnd, PreStop, ReadClaim, NoteRoom, Stop, MarkEnded, Purge}

// Step is one thing to do, and the reason for it.
type Step struct {
	Kind    Kind
	Session string // "" for Stage
	Reason  string
	// Placement is, for Stage, where the session may run.
	Placement staging.Placement
	// Failure of a Retire counts towards the pool's backoff; nil for most.
	Failure *staging.Failure
}

// Plan is the result of Decide.
type Plan struct {
	Steps      []Step
	Conditions []staging.Condition
	// Wake is when the pool should be decided again although nothing happened; zero
	// for never.
	Wake time.Time
}

// Bounds keep one pass from flooding Nomad, and limit how long a session is waited for.
type Bounds struct {
	// StagePerPass bounds the sessions that one pass makes for one pool.
	StagePerPass int
	// NotReady bounds a pool's sessions that are not ready yet.
	NotReady int
	// Those that follow are for images that set no patience of their own.
	//
	// Grace is how long a session whose checks stopped passing may take to recover.
	Grace time.Duration
	// StartTimeout is how long a running session may take until its checks pass,
	// PlaceTimeout how long a placed session may take until it runs.
	StartTimeout, PlaceTimeout time.Duration
}

// DefaultBounds suit a cluster of a few dozen nodes. On two busy cores a Nomad client
// takes 3 s from a job to its service in Consul: a lower NotReady would leave Nomad idle.
var DefaultBounds = Bounds{
	StagePerPass: 20, NotReady: 250,
	Grace: staging.DefaultPatience.Unhealthy.Std(), StartTimeout: staging.DefaultPatience.Start.Std(), PlaceTimeout: staging.DefaultPatience.Placement.Std(),
}

// forImage returns the bounds with the waits that an image sets.
func (b Bounds) forImage(p staging.Patience) Bounds {
	b.Grace = cmp.Or(p.Unhealthy.Std(), b.Grace)
	b.StartTimeout = cmp.Or(p.Start.Std(), b.StartTimeout)
	b.PlaceTimeout = cmp.Or(p.Placement.Std(), b.PlaceTimeout)
	return b
}
