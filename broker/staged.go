package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/internal/staging"
)

// maxClaims bounds how many sessions of one pool one launch may use up when
// they turn out to be lost or their hook fails: past it something is wrong with
// all of them, and going on would only destroy more.
const maxClaims = 5

// staged tries to serve the launch from a pool. A session without an id means
// that the pool could not, and that the next step is to be tried.
func (b *Broker) staged(ctx context.Context, l *launch, pool staging.Config) (staging.Session, error) {
	for range maxClaims {
		s, err := b.take(ctx, l, pool.Name)
		if err != nil || s.ID == "" {
			return s, err
		}
		served, err := b.settle(ctx, l, s)
		if err != nil || served.ID != "" {
			return served, err
		}
	}
	return staging.Session{}, nil
}

// take pops the pool's oldest ready session: one round trip to Redis.
func (b *Broker) take(ctx context.Context, l *launch, pool string) (staging.Session, error) {
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	r, err := b.Store.Claim(ctx, pool, l.claim)
	l.timings.Claim += time.Since(start)
	if err != nil {
		// Whether the claim happened is not known. If it did, the session is
		// nobody's, and the scaler ends it when the lease of a claim is over.
		return staging.Session{}, redisUnavailable(err)
	}
	switch r.Outcome {
	case staging.ClaimRepeat:
		return staging.Session{}, &repeatError{}
	case staging.ClaimKeyReused:
		return staging.Session{}, keyReused()
	case staging.ClaimEmpty:
		b.attempt(l, staging.StepStaged, staging.OutcomeEmpty, fmt.Sprintf("no session of %s is ready", pool))
	}
	return r.Session, nil
}

// settle has the fate of a claimed session decided, runs the assign hook and
// finishes the assignment. A session without an id means that this one did not
// work out, and that another may be tried.
func (b *Broker) settle(ctx context.Context, l *launch, s staging.Session) (staging.Session, error) {
	hook := l.image.ExecConfig.Assign
	fate, won, err := b.decide(ctx, l, s, hook != nil)
	if err != nil {
		b.attempt(l, staging.StepStaged, staging.OutcomeFailed, "Consul did not record the assignment")
		b.discard(l, s, "its assignment could not be recorded in Consul")
		return staging.Session{}, consulUnavailable(err)
	}
	if !won {
		b.attempt(l, staging.StepStaged, staging.OutcomeLost, fmt.Sprintf("session %s was already %s", s.ID, fate.Verdict))
		b.yieldTo(l, s, fate)
		return staging.Session{}, nil
	}
	if hook != nil {
		start := time.Now()
		err := b.Hooks.Run(ctx, s, *hook, l.Variables(s.ID))
		l.timings.Hook += time.Since(start)
		if err != nil {
			b.attempt(l, staging.StepStaged, staging.OutcomeFailed, "assign hook: "+err.Error())
			b.discard(l, s, "assign hook failed: "+err.Error())
			return staging.Session{}, nil
		}
		if err := b.finish(ctx, l, fate); err != nil {
			b.attempt(l, staging.StepStaged, staging.OutcomeFailed, "Consul did not record the end of the assign hook")
			b.discard(l, s, "the end of its assign hook could not be recorded in Consul")
			return staging.Session{}, consulUnavailable(err)
		}
	}
	b.attempt(l, staging.StepStaged, staging.OutcomeServed, "")
	// An assigned session does not expire: expiration is for those that wait.
	s.ExpiresAt = time.Time{}
	return b.assigned(ctx, l, s)
}

// decide creates the fate record: from then on the session is this user's, or
// is known to be somebody else's.
func (b *Broker) decide(ctx context.Context, l *launch, s staging.Session, hookPending bool) (staging.Fate, bool, error) {
	start := time.Now()
	defer func() { l.timings.Fence += time.Since(start) }()
	ctx, cancel := context.WithTimeout(ctx, consulTimeout)
	defer cancel()
	won, fate, err := b.Registry.CreateFate(ctx, staging.Fate{
		Session: s.ID, Verdict: staging.VerdictAssigned, User: &l.User, Claim: l.claim.ID,
		IdempotencyKey: l.IdempotencyKey, HookPending: hookPending,
		Lease: start.Add(staging.ClaimLease).UTC(), DecidedAt: start.UTC(),
	})
	return fate, won, err
}

func (b *Broker) finish(ctx context.Context, l *launch, fate staging.Fate) error {
	start := time.Now()
	defer func() { l.timings.Fence += time.Since(start) }()
	ctx, cancel := context.WithTimeout(ctx, consulTimeout)
	defer cancel()
	return b.Registry.FinishFate(ctx, fate)
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
		l.log.WithError(err).WithField(fieldSession, s.ID).Warn("the assignment stands in Consul but could not be noted in Redis")
		s.State, s.AssignedAt = staging.Assigned, time.Now().UTC()
		return s, nil
	}
	return done, nil
}

func endedMeanwhile() *Error {
	return &Error{Kind: LaunchFailed, Detail: "the session was ended while it was being made"}
}

// discard destroys a session that was claimed and cannot be given to its user.
// It is never reused. The launch does not wait for it.
func (b *Broker) discard(l *launch, s staging.Session, reason string) {
	log := l.log.WithFields(logrus.Fields{fieldSession: s.ID, fieldReason: reason})
	b.cleanups.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), cleanupTimeout)
		defer cancel()
		if err := b.Store.Finish(ctx, s.ID, s.Claim, reason); err != nil {
			log.WithError(err).Warn("could not note in Redis that a claimed session is being destroyed")
		}
		if err := b.Fleet.Stop(ctx, s); err != nil {
			log.WithError(err).Warn("could not stop a claimed session; the scaler will")
			return
		}
		log.Info("claimed session destroyed")
	})
}

// yieldTo brings Redis into line with a fate that was decided before.
func (b *Broker) yieldTo(l *launch, s staging.Session, fate staging.Fate) {
	log := l.log.WithField(fieldSession, s.ID)
	b.cleanups.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), cleanupTimeout)
		defer cancel()
		var err error
		if fate.Verdict == staging.VerdictAssigned {
			s.State, s.Claim, s.User, s.AssignedAt = staging.Assigned, fate.Claim, fate.User, fate.DecidedAt
			if fate.HookPending {
				s.State = staging.Claimed
			}
			_, err = b.Store.Restore(ctx, s)
		} else {
			err = b.Store.Finish(ctx, s.ID, s.Claim, fate.Reason)
		}
		if err != nil {
			log.WithError(err).Warn("could not bring Redis into line with a session's fate; the scaler will")
		}
	})
}
