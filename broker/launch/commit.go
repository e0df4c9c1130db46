package launch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
	"github.com/greenroom/greenroom/internal/tracing"
)

// errLost: one of the sessions was somebody's already; others may be tried.
var errLost = errors.New("one of the sessions was somebody's already")

// errHookFailed: the assign hook failed in one of the sessions, and all are destroyed;
// others may be tried.
var errHookFailed = errors.New("the assign hook failed in one of the sessions")

// errClaimTooOld: this broker stood still since Redis replied to the claim, for longer than
// Redis is trusted.
var errClaimTooOld = errors.New("the claim was made too long ago to be decided now")

// commit makes claimed sessions the user's, all of them or none: it has their fates
// decided, runs the assign hook in each (at most runs at once), and has the fates
// finished. errLost and errHookFailed say that other sessions may be tried, errHookDenied that this
// pool's would not do.
func (l *launch) commit(ctx context.Context, taken []staging.Session, runs int) ([]staging.Session, error) {
	hooks := make([]*staging.Hook, len(taken))
	var prepared Assignment
	pending := false
	for i := range taken {
		s := &taken[i]
		s.Terms, s.ExpiresAt = l.claim.Terms, time.Time{} // expiration is for sessions that wait
		l.tried[s.ID] = true
		hooks[i] = staging.HooksOf(*s, l.image).Assign
		pending = pending || hooks[i] != nil
	}
	if len(taken) == 1 && pending {
		// While Consul decides, a shell that waits in the session is probed.
		prepared = l.Hooks.Ready(ctx, taken[0], *hooks[0])
		defer prepared.Drop()
	}
	if denied := l.openUnlessKnown(ctx, taken, hooks, prepared); denied != nil {
		// No fate was written, nor will be.
		l.attempt(staging.StepStaged, zoneOf(l, taken), staging.OutcomeFailed, denied.Error())
		l.detachKey(ctx)
		l.unclaim(ctx, taken)
		return nil, fmt.Errorf("%w: %w", errHookDenied, denied)
	}
	fates, lost, err := l.decide(ctx, taken, pending, runs)
	var held *staging.KeyHeldError
	var locked *access.LockedError
	switch {
	case errors.As(err, &held):
		// Redis did not know of the launch that holds the key.
		l.attempt(staging.StepStaged, zoneOf(l, taken), staging.OutcomeLost, "another launch holds the idempotency key")
		l.detachKey(ctx)
		l.unclaim(ctx, taken)
		return nil, l.repeatOf(ctx, held.KeyHold)
	case errors.As(err, &locked):
		// No fate was written, nor will be.
		l.attempt(staging.StepStaged, zoneOf(l, taken), staging.OutcomeLost, err.Error())
		l.detachKey(ctx)
		l.unclaim(ctx, taken)
		return nil, refusal.Locked(locked)
	case isOutdated(err):
		// No fate was written, nor will be.
		l.attempt(staging.StepStaged, zoneOf(l, taken), staging.OutcomeLost, err.Error())
		l.detachKey(ctx)
		l.unclaim(ctx, taken)
		for _, s := range taken {
			delete(l.tried, s.ID) // it may be of the current revision
		}
		return nil, err
	case errors.Is(err, errClaimTooOld):
		// No fate was written, nor will be, so the sessions are unused. Redis takes back only
		// those that this claim still holds there.
		l.attempt(staging.StepStaged, zoneOf(l, taken), staging.OutcomeLost, err.Error())
		l.detachKey(ctx)
		l.unclaim(ctx, taken)
		return nil, errLost
	case err != nil:
		l.consul.trip()
		l.attempt(staging.StepStaged, zoneOf(l, taken), staging.OutcomeFailed, "Consul did not record the assignment")
		l.detachKey(ctx)
		for _, s := range taken {
			l.retireIfUndecided(s, "its assignment could not be recorded in Consul")
		}
		return nil, refusal.NoConsul(err)
	case len(lost) > 0:
		l.giveUpLost(ctx, taken, lost)
		return nil, errLost
	}
	if pending {
		if err := l.runHooks(ctx, taken, hooks, prepared, runs); err != nil {
			l.destroyAll(ctx, taken, staging.ReasonFailed+err.Error())
			if errors.Is(err, staging.ErrExecDenied) {
				return nil, fmt.Errorf("%w: %w", errHookDenied, err)
			}
			return nil, errHookFailed
		}
		if err := l.finish(ctx, fates); err != nil {
			err = l.settleUnknownFinish(ctx, taken, fates, err)
			if errors.Is(err, errLost) {
				return nil, err
			}
			if err != nil {
				l.consul.trip()
				l.attempt(staging.StepStaged, zoneOf(l, taken), staging.OutcomeFailed, "Consul did not record the end of the assign hook")
				return nil, refusal.NoConsul(err)
			}
		}
	}
	return l.assignStaged(ctx, taken)
}

