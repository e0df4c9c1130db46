package launch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/internal/staging"
)

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
		l.attempt(staging.StepStaged, taken[0].Zone, staging.OutcomeServed, "")
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
				Step: staging.StepStaged, Zone: s.Zone, Outcome: staging.OutcomeServed, Reason: fmt.Sprintf("%d sessions", n),
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
