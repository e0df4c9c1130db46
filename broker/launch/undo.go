package launch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/logfield"
	"github.com/greenroom/greenroom/internal/staging"
)

// errEnded: somebody ended the session while it was being made. No other one is tried for
// its launch.
var errEnded = errors.New("ended while it was being made")

func endedMeanwhile() *refusal.Error {
	return &refusal.Error{Kind: refusal.LaunchFailed, Detail: "the session was ended while it was being made", Cause: errEnded}
}

// unclaim puts back claimed sessions that have no fate, and will get none: they are
// unused. One that Redis does not take back is retired. A session of withoutRedis was never claimed in Redis.
func (l *launch) unclaim(ctx context.Context, unused []staging.Session) {
	if l.redisAway {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, deadline.Redis)
	defer cancel()
	for _, s := range unused {
		err := l.Store.Unclaim(ctx, s)
		var moved *staging.StateError
		switch {
		case err == nil:
		case errors.As(err, &moved):
			l.logSession(s).WithError(err).Warn("an unused session is no longer this launch's to put back into its pool")
		default:
			l.logSession(s).WithError(err).Warn("could not put an unused session back into its pool; it is ended")
			l.retireIfUndecided(s, "it was claimed, not used, and could not be put back into its pool")
		}
	}
}

// giveUpLost syncs Redis with the fates of the sessions that were decided before. The
// others have no fate, since all are created or none: they are unused, and go back.
func (l *launch) giveUpLost(ctx context.Context, taken []staging.Session, lost map[string]staging.Fate) {
	// First: a waiting repeat must not take the end of a lost session for that of the launch.
	l.detachKey(ctx)
	var unused []staging.Session
	for _, s := range taken {
		fate, isLost := lost[s.ID]
		switch {
		case !isLost:
			unused = append(unused, s)
		case fate.Verdict == "":
			l.attempt(staging.StepStaged, s.Zone, staging.OutcomeLost, fmt.Sprintf("the fate of session %s was deleted meanwhile", s.ID))
			l.retireIfUndecided(s, "its fate has come and gone")
		case fate.Verdict == staging.VerdictUnreadable:
			// It may be a user's. The scaler quarantines it.
			l.attempt(staging.StepStaged, s.Zone, staging.OutcomeLost, fate.Reason)
		default:
			l.attempt(staging.StepStaged, s.Zone, staging.OutcomeLost, fmt.Sprintf("session %s was already %s", s.ID, fate.Verdict))
			l.syncToFate(s, fate)
		}
	}
	l.unclaim(ctx, unused)
}

// retireIfUndecided gives up a claimed session whose fate is not known. It is destroyed
// only if its fate is, or can be made, retired, or this launch's: while Redis is away, or
// was restored, it may be another user's.
func (l *launch) retireIfUndecided(s staging.Session, reason string) {
	l.Background.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), deadline.Consul)
		defer cancel()
		created, lost, err := l.Fates.CreateFates(ctx, []staging.Fate{{
			Session: s.ID, Verdict: staging.VerdictRetired, Reason: reason, DecidedAt: time.Now().UTC(),
		}})
		retired, stands := len(created) == 1, lost[s.ID]
		ours := stands.Claim == l.claim.ID
		if ours && !stands.HookPending && l.IdempotencyKey != "" {
			return // it was recorded after all: a repeat gets the session
		}
		if err != nil || !retired && stands.Verdict != staging.VerdictRetired && !ours {
			l.logSession(s).WithError(err).Warn("the fate of a claimed session is not known; the scaler ends it with its lease")
			return
		}
		l.destroy(s, reason)
	})
}

// syncToFate syncs Redis with a fate that was decided before.
func (l *launch) syncToFate(s staging.Session, fate staging.Fate) {
	l.Background.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), deadline.Cleanup)
		defer cancel()
		var err error
		if fate.Verdict == staging.VerdictAssigned {
			restored := fate.Given(s)
			if fate.HookPending {
				restored.State = staging.Claimed
			}
			_, err = l.Store.Restore(ctx, restored, fate)
		} else {
			err = l.Store.Finish(ctx, s.ID, s.Claim, fate.Reason)
		}
		if err != nil {
			l.logSession(s).WithError(err).Warn("could not sync Redis with a session's fate; the scaler will")
		}
	})
}

// destroyAll destroys all of the launch's sessions, which goes on or may be repeated. A
// repeat must not take their end for that of the launch, so the key detaches first.
func (l *launch) destroyAll(ctx context.Context, sessions []staging.Session, reason string) {
	l.detachKey(ctx)
	for _, s := range sessions {
		l.destroy(s, reason)
	}
}

// destroy ends a session that was claimed and cannot be given to its user, in the
// background. It is never reused.
func (l *launch) destroy(s staging.Session, reason string) {
	l.Background.Go(func() {
		log := l.logSession(s).WithField(logfield.Reason, reason)
		ctx, cancel := context.WithTimeout(context.Background(), deadline.Cleanup)
		defer cancel()
		if err := l.Store.Finish(ctx, s.ID, s.Claim, reason); err != nil {
			log.WithError(err).Warn("could not mark in Redis that a claimed session is being destroyed")
		}
		if err := l.Fleet.Stop(ctx, s); err != nil {
			log.WithError(err).Warn("could not stop a claimed session; the scaler will")
			return
		}
		log.Info("claimed session destroyed")
	})
}

// detachKey takes the sessions from the launch's key in Redis: the launch tries others.
func (l *launch) detachKey(ctx context.Context) {
	if l.IdempotencyKey == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, deadline.Redis)
	defer cancel()
	if err := l.Keys.DetachKey(ctx, l.IdempotencyKey, l.claim.ID); err != nil {
		l.log().WithError(err).Warn("could not take the sessions from the launch's idempotency key; a repeat may be refused for a moment")
	}
}

// releaseKey frees the key of a launch that gave no session, in Consul and in Redis. A key
// that another launch holds stays as it is.
func (l *launch) releaseKey(ctx context.Context) {
	if l.keyIndex != 0 {
		// Not under ctx: a launch whose time is up must not keep its key in Consul.
		consul, cancel := context.WithTimeout(context.Background(), deadline.Consul)
		defer cancel()
		if err := l.Fates.ReleaseKey(consul, l.IdempotencyKey, l.claim.ID); err != nil {
			l.log().WithError(err).Warn("could not free the idempotency key in Consul; it is deleted with the session that it names")
		}
	}
	redis, cancel := context.WithTimeout(ctx, deadline.Redis)
	defer cancel()
	if err := l.Keys.Release(redis, l.IdempotencyKey, l.claim.ID, ""); err != nil {
		l.log().WithError(err).Warn("could not free the idempotency key in Redis; it expires with its lease")
	}
}

// logSession returns an entry about one of the launch's sessions.
func (l *launch) logSession(s staging.Session) *logrus.Entry {
	return l.log().WithField(logfield.Session, s.ID)
}
