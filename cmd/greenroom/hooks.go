package main

import (
	"context"

	"github.com/greenroom/greenroom/internal/hook"
	"github.com/greenroom/greenroom/internal/staging"
)

// hooks fits the hook runner to what the broker and the scaler ask.
type hooks struct{ parts *adapters }

// Run implements broker.Hooks.
func (h hooks) Run(ctx context.Context, s staging.Session, name staging.HookName, x staging.Hook, l staging.Launch) error {
	if x.Task == "" {
		x.Task = s.Task
	}
	in := hook.Input{Tokens: staging.HookTokens(l, s), Variables: l.Variables(s.ID)}
	if name == staging.HookFirstLaunch {
		// Before anybody has the session: nothing of a user's.
		in.Once = true
		in.Variables = map[string]string{
			"GREENROOM_SESSION_ID": s.ID, "GREENROOM_IMAGE": s.Image, "GREENROOM_ZONE": s.Zone,
		}
	}
	result, err := hook.Runner{Exec: h.parts.fleet}.Run(ctx, s, name, x, in)
	return hook.Report(name, result, err)
}

// FirstLaunch implements scaler.Hooks.
func (h hooks) FirstLaunch(ctx context.Context, s staging.Session, x staging.Hook) error {
	return h.Run(ctx, s, staging.HookFirstLaunch, x, staging.Launch{})
}
