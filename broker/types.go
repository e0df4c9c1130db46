package broker

import (
	"github.com/greenroom/greenroom/internal/staging"
)

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