// zoneOf is the zone to name in an attempt that concerns all of a launch's sessions.
func zoneOf(l *launch, taken []staging.Session) string {
	if l.Several() {
		return l.Zone
	}
	return taken[0].Zone
}

// decide creates the fate records: from then on the sessions are this user's. lost are
// those that were decided before, and then none is the user's.
func (l *launch) decide(ctx context.Context, sessions []staging.Session, hookPending bool, runs int) (
	fates []staging.Fate, lost map[string]staging.Fate, err error,
) {
	if sessions[0].Origin == staging.Staged {
		if l.unfenced {
			return nil, nil, nil
		}
		if !l.redisAway && time.Since(l.repliedAt) > staging.TrustTTL {
			// This broker stood still: the sessions may have been ended meanwhile, and
			// their fate records with them.
			return nil, nil, errClaimTooOld
		}
	}
	start := time.Now()
	defer func() { l.timings.Fence += time.Since(start) }()
	ctx, cancel := context.WithTimeout(ctx, deadline.Consul)
	defer cancel()
	// Where there are more hooks than may run at once, they run in rounds.
	rounds := 1
	if runs > 0 {
		rounds = (len(sessions) + runs - 1) / runs
	}
	var all []string
	if len(sessions) > 1 {
		all = sessionIDs(sessions)
	}
	fates = make([]staging.Fate, len(sessions))
	// By Redis's clock, where that is known: a session's time limit is kept by it.
	decided := l.now().UTC()
	for i, s := range sessions {
		fates[i] = staging.Fate{
			Session: s.ID, Verdict: staging.VerdictAssigned, User: &l.User, Claim: l.claim.ID, Terms: l.claim.Terms, Zone: s.Zone,
			Namespace:      staging.FateNamespace(s),
			IdempotencyKey: l.IdempotencyKey, Fingerprint: l.claim.Fingerprint, KeyIndex: l.keyIndex, Sessions: all, HookPending: hookPending,
			Restarts: s.Restarts,
			Lease:    decided.Add(time.Duration(rounds) * staging.ClaimLease), DecidedAt: decided,
		}
	}
	fates[0].MadeOf = l.madeOf(sessions)
	ctx, span := tracing.Start(ctx, "fence")
	fates, lost, err = l.Fates.CreateFates(ctx, fates)
	span.End(err)
	if err == nil && len(lost) == 0 {
		l.keyIndex = fates[0].KeyIndex
		if l.redisAway {
			l.decided.add(fates)
		}
	}
	return fates, lost, err
}

// finish records that the assign hooks have finished.
func (l *launch) finish(ctx context.Context, fates []staging.Fate) error {
	if len(fates) == 0 {
		return nil // unfenced: there are no records to finish
	}
	start := time.Now()
	defer func() { l.timings.Fence += time.Since(start) }()
	ctx, cancel := context.WithTimeout(ctx, deadline.Consul)
	defer cancel()
	ctx, span := tracing.Start(ctx, "finish")
	err := l.Fates.FinishFates(ctx, fates)
	span.End(err)
	return err
}

