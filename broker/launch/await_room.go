package launch

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

// awaitRoomPause is how long a launch that waits for room pauses after a read that failed.
const awaitRoomPause = time.Second

// roomWait returns how long the launch's session may wait for room in a zone. Without Redis nobody could
// tell what it waits for, so it does not wait.
func (l *launch) roomWait(zone string) time.Duration {
	if l.redisAway || l.atOnce {
		return 0
	}
	return l.resources.RoomWait(zone, l.Request.Launch, l.image, l.settings)
}

// awaitRoom waits for a session that no node can take, and whose job stays queued in Nomad. The
// scaler assigns it once room came and it is up, and ends it if none came in time. So
// nothing depends on this launch: it has ended its turn and only watches. A session that still waits when
// wait is over is returned as it is.
func (l *launch) awaitRoom(ctx, wait context.Context, s staging.Session, mine turn, refused *refusal.Error) (staging.Session, error) {
	mine.end()
	wait, cancel := l.untilHungUp(wait) // then nobody waits for the answer, and the session goes on
	defer cancel()
	began := time.Now()
	s.Reason = staging.ReasonWaitingForRoom + refused.Cause.Error()
	l.attempt(staging.StepOnDemand, s.Zone, staging.OutcomeWaiting, fmt.Sprintf("waits for room for up to %s: %s", s.WaitForRoom.Brief(), refused.Cause))
	l.logSession(s).WithError(refused).Info("no node can take a session made on demand; its job stays queued in Nomad")
	var index uint64
	for {
		now, next, err := l.Sessions.SessionAfter(wait, s.ID, index, time.Until(l.began.Add(l.Wait)))
		switch {
		case err == nil && now.State == staging.Assigned:
			l.attempt(staging.StepOnDemand, s.Zone, staging.OutcomeServed, joinedReasons(l.choice, fmt.Sprintf("it was up %s after it began to wait for room", time.Since(began).Round(time.Second))))
			return now, nil
		case err == nil && now.State.Over():
			return s, l.endedWaiting(now)
		case err == nil:
			s, index = now, next
		case notFound(err):
			return s, l.endedWaiting(staging.Session{ID: s.ID, Zone: s.Zone})
		}
		if wait.Err() != nil {
			why := fmt.Sprintf("not placed within %s; it waits for room until %s", l.Wait, s.RoomUntil().Format(time.RFC3339))
			if s.State == staging.Starting {
				why = fmt.Sprintf("room came, and it was not up within %s", l.Wait)
			}
			if l.stopping.now() {
				why = "its broker was stopped; it goes on waiting for room"
			}
			l.attempt(staging.StepOnDemand, s.Zone, staging.OutcomeStarting, l.withCheck(ctx, why, s))
			l.keepKey(ctx, s)
			return s, nil
		}
		if err != nil {
			l.logSession(s).WithError(err).Debug("cannot read a session that waits for room, retrying")
			select {
			case <-wait.Done():
			case <-time.After(awaitRoomPause):
			}
		}
	}
}

// keepKey keeps the launch's key for its session while that waits for room, so that a repeat
// gets it.
func (l *launch) keepKey(ctx context.Context, s staging.Session) {
	if l.IdempotencyKey == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, deadline.Redis)
	defer cancel()
	if err := l.Keys.KeepKey(ctx, l.IdempotencyKey, l.claim.ID, time.Until(s.RoomUntil())+l.keyLease); err != nil {
		l.log().WithError(err).Warn("could not keep the idempotency key of a session that waits for room; repeats are refused once its lease is over, until the session is up")
	}
}

// endedWaiting is the refusal of a launch whose session ended while the launch waited for it.
func (l *launch) endedWaiting(s staging.Session) *refusal.Error {
	l.attempt(staging.StepOnDemand, s.Zone, staging.OutcomeFailed, s.Reason)
	if strings.HasPrefix(s.Reason, staging.ReasonNoRoomCame) {
		l.waitedInVain = true
		return &refusal.Error{
			Kind: refusal.NoCapacity, RetryAfter: retryNoRoom, Cause: errors.New(s.Reason),
			Detail: s.Reason,
		}
	}
	for _, failed := range []string{staging.ReasonFailed, staging.ReasonUnhealthy} {
		if why, ok := strings.CutPrefix(s.Reason, failed); ok {
			return &refusal.Error{Kind: refusal.LaunchFailed, Detail: fmt.Sprintf("session %s was placed and could not start: %s", s.ID, why), Cause: errors.New(why)}
		}
	}
	return endedMeanwhile()
}

// notFound reports whether a read says that there is no such session, or none any more.
func notFound(err error) bool {
	e, ok := errors.AsType[*refusal.Error](err)
	return ok && e.Kind == refusal.NotFound
}
