package scaler

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/greenroom/greenroom/internal/logfield"
	"github.com/greenroom/greenroom/internal/staging"
)

// Nomad restarts a task in place for an operator, and for a template whose change_mode says
// so. The allocation stays, and what runs in it is nobody's again.
//
// An unassigned session then starts over: it is withdrawn, its first_launch hook runs again,
// and it is published once its checks pass. Its checks may fail and pass again before Nomad
// has told of the restart, so what was unhealthy is published again only a moment after it is
// healthy again: by then a restart is known. A user's session gets its assign hook again, at
// most once for each start of its main task. It stays its user's even if that fails.
//
// A launch may claim a session in the moment between such a restart and the event of it, and
// run the assign hook in the new start. The scaler then runs it once more in that start:
// nothing in the session tells in which start the first run was, and the clocks of a node, a
// broker and Redis do not either. That is the lesser harm. Without it the user might have a
// session that is nobody's, and to end it would end a session that its user has already. The
// moment is as long as Nomad takes to report a restart, less than a second.
//
// Nomad counts the restarts. The number for which a session was last prepared is in its
// record in Redis (staging.Session.Restarts), and in its fate. So a restart is also noticed
// that happened while no scaler was watching. That a hook runs once per start is a lock in
// the session itself, so a takeover in the middle of it does no harm.

// unknownCheckEvery replaces staging.JobFacts.CheckEvery of a job without it: an older
// greenroom registered it.
const unknownCheckEvery = 10 * time.Second

// restartToldWithin is how long Nomad takes at most to report that it restarted a task, as
// measured on one machine under load: less than a second.
const restartToldWithin = time.Second

// checkSlack is how much later than due a result of a check may arrive from Consul.
const checkSlack = time.Second

// observeRestarts takes over how often Nomad has restarted the session's main task. Call it
// before allocIndex is set.
//
// The checks of a group's service go on during a restart. So a passing check may be of the
// program before the restart, until each check has had the time for a new result, or fails
// while the new program runs. Nomad registers the service again just before it stops the old
// program: the check fails then, and passes once more if the old program still answers. So
// what Consul reports in the first moment of the new program tells nothing.
func (v *view) observeRestarts(e *entry, restarts int, now time.Time) {
	first := e.allocIndex == 0
	if e.restarts == restarts {
		return
	}
	e.restarts = restarts
	e.firstLaunched, e.firstLaunchTries, e.firstLaunchFailure = false, 0, nil
	e.runningSince, e.healthyOnce, e.unhealthySince, e.healthyAgain = time.Time{}, false, time.Time{}, time.Time{}
	e.reassignTries = 0
	if !first {
		v.refreshHealth(e, now)
	}
}

// refreshHealth lets the session's checks count as failing until each has a new result.
func (v *view) refreshHealth(e *entry, now time.Time) {
	e.staleHealth = true
	e.failureFreshAt = now.Add(checkSlack)
	e.freshAt = e.failureFreshAt.Add(cmp.Or(e.checkEvery, unknownCheckEvery))
	v.timed[e.s.ID] = e.nextFresh(now)
}

// fresh: what Consul reports of the session's checks is of the program that runs now.
func (e *entry) fresh(failing bool, now time.Time) bool {
	return !now.Before(e.freshAt) || failing && e.running && !now.Before(e.failureFreshAt)
}

// nextFresh returns when fresh may change without anything else happening.
func (e *entry) nextFresh(now time.Time) time.Time {
	if now.Before(e.failureFreshAt) {
		return e.failureFreshAt
	}
	return e.freshAt
}

// restarted: the main task was restarted since the session was last prepared.
func (e *entry) restarted() bool { return e.restarts != e.s.Restarts }

// assignHook returns the hook that runs again in a user's session; nil for none. A session
// made on demand has its user in its environment, so it needs none.
func (v *view) assignHook(e *entry) *staging.Hook {
	if e.s.Origin != staging.Staged {
		return nil
	}
	if e.s.Hooks != nil {
		return e.s.Hooks.Assign
	}
	return v.resources.Images[e.s.Image].ExecConfig.Assign
}

// assignedNow reads a user's session from Redis. ok is false if the session is no longer
// assigned, or cannot be read; r then holds what is known.
func (s *Scaler) assignedNow(ctx context.Context, t task) (x staging.Session, r result, ok bool) {
	x, err := s.SessionStore.Session(ctx, t.session.ID)
	switch {
	case errors.Is(err, staging.ErrNoSession):
		return x, result{notInRedis: true}, false
	case err != nil:
		return x, result{err: err}, false
	}
	x.Task, x.Hooks = cmp.Or(x.Task, t.session.Task), cmp.Or(x.Hooks, t.session.Hooks)
	return x, result{state: x.State}, x.State == staging.Assigned
}

// applyRestarted notes in Redis that a user's session is not up.
func (s *Scaler) applyRestarted(ctx context.Context, t task) result {
	x, r, ok := s.assignedNow(ctx, t)
	if !ok {
		return r
	}
	return transition(staging.Assigned, s.AssignedStore.Restarted(ctx, x, t.step.Reason))
}

// applyReassign runs the assign hook again, and notes the outcome in Redis. A hook that
// failed is not run again in the same start. One that could not be started is.
func (s *Scaler) applyReassign(ctx context.Context, t task) result {
	x, r, ok := s.assignedNow(ctx, t)
	if !ok {
		return r
	}
	x.Restarts = t.session.Restarts
	failure, reason := "", "its assign hook has run again"
	switch {
	case t.again == nil:
		reason = "its checks pass again"
	default:
		if err := s.Hooks.AssignAgain(ctx, x, *t.again); err != nil {
			var failed *staging.HookError
			if errors.As(err, &failed) && failed.Untouched && t.tries < maxFirstLaunchTries {
				return result{err: err, untouched: true}
			}
			failure = err.Error()
			s.reassignFailed(ctx, x, err)
		}
	}
	r = transition(staging.Assigned, s.AssignedStore.Reassigned(ctx, x, failure, reason))
	if r.err == nil && r.state == staging.Assigned && !r.notInRedis {
		r.prepared = true
	}
	return r
}

// reassignFailed counts a hook that did not succeed, and keeps its output as an event.
func (s *Scaler) reassignFailed(ctx context.Context, x staging.Session, err error) {
	s.Meter.HookFailed(staging.HookAssign)
	e := staging.Event{
		Type: staging.EventHookFailed, Session: x.ID, Pool: x.Staging, Zone: x.Zone, Image: x.Image, Hook: staging.HookAssign,
		Reason: "after a restart of the session, which stays its user's: " + err.Error(),
	}
	if x.User != nil {
		e.User = x.User.ID
	}
	var failed *staging.HookError
	if errors.As(err, &failed) {
		e.Stdout, e.Stderr = failed.Stdout, failed.Stderr
	}
	if err := s.EventStore.Note(ctx, e); err != nil {
		s.Log.WithError(err).WithField(logfield.Session, x.ID).
			Warn("could not store the event of a failed assign hook in Redis; its output is lost, and the session's record has the cause")
	}
}

// decideRestarted returns the step that a user's session needs whose main task was
// restarted; nil for none.
func decideRestarted(x Unpooled) *Step {
	switch {
	case !x.Restarted:
		return nil
	case !x.RestartNoted:
		return &Step{Kind: NoteRestart, Reason: "its main task was restarted"}
	case x.Running && x.Passing:
		return &Step{Kind: Reassign, Reason: "its main task was restarted, and its checks pass again"}
	}
	return nil
}
