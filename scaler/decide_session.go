package scaler

import (
	"fmt"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// Unpooled is what DecideSession knows of one session that no pool counts: one that is a
// user's, was made on demand, is on its way out, or is of uncertain standing.
type Unpooled struct {
	// State is what Redis says; "" when Redis does not know the session.
	State  staging.State
	Origin staging.Origin
	// Fate is the verdict of its fate record; "" while it is open or not known.
	Fate staging.Verdict
	// HookPending, Lease: of an assigned fate, whether its claim is unfinished
	// and until when a broker may be at work on it.
	HookPending bool
	Lease       time.Time
	// HasJob: Nomad has, or is about to have, its job. Missing: a full reading
	// of Nomad did not find it. Stopped: the job was deregistered. Over: nothing
	// of it runs or will.
	HasJob, Missing, Stopped, Over bool
	Running, Passing               bool
	// FirstLaunch: its first_launch hook is not known to have run.
	FirstLaunch bool
	Failure     *staging.Failure
	// Refused: why no node would take it.
	Refused *staging.Failure
	// RunningSince is when it began to run.
	RunningSince time.Time
	// Reason is what Nomad says of the end of its allocation, where the image did
	// not fail, or of why it may come.
	Reason string
	// Terms are those of its user; EndsAt and KeepaliveUntil follow from them,
	// zero for never, as far as they are known.
	Terms                  staging.Terms
	EndsAt, KeepaliveUntil time.Time
	// Tagged: Consul shows whose it is, and its terms are known.
	Tagged bool
	// TouchedAt is when a step last acted on it, or it was first seen.
	TouchedAt time.Time
	// EndedNoticedAt is when it was noted as ended.
	EndedNoticedAt time.Time
}

// Patience of DecideSession.
const (
	// stopTimeout is how long a session whose end has begun may run on before
	// its job is stopped again: whoever began it should have stopped it.
	stopTimeout = 5 * time.Second
	// orphanTimeout is how long a record may be without its job, or an
	// on-demand session without its fate, before it is taken for left behind.
	orphanTimeout = time.Minute
	// tagAfter is how long a session has been its user's before Consul shows it so: to
	// show it costs Nomad as much as to make another, and one that ends within moments
	// is not worth that.
	tagAfter = 2 * time.Second
	// purgeDelay is how long an ended session's job stays in Nomad, so that its
	// logs can be read, and its fate record in Consul, so that no Redis that was put
	// back gives it away: longer than staging.TrustTTL.
	purgeDelay = 2 * staging.TrustTTL
)

// DecideSession says what one session outside the pools needs, if anything, and when
// to look again though nothing happened (zero for never). It is pure.
func DecideSession(x Unpooled, now time.Time) (step *Step, wake time.Time) {
	do := func(k Kind, reason string) (*Step, time.Time) { return &Step{Kind: k, Reason: reason}, time.Time{} }
	later := func(d time.Duration) (*Step, time.Time) { return nil, x.TouchedAt.Add(d) }
	patient := func(d time.Duration) bool { return now.Before(x.TouchedAt.Add(d)) }
	gone := x.Over || !x.HasJob
	ended := "its job is gone"
	switch {
	case x.Failure != nil:
		ended = x.Failure.Message
	case x.Reason != "":
		ended = x.Reason
	}

	switch {
	case x.State == staging.Ended && x.EndedNoticedAt.IsZero():
		return nil, now.Add(purgeDelay)
	case x.State == staging.Ended:
		if now.Before(x.EndedNoticedAt.Add(purgeDelay)) {
			return nil, x.EndedNoticedAt.Add(purgeDelay)
		}
		return do(Purge, "ended a while ago")
	case x.State == "" && gone && !patient(orphanTimeout):
		return do(MarkEnded, "nothing of it runs")
	case x.Fate == staging.VerdictAssigned && x.Origin == staging.Staged && !gone &&
		(x.State == "" || x.State.Unassigned() || x.State == staging.Retiring):
		return do(Restore, "its fate record says whose it is")
	case x.State == staging.Retiring, x.State == staging.Ending:
		switch {
		case gone:
			return do(MarkEnded, "nothing of it runs")
		case x.Stopped:
			return nil, time.Time{}
		case patient(stopTimeout):
			return later(stopTimeout)
		case x.State == staging.Retiring:
			// Anew from the fate record on: it may not have been decided.
			return do(Retire, "its retirement has begun and it still runs")
		}
		return do(Stop, "its end has begun and it still runs")
	case x.Missing && (x.State == staging.Ready || (x.State == staging.Starting && x.Origin == staging.Staged)):
		return do(Retire, "its job is gone from Nomad")
	case x.Missing && (x.State == staging.Claimed || x.State == staging.Assigned):
		return do(End, "its job is gone from Nomad")
	case !x.HasJob:
		// Its job is being registered, or never was.
		if patient(orphanTimeout) {
			return later(orphanTimeout)
		}
		return do(MarkEnded, "it has no job in Nomad")
	case x.Fate == staging.VerdictAssigned && x.State == "":
		return do(Restore, "its fate record says whose it is")
	case x.Fate == staging.VerdictRetired && (x.State == "" || x.State.Unassigned()):
		return do(Retire, "its fate record says that it is retired")
	case x.State == "" && x.Origin == staging.Staged:
		return do(Record, "Redis does not know it")
	case x.State == "":
		if patient(orphanTimeout) {
			return later(orphanTimeout)
		}
		return do(End, "on demand, and nobody's")
	case gone && x.Origin == staging.Staged && x.State.Unassigned():
		// A Redis that was rolled back takes for unused what is somebody's and over.
		return do(MarkEnded, ended)
	case gone:
		return do(End, ended)
	case x.State == staging.Claimed:
		return decideClaimed(x, now)
	case x.State.Unassigned() && x.Failure != nil:
		return do(End, ended)
	case x.State.Unassigned() && x.Running && x.Passing && x.FirstLaunch:
		return do(FirstLaunch, "running and its checks pass for the first time")
	case x.State.Unassigned() && x.Running && x.Passing:
		return do(Assign, "running and its checks pass")
	case x.State == staging.Pending && x.Running:
		return do(Record, "its allocation runs")
	case x.State.Unassigned() && x.Origin == staging.OnDemand:
		return decideStarting(x, now)
	case x.State == staging.Assigned:
		return decideAssigned(x, now)
	}
	return nil, time.Time{}
}

// decideStarting ends a session on demand that does not come up: one that no node
// takes, whose broker did not see to it, and one whose checks never pass. Either
// would hold its user's place for good.
func decideStarting(x Unpooled, now time.Time) (*Step, time.Time) {
	since, patience, why := x.TouchedAt, orphanTimeout, ""
	switch {
	case x.Refused != nil:
		why = "it cannot be placed: " + x.Refused.Message
	case x.Running:
		since, patience = x.RunningSince, DefaultBounds.StartTimeout
		why = fmt.Sprintf("it runs, and its checks have not passed for %s", patience)
	default:
		patience = DefaultBounds.PlaceTimeout
		why = fmt.Sprintf("it was placed, and has not begun to run for %s", patience)
	}
	if at := since.Add(patience); at.After(now) {
		return nil, at
	}
	return &Step{Kind: End, Reason: why}, time.Time{}
}

// decideAssigned keeps a user's session to its terms.
func decideAssigned(x Unpooled, now time.Time) (*Step, time.Time) {
	var wake time.Time
	over := func(at time.Time) bool {
		if at.IsZero() {
			return false
		}
		if at.After(now) {
			if wake.IsZero() || at.Before(wake) {
				wake = at
			}
			return false
		}
		return true
	}
	switch {
	case over(x.EndsAt):
		return &Step{Kind: End, Reason: fmt.Sprintf("its time limit of %s is over", x.Terms.TimeLimit)}, time.Time{}
	case over(x.KeepaliveUntil):
		return &Step{Kind: ExpireKeepalive, Reason: fmt.Sprintf("no keepalive came for %s", x.Terms.Keepalive)}, time.Time{}
	case !x.Tagged && now.Before(x.TouchedAt.Add(tagAfter)):
		return nil, x.TouchedAt.Add(tagAfter)
	case !x.Tagged:
		return &Step{Kind: Tag, Reason: "it became its user's"}, time.Time{}
	}
	return nil, wake
}

// decideClaimed sees a claim to its end whose broker may be gone. Its fate
// record says how far it came: finished, it is its user's; unfinished or absent
// when the lease is over, its outcome cannot be known, and it is ended.
func decideClaimed(x Unpooled, now time.Time) (*Step, time.Time) {
	if x.Fate == staging.VerdictAssigned && !x.HookPending {
		return &Step{Kind: Assign, Reason: "its fate record says that its claim is finished"}, time.Time{}
	}
	over := x.TouchedAt.Add(staging.ClaimLease)
	if x.Fate == staging.VerdictAssigned {
		over = x.Lease
	}
	if now.Before(over) {
		return nil, over
	}
	return &Step{Kind: End, Reason: "the launch that claimed it never finished"}, time.Time{}
}
