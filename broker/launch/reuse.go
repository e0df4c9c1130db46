package launch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

// reuse serves a launch that comes with a URL from the session of the image that its user
// has: the session's go hook is shown the URL. A session without an id means that the user
// has none, or that the image has no such hook.
//
// The key is reserved for the session before the hook runs, so that a repeat is answered
// with the session and does not run the hook again.
func (l *launch) reuse(ctx context.Context) (staging.Session, error) {
	if l.Several() || l.image.ExecConfig.Go == nil || l.URL == "" {
		return staging.Session{}, nil
	}
	s, err := l.ownSession(ctx)
	if err != nil || s.ID == "" {
		return s, err
	}
	if !l.redisAway {
		store, cancel := context.WithTimeout(ctx, deadline.Redis)
		defer cancel()
		r, err := l.Keys.Adopt(store, l.IdempotencyKey, l.claim, s.ID)
		if err != nil {
			return staging.Session{}, refusal.NoRedis(err)
		}
		if err := l.refusedBy(ctx, r); err != nil {
			return staging.Session{}, err
		}
	}
	wait, cancelWait := l.stopping.orDone(ctx)
	defer cancelWait()
	if l.acquireHooks(wait, 1) == 0 {
		if l.stopping.now() {
			return staging.Session{}, brokerStops()
		}
		return staging.Session{}, refusal.AtBound(l.bounds.Hooks, "hooks at once")
	}
	defer l.hooks.Release(1)
	if err := l.awaitReassigned(ctx, s); err != nil {
		return staging.Session{}, err
	}
	start := time.Now()
	ctx, span := hookSpan(ctx, s, staging.HookGo)
	err = l.Hooks.Run(ctx, s, staging.HookGo, *staging.HooksOf(s, l.image).Go, l.in(s.Zone))
	span.End(err)
	l.timings.Hook += time.Since(start)
	if err != nil {
		l.attempt(staging.StepExisting, s.Zone, staging.OutcomeFailed, err.Error())
		l.hookFailed(s, staging.HookGo, err)
		return staging.Session{}, &refusal.Error{
			Kind: refusal.LaunchFailed, Cause: err,
			Detail: fmt.Sprintf("the user has session %s, which stays, and it could not be shown the URL: %s", s.ID, err),
		}
	}
	bind, cancel := context.WithTimeout(ctx, deadline.Redis)
	defer cancel()
	if err := l.Keys.Bind(bind, l.IdempotencyKey, l.claim.ID); err != nil {
		l.log().WithError(err).Warn("could not bind the idempotency key to the session; a repeat after its lease runs the go hook again")
	}
	l.attempt(staging.StepExisting, s.Zone, staging.OutcomeServed, "the user has this session already; its go hook was run")
	return s, nil
}

// reassignedPause is how often a session that is not up after a restart is read again.
const reassignedPause = 250 * time.Millisecond

// awaitReassigned waits, for as long as the caller does, until a session whose main task was
// restarted is up again: its go hook must not run before its assign hook has.
func (l *launch) awaitReassigned(ctx context.Context, s staging.Session) error {
	wait, cancel := context.WithDeadline(ctx, l.began.Add(l.Wait))
	defer cancel()
	pause := time.NewTicker(reassignedPause)
	defer pause.Stop()
	for !s.RestartedAt.IsZero() {
		why := "its main task was restarted, and it is not up yet"
		if s.RestartFailure != "" {
			why = "its main task was restarted, and " + s.RestartFailure
		}
		select {
		case <-pause.C:
			if now, err := l.Sessions.Session(wait, s.ID); err == nil && s.RestartFailure == "" {
				s = now
				continue
			} else if err != nil && wait.Err() == nil {
				return err
			}
		case <-wait.Done():
		}
		l.attempt(staging.StepExisting, s.Zone, staging.OutcomeFailed, why)
		return &refusal.Error{
			Kind: refusal.LaunchFailed, RetryAfter: retryNoRoom, Cause: errNotUp,
			Detail: fmt.Sprintf("the user has session %s, which stays, and it could not be shown the URL: %s; end the session to get another", s.ID, why),
		}
	}
	return nil
}

// errNotUp: the user's session is not up after a restart of its main task.
var errNotUp = errors.New("the session is not up after a restart")

// ownSession is the user's newest assigned session of the launch's image: from Redis, or
// from the fate records where Redis does not answer or is not trusted.
func (l *launch) ownSession(ctx context.Context) (staging.Session, error) {
	start := time.Now()
	store, cancel := context.WithTimeout(ctx, deadline.Redis)
	defer cancel()
	trusted, err := l.Store.Trusted(store, l.Zone)
	var all []staging.Session
	if err == nil && trusted {
		all, err = l.Store.UserSessions(store, l.User.ID)
	}
	l.timings.Claim += time.Since(start)
	if l.redisAway = err != nil; l.redisAway || !trusted {
		if all, err = l.recordedSessions(ctx); err != nil {
			return staging.Session{}, err
		}
	}
	var own staging.Session
	for _, s := range all {
		// The session runs the hooks that it was made with.
		if s.Image == l.Image && l.Scope.AllowsZone(s.Zone) && s.State == staging.Assigned && staging.HooksOf(s, l.image).Go != nil {
			own = s
		}
	}
	return own, nil
}
