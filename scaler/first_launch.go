package scaler

import (
	"context"
	"errors"
	"time"

	"github.com/greenroom/greenroom/internal/logfield"
	"github.com/greenroom/greenroom/internal/staging"
)

// maxFirstLaunchTries bounds the retries of a first_launch hook that could not be
// started. After that many, the cause is taken to be the image (it may have no shell)
// and not an unreachable Nomad.
const maxFirstLaunchTries = 5

// firstLaunchHook returns the hook that must run in a session before it can be
// assigned; nil when there is none or it has run.
func (v *view) firstLaunchHook(e *entry) *staging.Hook {
	if e.firstLaunched {
		return nil
	}
	if e.s.Hooks != nil {
		return e.s.Hooks.FirstLaunch
	}
	return v.resources.Images[e.s.Image].ExecConfig.FirstLaunch
}

// applyFirstLaunch runs the hook. If it fails, an event keeps its output.
func (s *Scaler) applyFirstLaunch(ctx context.Context, t task) result {
	err := s.Hooks.FirstLaunch(ctx, t.session, t.hook)
	if err == nil {
		return result{}
	}
	s.Meter.HookFailed(staging.HookFirstLaunch)
	r := result{failure: &staging.Failure{Type: staging.HookFailing, Message: err.Error()}, err: err}
	e := staging.Event{
		Type: staging.EventHookFailed, Session: t.session.ID, Pool: t.pool, Zone: t.session.Zone, Image: t.session.Image,
		Hook: staging.HookFirstLaunch, Reason: err.Error(),
	}
	var failed *staging.HookError
	if errors.As(err, &failed) {
		if failed.Untouched {
			// The hook has not started, so it can be retried.
			r.failure = nil
		}
		e.Stdout, e.Stderr = failed.Stdout, failed.Stderr
	}
	if err := s.EventStore.Note(ctx, e); err != nil {
		s.Log.WithError(err).WithField(logfield.Session, t.session.ID).
			Warn("could not store the event of a failed first_launch hook in Redis; its output is lost, and the log line of the failed step has the cause")
	}
	return r
}

// firstLaunchDone folds the result of a first_launch hook into the view.
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
