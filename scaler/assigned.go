package scaler

import (
	"context"
	"errors"
	"time"

	"github.com/greenroom/greenroom/internal/logfield"
	"github.com/greenroom/greenroom/internal/staging"
)

// maxFirstLaunchTries bounds how often a first_launch hook is tried that was never
// started: past it, it is the image that has no shell, and not Nomad that is away.
const maxFirstLaunchTries = 5

// applyFirstLaunch runs the hook. What it wrote is kept when it fails.
func (s *Scaler) applyFirstLaunch(ctx context.Context, t task) result {
	err := s.Hooks.FirstLaunch(ctx, t.session, t.hook)
	if err == nil {
		return result{}
	}
	s.Meter.HookFailed()
	r := result{failure: &staging.Failure{Type: staging.HookFailing, Message: err.Error()}, err: err}
	e := staging.Event{
		Type: staging.EventHookFailed, Session: t.session.ID, Pool: t.pool, Zone: t.session.Zone, Image: t.session.Image,
		Hook: staging.HookFirstLaunch, Reason: err.Error(),
	}
	var failed *staging.HookError
	if errors.As(err, &failed) {
		if failed.Untouched {
			// Nothing happened yet: it is tried again.
			r.failure = nil
		}
		e.Stdout, e.Stderr = failed.Stdout, failed.Stderr
	}
	if err := s.Store.Note(ctx, e); err != nil {
		s.Log.WithError(err).WithField(logfield.Session, t.session.ID).Warn("could not keep the event of a failed hook; the log has it")
	}
	return r
}

// launched folds in how a first_launch hook went.
func (v *view) firstLaunchDone(e *entry, r result, now time.Time) {
	switch {
	case r.err == nil:
		e.firstLaunched = true
	case r.failure == nil && e.firstLaunchTries < maxFirstLaunchTries:
		e.firstLaunchTries++
	default:
		e.firstLaunchFailure = r.failure
		if e.firstLaunchFailure == nil {
			e.firstLaunchFailure = &staging.Failure{Type: staging.HookFailing, Message: r.err.Error()}
		}
		v.countFailure(e, now)
	}
}

// firstLaunch is the hook that a session is still to run before anybody has it;
// nil when there is none.
func (v *view) firstLaunchHook(e *entry) *staging.Hook {
	if e.firstLaunched {
		return nil
	}
	if e.s.Hooks != nil {
		return e.s.Hooks.FirstLaunch
	}
	return v.resources.Images[e.s.Image].ExecConfig.FirstLaunch
}

// applyTag learns whose a session became and on what terms, which the event of
// its assignment does not say, and shows it in Consul.
func (s *Scaler) applyTag(ctx context.Context, t task) result {
	x, err := s.Store.Session(ctx, t.session.ID)
	if errors.Is(err, staging.ErrNoSession) {
		return result{lost: true}
	}
	if err != nil {
		return result{err: err}
	}
	r := result{state: x.State, stored: &x}
	if x.State == staging.Assigned {
		shown := t.session
		shown.User = x.User
		r.err = s.Fleet.Tag(ctx, shown)
	}
	return r
}

// applyExpireKeepalive ends a session for which no keepalive came. Redis has the last word.
func (s *Scaler) applyExpireKeepalive(ctx context.Context, t task) result {
	var lost time.Time
	if at := s.redisLostAt.Load(); at != nil {
		lost = *at
	}
	x, err := s.Store.ExpireKeepalive(ctx, t.session, lost)
	if errors.Is(err, staging.ErrNoSession) {
		return result{lost: true}
	}
	if err != nil {
		return result{err: err}
	}
	r := result{state: x.State, stored: &x}
	if x.State == staging.Ending {
		r.err = s.Fleet.Stop(ctx, t.session)
	}
	return r
}

// learn folds in what Redis says of a user's session.
func (v *view) setUserFacts(e *entry, x staging.Session) {
	e.s.User, e.s.Terms, e.s.AssignedAt, e.s.KeepaliveAt = x.User, x.Terms, x.AssignedAt, x.KeepaliveAt
	if e.s.Hooks == nil {
		e.s.Hooks = x.Hooks
	}
}
