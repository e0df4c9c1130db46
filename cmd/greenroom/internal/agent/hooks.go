package agent

import (
	"cmp"
	"context"
	"maps"
	"time"

	"github.com/greenroom/greenroom/broker/launch"
	"github.com/greenroom/greenroom/internal/hook"
	"github.com/greenroom/greenroom/internal/staging"
)

// hooks adapts the hook runner to the interfaces of the broker and the scaler.
type hooks struct {
	runner hook.Runner
	// armory holds the armed shells; nil for none.
	armory *hook.Armory
	// ran is called for every assign hook, with whether it ran in an armed shell.
	ran func(armed bool)
}

// Run implements broker.Hooks.
func (h hooks) Run(ctx context.Context, s staging.Session, name staging.HookName, x staging.Hook, l staging.Launch) error {
	return h.run(ctx, nil, s, name, x, l)
}

func (h hooks) run(ctx context.Context, shell *hook.Shell, s staging.Session, name staging.HookName, x staging.Hook, l staging.Launch) error {
	x.Task = cmp.Or(x.Task, s.Task)
	in := hook.Input{Tokens: staging.HookTokens(l, s), Variables: l.Variables(s.ID)}
	if name == staging.HookFirstLaunch {
		// The session has no user yet, so no variable is a user's.
		in.Once, in.Start = true, s.Restarts
		in.Variables = map[string]string{
			"GREENROOM_SESSION_ID": s.ID, "GREENROOM_IMAGE": s.Image, "GREENROOM_ZONE": s.Zone,
		}
		if l.RequestID != "" {
			in.Variables[staging.RequestIDVariable] = l.RequestID
		}
	}
	result, err := h.runner.RunIn(ctx, shell, s, name, x, in)
	return hook.Report(name, result, err)
}

// FirstLaunch implements scaler.Hooks.
func (h hooks) FirstLaunch(ctx context.Context, s staging.Session, x staging.Hook) error {
	return h.Run(ctx, s, staging.HookFirstLaunch, x, staging.Launch{})
}

// AssignAgain implements scaler.Hooks.
func (h hooks) AssignAgain(ctx context.Context, s staging.Session, x staging.Hook) error {
	x.Task = cmp.Or(x.Task, s.Task)
	l := staging.Launch{Image: s.Image, Zone: s.Zone}
	if s.User != nil {
		l.User = *s.User
	}
	result, err := h.runner.Run(ctx, s, staging.HookAssign, x, hook.Input{
		Tokens: staging.HookTokens(l, s), Variables: l.Variables(s.ID), Once: true, Start: s.Restarts, Again: true,
	})
	return hook.Report(staging.HookAssign, result, err)
}

// BeforeEnd implements scaler.Hooks.
func (h hooks) BeforeEnd(ctx context.Context, s staging.Session, name staging.HookName, x staging.Hook, end staging.End) error {
	x.Task = cmp.Or(x.Task, s.Task)
	l := staging.Launch{Image: s.Image, Zone: s.Zone, User: *s.User}
	in := hook.Input{Tokens: staging.HookTokens(l, s), Variables: l.Variables(s.ID), Once: true}
	maps.Copy(in.Variables, end.Variables())
	if !end.At.IsZero() {
		in.Start = int(end.At.Unix()) // once for each end: an extension makes it another
	}
	result, err := h.runner.Run(ctx, s, name, x, in)
	return hook.Report(name, result, err)
}

// commands adapts the hook runner to the interface of the sessions' room.
type commands struct{ runner hook.Runner }

// Run implements sessions.Commands.
func (c commands) Run(ctx context.Context, s staging.Session, command staging.Hook) error {
	command.Task = s.Task
	l := staging.Launch{Image: s.Image, Zone: s.Zone, User: *s.User}
	result, err := c.runner.Run(ctx, s, staging.HookCommand, command, hook.Input{Variables: l.Variables(s.ID)})
	return hook.Report(staging.HookCommand, result, err)
}

// aliveTimeout bounds the check of an armed shell: far more than a healthy one needs, and
// less than twice the time to open a new one.
const aliveTimeout = 200 * time.Millisecond

// Ready implements launch.Hooks. It takes the session's armed shell, if there is one, and checks it
// while the caller writes the fate record: a script that was sent to a shell which hangs would cost
// the launch the hook's deadline and its session.
func (h hooks) Ready(ctx context.Context, s staging.Session, x staging.Hook) launch.Assignment {
	a := &assignment{hooks: h, session: s, hook: x}
	if h.armory == nil {
		return a
	}
	shell := h.armory.Take(s, cmp.Or(x.Task, s.Task))
	if shell == nil {
		return a
	}
	answer := make(chan *hook.Shell, 1)
	a.answer = answer
	go func() {
		ctx, cancel := context.WithTimeout(ctx, aliveTimeout)
		defer cancel()
		if shell.Alive(ctx) {
			answer <- shell
			return
		}
		shell.Close()
		answer <- nil
	}()
	return a
}

// assignment is an assign hook with its armed shell, if there is one.
type assignment struct {
	hooks
	session staging.Session
	hook    staging.Hook
	// answer receives the shell, or nil if it is dead; the channel is nil without a shell.
	answer <-chan *hook.Shell
	// opened: the shell was opened by this launch.
	opened bool
}

// Open implements launch.Assignment.
func (a *assignment) Open(ctx context.Context) error {
	shell := a.take()
	if shell == nil {
		var err error
		if shell, err = a.runner.Arm(ctx, a.session, cmp.Or(a.hook.Task, a.session.Task)); err != nil {
			return err
		}
		a.opened = true
	}
	answer := make(chan *hook.Shell, 1)
	answer <- shell
	a.answer = answer
	return nil
}

// Run implements launch.Assignment.
func (a *assignment) Run(ctx context.Context, l staging.Launch) error {
	shell := a.take()
	a.ran(shell != nil && !a.opened)
	if shell != nil {
		defer a.armory.Discard(shell)
	}
	return a.run(ctx, shell, a.session, staging.HookAssign, a.hook, l)
}

// Drop implements launch.Assignment.
func (a *assignment) Drop() {
	if shell := a.take(); shell != nil {
		shell.Close()
	}
}

func (a *assignment) take() *hook.Shell {
	if a.answer == nil {
		return nil
	}
	shell := <-a.answer
	a.answer = nil
	return shell
}
