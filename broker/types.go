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
	// RequestHost is the host that the launch was sent to, without port; it
	// stands in for staging.RequestHost in the access settings of a session
	// made on demand.
	RequestHost string
	// GroupsOfProvider: the groups come from an identity provider, which has others
	// besides ours; those that there are not here are left out.
	GroupsOfProvider bool
}

// LaunchResult is a launch that gave a session. Its state is assigned, or, for
// an on-demand session that was not up within Wait, pending or starting.
type LaunchResult struct {
	Session  staging.Session
	Attempts []staging.Attempt
	Timings  staging.Timings
	// Token opens the session to its user, and is told to nobody else. ConnectURL,
	// with the token in it, is where to send the user; "" where the image has none
	// or the session has no address yet.
	Token, ConnectURL string
	// Existing: the user had this session before; its go hook was run.
	Existing bool
}

// Access is a request for a session that a reverse proxy asks about.
type Access struct {
	Session string
	// Tokens are those that the request carries, wherever a token may be: one of
	// them must be the session's.
	Tokens []string
	// Origin is the request's header of that name; "" where it has none.
	Origin string
	// RequestHost is the host that the request was sent to, without port.
	RequestHost string
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
