package launch

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
	"github.com/greenroom/greenroom/internal/tracing"
)

// runHooks runs the assign hook in each of the sessions, at most runs at once; prepared is
// that of a single session. The error is that of one in which it failed; no more are started
// then.
func (l *launch) runHooks(ctx context.Context, taken []staging.Session, hooks []*staging.Hook, prepared Assignment, runs int) error {
	start := time.Now()
	defer func() { l.timings.Hook += time.Since(start) }()
	errs := make([]error, len(taken))
	if prepared != nil {
		ctx, span := hookSpan(ctx, taken[0], staging.HookAssign)
		errs[0] = prepared.Run(ctx, l.in(taken[0].Zone))
		span.End(errs[0])
	} else {
		runAll(hooks, max(1, runs), func(i int) (ok bool) {
			ctx, span := hookSpan(ctx, taken[i], staging.HookAssign)
			assignment := l.Hooks.Ready(ctx, taken[i], *hooks[i])
			defer assignment.Drop()
			errs[i] = assignment.Run(ctx, l.in(taken[i].Zone))
			span.End(errs[i])
			return errs[i] == nil
		})
	}
	var first error
	for i, err := range errs {
		if err == nil {
			continue
		}
		reason := err.Error()
		if l.Several() {
			reason = fmt.Sprintf("in session %s: %v", taken[i].ID, err)
		}
		l.attempt(staging.StepStaged, taken[i].Zone, staging.OutcomeFailed, reason)
		l.hookFailed(taken[i], staging.HookAssign, err)
		l.NoteShell(taken[i], err)
		if untouched(err) && !errors.Is(err, staging.ErrExecDenied) {
			l.nomad.trip()
		}
		if first == nil {
			first = err
		}
	}
	return first
}

// hookSpan begins the span of a hook.
func hookSpan(ctx context.Context, s staging.Session, name staging.HookName) (context.Context, tracing.Span) {
	ctx, span := tracing.Start(ctx, "hook")
	span.Set("greenroom.hook", string(name))
	span.Set("greenroom.session", s.ID)
	return ctx, span
}

// runAll calls run for every hook in turn, at most limit at once, until one call
// reports that its hook failed: then no more are started.
func runAll(hooks []*staging.Hook, limit int, run func(i int) (ok bool)) {
	var running sync.WaitGroup
	var failed atomic.Bool
	room := make(chan struct{}, limit)
	for i := range hooks {
		if hooks[i] == nil {
			continue
		}
		room <- struct{}{}
		if failed.Load() {
			break
		}
		running.Go(func() {
			defer func() { <-room }()
			if !run(i) {
				failed.Store(true)
			}
		})
	}
	running.Wait()
}

// untouched: the hook never began, so it is not the image that failed.
func untouched(err error) bool {
	var failure *staging.HookError
	return errors.As(err, &failure) && failure.Untouched
}

// hookFailed keeps the output of a failed hook as an event.
func (l *launch) hookFailed(s staging.Session, name staging.HookName, err error) {
	l.Meter.HookFailed(name)
	e := staging.Event{
		Type: staging.EventHookFailed, Session: s.ID, Pool: s.Staging, Zone: s.Zone, Image: s.Image, User: l.User.ID,
		Hook: name, Reason: err.Error(),
	}
	var failure *staging.HookError
	if errors.As(err, &failure) {
		e.Stdout, e.Stderr = failure.Stdout, failure.Stderr
	}
	l.note(e)
}