// settleUnknownFinish settles a finish that failed, or whose reply was lost. It returns nil if
// the finish succeeded after all, errLost if the scaler had taken the records from the claim,
// since this broker seemed to be dead, and else the failure.
//
// All fates are finished in one step, so the first represents them: once it is taken from the
// claim, none of them can be finished. Sessions whose records were taken from the claim are
// destroyed; the scaler ends the others with their lease, or finishes them.
func (l *launch) settleUnknownFinish(ctx context.Context, taken []staging.Session, fates []staging.Fate, failure error) error {
	const (
		reason  = "the end of its assign hook could not be recorded in Consul"
		another = "the end of the assign hook of a session of the same launch could not be recorded in Consul"
	)
	// The reply may have been lost because ctx was over.
	ctx = context.WithoutCancel(ctx)
	consul, cancel := context.WithTimeout(ctx, deadline.Consul)
	defer cancel()
	abandoned := l.Fates.AbandonFate(consul, fates[0], reason)
	if abandoned != nil {
		now, err := l.Fates.Fate(consul, taken[0].ID)
		ours := err == nil && now.Claim == l.claim.ID
		if ours && !now.HookPending && now.Reason == "" {
			return nil
		}
		l.detachKey(ctx)
		if ours && now.Reason != "" {
			l.attempt(staging.StepStaged, zoneOf(l, taken), staging.OutcomeLost, fmt.Sprintf("session %s was taken from this launch: %s", taken[0].ID, now.Reason))
			failure = errLost
		} else {
			l.logSession(taken[0]).WithError(errors.Join(abandoned, err)).
				Warn("it is not known whether an assignment is recorded; the scaler ends the session with its lease, or finishes it")
		}
	} else {
		l.detachKey(ctx)
		l.destroy(taken[0], reason)
	}
	others, cancelOthers := context.WithTimeout(ctx, deadline.Consul)
	defer cancelOthers()
	for i, s := range taken[1:] {
		if err := l.Fates.AbandonFate(others, fates[i+1], another); err == nil {
			l.destroy(s, another)
		}
	}
	return failure
}

// assignStaged answers for sessions that are all the user's.
func (l *launch) assignStaged(ctx context.Context, taken []staging.Session) ([]staging.Session, error) {
	for i, s := range taken {
		if s.State == staging.Assigned {
			continue
		}
		assigned, err := l.markAssignedAsync(ctx, s)
		if err != nil {
			// It was ended in this very moment: without it, they are not complete.
			if l.Several() {
				l.destroyAll(ctx, taken, "another session of the same launch was ended while it was being made")
			}
			return nil, err
		}
		taken[i] = assigned
	}
	if !l.Several() {
		l.attempt(staging.StepStaged, taken[0].Zone, staging.OutcomeServed, l.choice)
		return taken, nil
	}
	inZone := map[string]int{}
	for _, s := range taken {
		inZone[s.Zone]++
		l.Meter.Attempt(staging.StepStaged, staging.OutcomeServed)
	}
	for _, s := range taken {
		if n := inZone[s.Zone]; n > 0 {
			l.attempts = append(l.attempts, staging.Attempt{
				Step: staging.StepStaged, Zone: s.Zone, Outcome: staging.OutcomeServed, Reason: joinedReasons(staging.Count(n, "session"), l.choice),
			})
			delete(inZone, s.Zone)
		}
	}
	return taken, nil
}

// markAssignedAsync answers for a session whose assignment Consul holds as finished, and
// marks it in Redis in the background: until then, a reader that finds the session claimed
// reads its fate. Should Redis fail, the scaler restores it.
func (l *launch) markAssignedAsync(ctx context.Context, s staging.Session) (staging.Session, error) {
	if l.unfenced {
		return l.markAssigned(ctx, s) // there is no fate to read
	}
	s.State, s.AssignedAt = staging.Assigned, l.now()
	if l.redisAway {
		return s, nil // Redis does not know the claim: syncRedis restores the session there
	}
	l.Background.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), deadline.Redis)
		defer cancel()
		if _, err := l.Store.Assign(ctx, s); err != nil {
			l.logSession(s).WithError(err).Warn("the assignment is recorded in Consul but could not be marked in Redis; the scaler will")
		}
	})
	return s, nil
}

// markAssigned marks the assignment in Redis. Consul holds it as finished already, so a
// Redis that fails now loses nothing: the scaler restores it.
//
// A session that was ended in this very moment is an error.
func (l *launch) markAssigned(ctx context.Context, s staging.Session) (staging.Session, error) {
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, deadline.Redis)
	defer cancel()
	done, err := l.Store.Assign(ctx, s)
	l.timings.Claim += time.Since(start)
	var moved *staging.StateError
	switch {
	case errors.As(err, &moved) && moved.State.Over():
		return staging.Session{}, endedMeanwhile()
	case err != nil:
		l.logSession(s).WithError(err).Warn("the assignment is recorded in Consul but could not be marked in Redis; the scaler will")
		s.State, s.AssignedAt = staging.Assigned, time.Now().UTC()
		return s, nil
	}
	return done, nil
}
