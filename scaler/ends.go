package scaler

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/greenroom/greenroom/internal/logfield"
	"github.com/greenroom/greenroom/internal/staging"
)

// A session's time limit may be extended: in its fate record first, which a loss of Redis leaves as it
// is, then in Redis. So before a session ends by its limit, its fate is read, and Redis's script
// refuses to end one that was extended since.
//
// Two hooks belong to an end. pre_end comes some time before it, pre_stop once it has begun. Both are
// at most once for that end, by a lock in the session itself, so that a takeover by another scaler in
// the middle does no harm. Neither keeps a session from ending: a pre_stop hook that fails, or that
// cannot be started, is followed by the stop all the same.

// endWarningDue returns when the user is to be warned of the time limit; zero if that is done.
func endWarningDue(x staging.Session) time.Time {
	if x.EndWarned() {
		return time.Time{}
	}
	return x.EndWarningDue()
}

// beforeEnd returns the end for which the pre_end hook has to run, and from when on; an end without a
// time for none.
func (v *view) beforeEnd(e *entry) (end staging.End, from time.Time) {
	x := v.withHooks(e)
	if x.State != staging.Assigned || x.Hooks.PreEnd == nil {
		return staging.End{}, time.Time{}
	}
	if end, from = x.PreEndDue(); end.At.Equal(e.preEndRan) {
		return staging.End{}, time.Time{}
	}
	return end, from
}

// preStopHook returns the hook that has to run before a user's session is stopped; nil for none.
func (v *view) preStopHook(e *entry) *staging.Hook {
	if !e.running || e.s.State != staging.Assigned && e.s.State != staging.Ending {
		return nil
	}
	return v.withHooks(e).Hooks.PreStop
}

// withHooks returns a session with its hooks: those of its image where it carries none.
func (v *view) withHooks(e *entry) staging.Session {
	x := e.s
	if x.Hooks == nil {
		hooks := staging.HooksOf(x, v.resources.Images[x.Image])
		x.Hooks = &hooks
	}
	return x
}

// extended returns a session with the time limit that its fate record has, which Redis may not have
// been told of.
func (s *Scaler) extended(ctx context.Context, x staging.Session) (staging.Session, error) {
	if x.ExtendableUntil().IsZero() {
		return x, nil
	}
	fate, err := s.Registry.Fate(ctx, x.ID)
	switch {
	case errors.Is(err, staging.ErrNoResource):
		return x, nil // Consul has lost it, and it is written again from what Redis has
	case err != nil:
		return x, err
	case fate.Verdict != staging.VerdictAssigned || fate.Claim != x.Claim || fate.Terms.Extended <= x.Terms.Extended:
		return x, nil
	}
	x.Terms = fate.Terms
	return s.AssignedStore.Extend(ctx, x, "its fate record has a later end")
}

// expireLimit ends a session that has reached its time limit.
func (s *Scaler) expireLimit(ctx context.Context, x staging.Session) (staging.Session, error) {
	x, err := s.extended(ctx, x)
	if err != nil || x.State != staging.Assigned {
		return x, err
	}
	reason := fmt.Sprintf("its time limit of %s is over", x.Terms.TimeLimit)
	if x.Terms.Extended > 0 {
		reason = fmt.Sprintf("its time limit of %s, extended by %s, is over", x.Terms.TimeLimit, x.Terms.Extended)
	}
	return s.AssignedStore.ExpireLimit(ctx, x, reason)
}

// warnEnd warns the user that the time limit is near, unless it was extended.
func (s *Scaler) warnEnd(ctx context.Context, x staging.Session) (staging.Session, error) {
	x, err := s.extended(ctx, x)
	if err != nil || x.State != staging.Assigned {
		return x, err
	}
	now, err := s.EventStore.Now(ctx)
	if due := endWarningDue(x); err != nil || due.IsZero() || now.Before(due) {
		return x, err
	}
	warning := fmt.Sprintf("it ends in %s: its session_time_limit is %s", staging.Rounded(x.EndsAt().Sub(now)), x.Terms.TimeLimit)
	if until := x.ExtendableUntil(); !until.IsZero() {
		warning += ", which may be extended by " + (x.Terms.MaxExtension - x.Terms.Extended).String()
	}
	return s.AssignedStore.WarnEnd(ctx, x, warning)
}

// applyPreEnd runs the pre_end hook of a session that is about to end. One that could not be started
// is tried again, until the end.
func (s *Scaler) applyPreEnd(ctx context.Context, t task) result {
	x, r, ok := s.assignedNow(ctx, t)
	if !ok {
		return r
	}
	r.stored = &x
	now, err := s.EventStore.Now(ctx)
	if err != nil {
		return result{err: err}
	}
	end, from := x.PreEndDue() // as it is now
	if !end.At.Equal(t.end.At) || now.Before(from) || !now.Before(end.At) || x.User == nil {
		return r // it was used or extended meanwhile
	}
	ctx, cancel := context.WithTimeout(ctx, end.At.Sub(now))
	defer cancel()
	if err := s.Hooks.BeforeEnd(ctx, x, staging.HookPreEnd, t.hook, end); err != nil {
		var failed *staging.HookError
		if errors.As(err, &failed) && failed.Untouched {
			r.err = err
			return r
		}
		s.endHookFailed(x, staging.HookPreEnd, err)
	}
	r.preEndRan = end.At
	return r
}

// applyPreStop runs the pre_stop hook of a session whose end has begun, and stops it whatever comes of
// the hook.
func (s *Scaler) applyPreStop(ctx context.Context, t task) result {
	x, err := s.SessionStore.Session(ctx, t.session.ID)
	if err == nil && x.State == staging.Ending && x.User != nil && !x.AssignedAt.IsZero() {
		x.Task = t.session.Task
		// The stop keeps its own time, however long the hook takes.
		c, cancel := context.WithTimeout(ctx, t.hookTimeout())
		if err := s.Hooks.BeforeEnd(c, x, staging.HookPreStop, t.hook, staging.End{Reason: x.Reason}); err != nil {
			s.endHookFailed(x, staging.HookPreStop, err)
		}
		cancel()
	}
	return result{state: staging.Ending, preStopRan: true, err: s.Fleet.Stop(ctx, t.session)}
}

// stopUnlessHook stops a session whose end has begun, unless its pre_stop hook has to run first: that
// is the next step.
func (s *Scaler) stopUnlessHook(ctx context.Context, t task) error {
	if t.preStop {
		return nil
	}
	return s.Fleet.Stop(ctx, t.session)
}

// endHookFailed counts a hook that did not succeed, and keeps its output as an event.
func (s *Scaler) endHookFailed(x staging.Session, name staging.HookName, err error) {
	s.Meter.HookFailed(name)
	e := staging.Event{
		Type: staging.EventHookFailed, Session: x.ID, Pool: x.Staging, Zone: x.Zone, Image: x.Image, Hook: name, User: x.User.ID, Reason: err.Error(),
	}
	var failed *staging.HookError
	if errors.As(err, &failed) {
		e.Stdout, e.Stderr = failed.Stdout, failed.Stderr
	}
	ctx, cancel := context.WithTimeout(context.Background(), noteTimeout)
	defer cancel()
	if err := s.EventStore.Note(ctx, e); err != nil {
		s.Log.WithError(err).WithField(logfield.Session, x.ID).
			Warnf("could not store the event of a failed %s hook in Redis; its output is lost", name)
	}
}

// noteTimeout bounds the call that stores the event of a hook, whose own time may be over.
const noteTimeout = 2 * time.Second
