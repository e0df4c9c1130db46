package scaler

import (
	"fmt"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// Unpooled is what DecideSession knows of one session that Decide does not handle: it is a
// user's, was made on demand, is ending, or its state is uncertain.
type Unpooled struct {
	// State is its state in Redis; "" when Redis does not have it.
	State  staging.State
	Origin staging.Origin
	// Foreign: its job belongs to another installation.
	Foreign bool
	// Fate is the verdict of its fate record; "" while there is none or it is not known.
	Fate staging.Verdict
	// Quarantine is why it may be a user's although no readable record says so; "" when
	// that is not so. FateLost: it is a user's in Redis, and Consul has no fate record.
	Quarantine string
	FateLost   bool
	// Damaged: its record in Redis cannot be read, because of Damage.
	Damaged bool
	Damage  string
	// HookPending, Lease: of an assigned fate, whether its claim is unfinished, and
	// until when, on the scaler's clock, a broker may be working on it.
	HookPending bool
	Lease       time.Time
	// ClaimRead: which claim holds it is known, and its fate record as of then. BrokerGone:
	// the broker that made that claim is certainly no longer alive.
	ClaimRead, BrokerGone bool
	// HasJob: Nomad has its job, or its registration is under way. Missing: Nomad answered
	// that its job does not exist. Unknown: a list of Nomad lacks it and it may run all
	// the same. Stopped: the job was deregistered. Over: nothing of it runs or will run.
	HasJob, Missing, Unknown, Stopped, Over bool
	Running, Passing                        bool
	// WasUp: it has been healthy since its main task started.
	WasUp bool
	// FirstLaunch: its first_launch hook is not known to have run.
	FirstLaunch bool
	// HookUnknown: whether it has a first_launch hook is not known, because its image cannot
	// be read.
	HookUnknown bool
	// Failure: why it ended or cannot start.
	Failure *staging.Failure
	// Refused: why no node accepts it.
	Refused *staging.Failure
	// RoomUntil is until when it waits for room, which is WaitForRoom after its creation; zero
	// for one that does not. RoomNoted is what Redis shows that it waits for.
	RoomUntil   time.Time
	WaitForRoom staging.Duration
	RoomNoted   string
	// PlacedAt is when a node was found for it; zero before that.
	PlacedAt time.Time
	// RunningSince is when it began to run.
	RunningSince time.Time
	// Check is a check of its own that fails; zero for none. Patience is its image's.
	Check    staging.FailingCheck
	Patience staging.Patience
	// Reason is Nomad's reason for the end of its allocation when the image did not
	// fail, or for an end that may come.
	Reason string
	// Terms are those of its user. The times follow from them; each is zero for never, and
	// while the terms are not known. IdleDue is when its user is to be warned that it is idle,
	// or it ends as that.
	Terms                                            staging.Terms
	EndsAt, KeepaliveUntil, IdleDue, UnvisitedEndsAt time.Time
	// EndWarningDue is when its user is to be warned that EndsAt is near, PreEndDue when its
	// pre_end hook is to run; each zero for never. PreStop: its pre_stop hook has to run before it
	// is stopped.
	EndWarningDue, PreEndDue time.Time
	PreStop                  bool
	// Tagged: its user and terms are known, and Consul's catalog shows its user.
	Tagged bool
	// Restarted: its main task was restarted since its assign hook last ran. RestartNoted:
	// Redis shows that.
	Restarted, RestartNoted bool
	// HealthKnown: its checks are known, and so whether it is healthy, which is Running and
	// Passing. UnhealthyNoted: Redis shows that it is not.
	HealthKnown, UnhealthyNoted bool
	// UnhealthyUntil is when it ends by its terms unless a check recovers; zero for never.
	UnhealthyUntil time.Time
	// Kept: it failed, and its pool's config keeps its job in Nomad.
	Kept bool
	// HasProfile: it has the lease of a persistent profile, since something of it may run.
	HasProfile bool
	// Given: it has or had a user, or a claim, as far as is known.
	Given bool
	// TouchedAt is when it was first observed, a step last acted on it, or a launch or
	// an end last moved it.
	TouchedAt time.Time
	// EndedNoticedAt is when this scaler noticed that it had ended.
	EndedNoticedAt time.Time
}

// How long DecideSession waits.
const (
	// stopTimeout is how long a session whose end has begun may run on before its job
	// is stopped again: whatever began the end should have stopped it.
	stopTimeout = 5 * time.Second
	// orphanTimeout is how long a record may exist without its job, or an on-demand
	// session without its fate, before it counts as left behind.
	orphanTimeout = time.Minute
	// tagAfter is how long a session is assigned before Consul shows its user. That costs
	// Consul two writes, which are not worth it for a session that ends within moments.
	tagAfter = 3 * time.Second
	// readClaimAfter is how long a claim may take before its broker is looked for. Most
	// claims are over before.
	readClaimAfter = 3 * time.Second
	// purgeDelay is how long an ended session's job stays in Nomad, so that its logs
	// can be read, and its fate record in Consul. The record must outlast
	// staging.TrustTTL, so that a Redis restored to an older state cannot hand out the
	// session.
	purgeDelay = 2 * staging.TrustTTL
)

// DecideSession returns the step that one session outside the pools needs, nil for
// none, and when to decide again although nothing happened (zero for never). It is pure.
//
// The first case that applies decides. They run in this order:
//
//  0. its job belongs to another installation, or nobody knows whether it has a user: nothing
//  1. ended: purge it after a delay, once its profile is free and unless it is kept; else
//     nothing, while Nomad does not say whether it has it
//  2. Redis and Nomad both lost it: mark it ended
//     quarantined: quarantine it in Redis, and nothing else while it runs
//  3. Redis has it as unassigned, its fate record as assigned: restore
//  4. retiring or ending: mark it ended, run its pre_stop hook, or stop it again
//  5. its job is missing or was never registered: retire, end, or mark it ended
//  6. Redis lost it, or lost its retirement: restore, retire, record, or end
//  7. nothing of it runs: end it
//  8. claimed: decideClaimed
//  9. on its way to its user: first_launch, then assign; decideStarting if it does not run
//  10. assigned: decideAssigned, in it decideRestarted and decideHealth
func DecideSession(x Unpooled, now time.Time) (step *Step, wake time.Time) {
	do := func(k Kind, reason string) (*Step, time.Time) { return &Step{Kind: k, Reason: reason}, time.Time{} }
	later := func(d time.Duration) (*Step, time.Time) { return nil, x.TouchedAt.Add(d) }
	within := func(d time.Duration) bool { return now.Before(x.TouchedAt.Add(d)) }
	gone := x.Over || x.Missing
	ended := "its job is gone"
	switch {
	case x.Failure != nil && x.State.Unassigned():
		ended = staging.ReasonFailed + x.Failure.Message
	case x.Failure != nil:
		ended = x.Failure.Message
	case x.Reason != "":
		ended = x.Reason
	}

	switch {
	// 0. Its job belongs to another installation.
	case x.Foreign:
		return nil, time.Time{}

	// 1. Ended.
	case x.State == staging.Ended && x.EndedNoticedAt.IsZero():
		return nil, now.Add(purgeDelay)
	case x.State == staging.Ended:
		if now.Before(x.EndedNoticedAt.Add(purgeDelay)) {
			return nil, x.EndedNoticedAt.Add(purgeDelay)
		}
		if x.Given && x.HasJob && !x.Stopped && !x.Over {
			// Redis is wrong: another Nomad was asked, which did not have it. It may be in use.
			return nil, now.Add(purgeDelay)
		}
		if x.Kept {
			return nil, now.Add(purgeDelay)
		}
		if x.HasProfile {
			// Without its job nothing would show whether it still saves.
			return nil, now.Add(purgeDelay)
		}
		return do(Purge, "it ended a while ago")
	case x.Unknown:
		return nil, time.Time{}

	// Its record in Redis cannot be read.
	case x.Damaged && (x.Quarantine == "" || gone):
		return do(Discard, x.Damage)

	// 2. Redis and Nomad both lost it.
	case x.State == "" && gone && !within(orphanTimeout):
		return do(MarkEnded, "nothing of it runs")

	// Quarantined.
	case x.Quarantine != "" && !gone && x.State == "" && x.Origin == staging.OnDemand && x.Fate == "" && within(stopTimeout):
		return later(stopTimeout) // its launch is about to store it in Redis
	case x.Quarantine != "" && !gone && (x.State == "" || x.State.Unassigned() || x.State == staging.Claimed):
		return do(Quarantine, x.Quarantine)
	case x.Quarantine != "" && !gone:
		return nil, time.Time{}

	// 3. Redis has it as unassigned, its fate record as assigned.
	case x.Fate == staging.VerdictAssigned && x.Origin == staging.Staged && x.HasJob && !x.Over &&
		(x.State == "" || x.State.Unassigned() || x.State == staging.Retiring):
		return do(Restore, "its fate record assigns it to a user")
	case x.Fate == staging.VerdictAssigned && x.State == staging.Quarantined && !gone:
		return do(Restore, "its fate record can be read again and assigns it to a user")
	case x.Fate == staging.VerdictRetired && x.State == staging.Quarantined && !gone:
		return do(End, "its fate record can be read again and retires it")

	// 4. Retiring or ending.
	case x.State == staging.Retiring, x.State == staging.Ending:
		switch {
		case gone:
			return do(MarkEnded, "nothing of it runs")
		case x.Stopped, !x.HasJob:
			return nil, time.Time{}
		case x.State == staging.Ending && x.PreStop:
			return do(PreStop, "its end has begun")
		case within(stopTimeout):
			return later(stopTimeout)
		case x.State == staging.Retiring:
			// The whole retirement is repeated: its fate may not have been decided.
			return do(Retire, "its retirement has begun and it still runs")
		}
		return do(Stop, "its end has begun and it still runs")

	// 5. Its job is missing, or was never registered.
	case x.Missing && (x.State == staging.Ready || (x.State == staging.Starting && x.Origin == staging.Staged)):
		return do(Retire, "its job is gone from Nomad")
	case x.Missing && (x.State == staging.Claimed || x.State == staging.Assigned):
		return do(End, "its job is gone from Nomad")
	case !x.HasJob && !x.Missing:
		return nil, time.Time{} // the next resync of Nomad finds it, or that it is gone
	case x.Missing:
		if within(orphanTimeout) {
			return later(orphanTimeout) // its registration may be under way
		}
		return do(MarkEnded, "it has no job in Nomad")

	// 6. Redis lost it, or lost its retirement.
	case x.Fate == staging.VerdictAssigned && x.State == "":
		return do(Restore, "its fate record assigns it to a user")
	case x.Fate == staging.VerdictRetired && (x.State == "" || x.State.Unassigned()):
		return do(Retire, "its fate record retires it")
	case x.State == "" && x.Origin == staging.Staged:
		return do(Record, "Redis does not have it")

	// 7. Nothing of it runs.
	case gone && x.Origin == staging.Staged && x.State.Unassigned():
		// Redis was restored to a state from before its claim, and it has ended since.
		return do(MarkEnded, ended)
	case gone:
		return do(End, ended)

	// 8. Claimed.
	case x.State == staging.Claimed:
		return decideClaimed(x, now)

	// 9. On its way to its user.
	case x.State.Unassigned() && x.Failure != nil:
		return do(End, ended)
	case x.State.Unassigned() && x.Running && x.Passing && x.HookUnknown:
		return nil, time.Time{}
	case x.State.Unassigned() && x.Running && x.Passing && x.FirstLaunch:
		return do(FirstLaunch, "it runs and its checks pass for the first time")
	case x.State.Unassigned() && x.Running && x.Passing:
		return do(Assign, "it runs and its checks pass")
	case x.State.Unassigned() && x.Origin == staging.OnDemand && x.Running && x.WasUp && !x.FirstLaunch && !x.HookUnknown:
		// Redis was restored to a state from before its assignment.
		return do(Assign, "it runs and was up before")
	case x.State == staging.Pending && x.Running:
		return do(Record, "its allocation runs")
	case x.State.Unassigned() && x.Origin == staging.OnDemand:
		return decideStarting(x, now)

	// 10. Assigned.
	case x.State == staging.Assigned:
		return decideAssigned(x, now)
	}
	return nil, time.Time{}
}

// decideStarting ends an on-demand session that does not start: no node accepts it, and
// its broker did not end it or its wait for room is over; it is placed and never runs, or its checks never pass. It
// would occupy its user's slot forever. The limits are the image's, else those of
// DefaultBounds: Options.Bounds applies to pools, and this session is in none.
func decideStarting(x Unpooled, now time.Time) (*Step, time.Time) {
	b := DefaultBounds.forImage(x.Patience)
	since, limit, why := x.TouchedAt, orphanTimeout, ""
	switch {
	case x.WasUp:
		return nil, time.Time{} // it does not start: Nomad may have lost contact with its node
	case x.Refused != nil && !x.RoomUntil.IsZero():
		return decideWaiting(x, now)
	case x.Refused != nil:
		why = "it cannot be placed: " + x.Refused.Message
	case x.Running && !x.HealthKnown:
		return nil, now.Add(orphanTimeout) // whether its checks pass is not known
	case x.Running:
		since, limit = x.RunningSince, b.StartTimeout
		why = withCheck(fmt.Sprintf("it runs and its checks have not passed for %s", limit), x.Check)
	default:
		if x.PlacedAt.After(since) {
			since = x.PlacedAt // before that it waited for room
		}
		limit = b.PlaceTimeout
		why = fmt.Sprintf("it is placed and has not started to run for %s", limit)
	}
	if at := since.Add(limit); at.After(now) {
		return nil, at
	}
	return &Step{Kind: End, Reason: staging.ReasonFailed + why}, time.Time{}
}

// decideAssigned enforces the terms of a user's session, and reads them first.
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
	case x.FateLost:
		return &Step{Kind: RewriteFate, Reason: "Redis has it as a user's, and Consul lost its fate record"}, time.Time{}
	case over(x.EndsAt):
		return &Step{Kind: ExpireLimit, Reason: fmt.Sprintf("its time limit of %s is over", x.Terms.TimeLimit)}, time.Time{}
	case over(x.KeepaliveUntil):
		return &Step{Kind: ExpireKeepalive, Reason: fmt.Sprintf("no keepalive came for %s", x.Terms.Keepalive)}, time.Time{}
	case over(x.IdleDue):
		return &Step{Kind: ExpireIdle, Reason: fmt.Sprintf("it is not used, and its idle_expiration is %s", x.Terms.Idle)}, time.Time{}
	case over(x.UnvisitedEndsAt):
		return &Step{Kind: ExpireUnvisited, Reason: fmt.Sprintf("its user did not open it within %s", x.Terms.Unvisited)}, time.Time{}
	case over(x.UnhealthyUntil):
		return &Step{Kind: End, Reason: fmt.Sprintf("its checks have failed for %s", x.Terms.Unhealthy)}, time.Time{}
	case over(x.EndWarningDue):
		return &Step{Kind: WarnEnd, Reason: fmt.Sprintf("its time limit of %s is near", x.Terms.TimeLimit)}, time.Time{}
	case x.Running && over(x.PreEndDue):
		return &Step{Kind: PreEnd, Reason: "its end is near"}, time.Time{}
	}
	if step := decideRestarted(x); step != nil {
		return step, time.Time{}
	}
	switch {
	case !x.Tagged && now.Before(x.TouchedAt.Add(tagAfter)):
		return nil, x.TouchedAt.Add(tagAfter)
	case !x.Tagged:
		return &Step{Kind: Tag, Reason: "it was assigned to a user"}, time.Time{}
	}
	if step := decideHealth(x); step != nil {
		return step, time.Time{}
	}
	return nil, wake
}

