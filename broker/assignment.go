package broker

import (
	"context"
	"errors"
	"time"

	"github.com/greenroom/greenroom/internal/logfield"
	"github.com/greenroom/greenroom/internal/staging"
)

// decide creates the fate record: from then on the session is this user's, or
// is known to be somebody else's.
func (b *Broker) decide(ctx context.Context, l *launch, s staging.Session, hookPending bool) (staging.Fate, bool, error) {
	if b.o.Unfenced && s.Origin == staging.Staged {
		return staging.Fate{}, true, nil
	}
	if s.Origin == staging.Staged && !l.redisAway && time.Since(l.heardAt) > staging.TrustTTL {
		// This broker stood still: the session may have been ended meanwhile, and its
		// record with it.
		return staging.Fate{}, false, errStale
	}
	start := time.Now()
	defer func() { l.timings.Fence += time.Since(start) }()
	ctx, cancel := context.WithTimeout(ctx, consulTimeout)
	defer cancel()
	won, fate, err := b.Registry.CreateFate(ctx, staging.Fate{
		Session: s.ID, Verdict: staging.VerdictAssigned, User: &l.User, Claim: l.claim.ID, Terms: l.claim.Terms, Zone: s.Zone,
		IdempotencyKey: l.IdempotencyKey, Fingerprint: l.claim.Fingerprint, KeyIndex: l.keyIndex, HookPending: hookPending,
		Lease: start.Add(staging.ClaimLease).UTC(), DecidedAt: start.UTC(),
	})
	if won {
		l.keyIndex = fate.KeyIndex
	}
	return fate, won, err
}

func (b *Broker) finish(ctx context.Context, l *launch, fate staging.Fate) error {
	if fate.Session == "" {
		return nil // unfenced: there is no record to finish
	}
	start := time.Now()
	defer func() { l.timings.Fence += time.Since(start) }()
	ctx, cancel := context.WithTimeout(ctx, consulTimeout)
	defer cancel()
	return b.Registry.FinishFate(ctx, fate)
}

// finished finds out what became of a write whose answer was lost: whether the
// assignment is recorded as finished. Where it surely is not, and will not be, the
// session is destroyed; where that cannot be known, the scaler sees to it.
func (b *Broker) finished(ctx context.Context, l *launch, s staging.Session, fate staging.Fate) bool {
	const reason = "the end of its assign hook could not be recorded in Consul"
	ctx, cancel := context.WithTimeout(ctx, consulTimeout)
	defer cancel()
	abandoned := b.Registry.AbandonFate(ctx, fate, reason)
	if abandoned == nil {
		b.abandon(ctx, l, s, reason)
		return false
	}
	now, err := b.Registry.Fate(ctx, s.ID)
	if err == nil && now.Claim == l.claim.ID && !now.HookPending && now.Reason == "" {
		return true
	}
	b.unhold(ctx, l)
	l.log().WithError(errors.Join(abandoned, err)).WithField(logfield.Session, s.ID).
		Warn("whether an assignment is recorded is not known; the scaler ends the session with its lease, or finishes it")
	return false
}

// assignedBehind answers for a session whose assignment Consul holds as finished, and
// notes it in Redis behind the answer: until it is noted, whoever finds the session
// claimed asks its fate. Should Redis fail, the scaler puts it back.
func (b *Broker) assignedBehind(ctx context.Context, l *launch, s staging.Session) (staging.Session, error) {
	if b.o.Unfenced {
		// There is no record to ask.
		return b.assigned(ctx, l, s)
	}
	s.State, s.AssignedAt = staging.Assigned, l.now()
	if l.redisAway {
		// It does not know of the claim: it is told in another way.
		return s, nil
	}
	b.behind(func() {
		ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
		defer cancel()
		if _, err := b.Store.Assign(ctx, s); err != nil {
			l.log().WithError(err).WithField(logfield.Session, s.ID).Warn("the assignment stands in Consul but could not be noted in Redis")
		}
	})
	return s, nil
}

// now is the time by Redis's clock, as far as the launch has heard it: by that clock
// a session's limits are kept.
func (l *launch) now() time.Time {
	if l.claimedAt.IsZero() {
		return time.Now().UTC().Truncate(time.Millisecond)
	}
	return l.claimedAt.Add(time.Since(l.heardAt)).Truncate(time.Millisecond)
}

// assigned notes the assignment in Redis. Consul holds it as finished already,
// so that a Redis that fails now loses nothing: the scaler puts it back.
//
// A session that was ended in this very moment is an error.
func (b *Broker) assigned(ctx context.Context, l *launch, s staging.Session) (staging.Session, error) {
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	done, err := b.Store.Assign(ctx, s)
	l.timings.Claim += time.Since(start)
	var moved *staging.StateError
	switch {
	case errors.As(err, &moved) && moved.State.Over():
		return staging.Session{}, endedMeanwhile()
	case err != nil:
		l.log().WithError(err).WithField(logfield.Session, s.ID).Warn("the assignment stands in Consul but could not be noted in Redis")
		s.State, s.AssignedAt = staging.Assigned, time.Now().UTC()
		return s, nil
	}
	return done, nil
}
