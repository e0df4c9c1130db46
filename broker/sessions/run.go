package sessions

import (
	"context"
	"errors"
	"fmt"

	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

// commandsAtOnce bounds the commands that run in sessions: each holds a connection to Nomad.
const commandsAtOnce = 8

// Run runs a command in a user's session, for at most staging.DefaultHookTimeout; past that it
// runs on. Only a user's session takes one: what runs in an unused one would reach its first user.
// An error is a *staging.InvalidError or a *refusal.Error: NotFound, NotAssigned, Overloaded,
// CommandFailed, or that Nomad is unavailable, with nothing run.
func (s *Sessions) Run(ctx context.Context, id string, command staging.Hook) error {
	if err := command.ValidateCommand(); err != nil {
		return err
	}
	found, err := s.Session(ctx, id)
	if err != nil {
		return err
	}
	if found.State != staging.Assigned || found.User == nil {
		return &refusal.Error{Kind: refusal.NotAssigned, Detail: fmt.Sprintf("session %s is %s, and commands are run in users' sessions alone", id, found.State)}
	}
	select {
	case s.running <- struct{}{}:
		defer func() { <-s.running }()
	default:
		return refusal.AtBound(commandsAtOnce, "commands in sessions at once")
	}
	// What is run may hold secrets, so that the record has the program alone.
	s.auditor.Trace(ctx, "command in session", id, map[string]any{"program": command.Cmd[0], "arguments": len(command.Cmd) - 1, "user": command.User})
	err = s.Commands.Run(ctx, found, command)
	var failed *staging.HookError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &failed) && failed.Untouched:
		return refusal.NoNomad(err)
	}
	return &refusal.Error{Kind: refusal.CommandFailed, Detail: fmt.Sprintf("in session %s %v", id, err), Cause: err}
}