// decideClaimed completes or ends a claim whose broker may be gone, or is. A finished fate
// record makes the session its user's. If the record is unfinished or absent when the
// lease is over, the outcome of the claim cannot be known, and the session is ended.
func decideClaimed(x Unpooled, now time.Time) (*Step, time.Time) {
	if x.Fate == staging.VerdictAssigned && !x.HookPending {
		return &Step{Kind: Assign, Reason: "its fate record shows a finished claim"}, time.Time{}
	}
	over := x.TouchedAt.Add(staging.ClaimLease)
	if x.Fate == staging.VerdictAssigned {
		over = x.Lease
	}
	readAt := x.TouchedAt.Add(readClaimAfter)
	switch {
	case x.BrokerGone:
		// The record is abandoned first: a broker that is alive after all can then no
		// longer finish the claim.
		return &Step{Kind: End, Reason: "the broker that claimed it is gone"}, time.Time{}
	case now.Before(over) && !x.ClaimRead && readAt.Before(over) && now.Before(readAt):
		return nil, readAt
	case now.Before(over) && !x.ClaimRead && readAt.Before(over):
		return &Step{Kind: ReadClaim, Reason: "its claim takes long"}, time.Time{}
	case now.Before(over):
		return nil, over
	}
	return &Step{Kind: End, Reason: "the launch that claimed it never finished"}, time.Time{}
}
