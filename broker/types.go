package broker

import (
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// LaunchRequest is a launch with how it is to be carried out.
type LaunchRequest struct {
	staging.Launch
	// IdempotencyKey makes repeats of this launch give the same session; "" for none.
	IdempotencyKey string
	// Wait bounds how long an on-demand session is waited for.
	Wait time.Duration
}

// LaunchResult is a launch that gave a session. Its state is assigned, or, for
// an on-demand session that was not up within Wait, pending or starting.
type LaunchResult struct {
	Session  staging.Session
	Attempts []staging.Attempt
	Timings  staging.Timings
}

// Pool is a staging config with how its pool stands.
type Pool struct {
	staging.Config
	// Current counts the sessions that exist and are unassigned; Ready those of them that are claimable.
	Current, Ready int
	// Conditions say why current or ready differs from desired.
	Conditions []staging.Condition
}

// Dependency is one server that the broker leans on, and how it stands.
type Dependency struct {
	// Name is "consul", "nomad" or "redis".
	Name string
	// Problem is "" when it answers.
	Problem string
}
