package broker

import (
	"context"
	"errors"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/logfield"
	"github.com/greenroom/greenroom/internal/staging"
)

// errEnded: somebody ended the session while it was being made. No other one is
// tried for its launch.
var errEnded = errors.New("ended while it was being made")

func endedMeanwhile() *refusal.Error {
	return &refusal.Error{Kind: refusal.LaunchFailed, Detail: "the session was ended while it was being made", Cause: errEnded}
}

// abandon gives up a session of a launch that goes on, or may be repeated. A
// repeat must not take the session's end for that of the launch, so the key
// lets go of it first.
func (b *Broker) abandon(ctx context.Context, l *launch, s staging.Session, reason string) {
	b.unhold(ctx, l)
	b.discard(l, s, reason)
}

// giveBack gives up a claimed session of which surely no fate was written.
func (b *Broker) giveBack(ctx context.Context, l *launch, s staging.Session, reason string) {
	if l.redisAway {
		b.unhold(ctx, l)
		return // it was only looked at
	}
	b.giveUp(ctx, l, s, reason)
}

// giveUp gives up a claimed session whose fate is not known. It is ended only if its
// fate is, or can be made, that of nobody, or this launch's: while Redis is away, or
// was put back, it may be another's.
func (b *Broker) giveUp(ctx context.Context, l *launch, s staging.Session, reason string) {
	b.unhold(ctx, l)
	b.behind(func() {
		ctx, cancel := context.WithTimeout(context.Background(), consulTimeout)
		defer cancel()
		_, stands, err := b.Registry.CreateFate(ctx, staging.Fate{
			Session: s.ID, Verdict: staging.VerdictRetired, Reason: reason, DecidedAt: time.Now().UTC(),
		})
		ours := stands.Claim == l.claim.ID
		if ours && !stands.HookPending && l.IdempotencyKey != "" {
			// It was recorded after all: a repeat is given the session.
			return
		}
		if err != nil || stands.Verdict != staging.VerdictRetired && !ours {
			l.log().WithError(err).WithField(logfield.Session, s.ID).Warn("a claimed session is left to the scaler, which ends it with its lease")
			return
		}
		b.discard(l, s, reason)
	})
}

// unhold lets the launch's key go on without a session.
func (b *Broker) unhold(ctx context.Context, l *launch) {
	if l.IdempotencyKey == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if err := b.Store.DetachKey(ctx, l.IdempotencyKey, l.claim.ID); err != nil {
		l.log().WithError(err).Warn("could not take a session from the launch's idempotency key; a repeat may be refused for a moment")
	}
}

// discard destroys a session that was claimed and cannot be given to its user.
// It is never reused. The launch does not wait for it.
func (b *Broker) discard(l *launch, s staging.Session, reason string) {
	log := l.log().WithFields(logrus.Fields{logfield.Session: s.ID, logfield.Reason: reason})
	b.behind(func() {
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
	log := l.log().WithField(logfield.Session, s.ID)
	b.behind(func() {
		ctx, cancel := context.WithTimeout(context.Background(), cleanupTimeout)
		defer cancel()
		var err error
		if fate.Verdict == staging.VerdictAssigned {
			s = fate.Given(s)
			if fate.HookPending {
				s.State = staging.Claimed
			}
			_, err = b.Store.Restore(ctx, s, fate)
		} else {
			err = b.Store.Finish(ctx, s.ID, s.Claim, fate.Reason)
		}
		if err != nil {
			log.WithError(err).Warn("could not bring Redis into line with a session's fate; the scaler will")
		}
	})
}
