package broker

import (
	"cmp"
	"time"

	"github.com/greenroom/greenroom/broker/launch"
	"github.com/greenroom/greenroom/internal/staging"
)

// Options bound what a broker does.
type Options struct {
	// Limits bound the values of a staging config; the zero value stands for
	// staging.DefaultLimits.
	Limits staging.Limits
	// Bounds are how much is done at once; each that is 0 is DefaultBounds'.
	Bounds Bounds
	// Unfenced lets Redis decide alone: no fate is recorded of staged sessions.
	// Faster, for those who accept that a Redis that lost its newest writes assigns
	// a session to a second user.
	Unfenced bool
	// MaxSessionsPerUser is how many sessions a user may have whose groups set no limit; 0 is
	// no limit.
	MaxSessionsPerUser int
	// AuditRequired refuses changes and launches of which no audit record can be written.
	AuditRequired bool
	// MaxTokenLife bounds the life of a new token, or of a new secret of one; 0 does not.
	MaxTokenLife time.Duration
	// ID returns the id under which Consul shows that this broker is alive, "" while it does
	// not. Nil: "".
	ID func() string
}

// Bounds are how much a broker does at once.
type Bounds struct {
	// Launch are those of launches.
	Launch launch.Bounds
	// Armed bounds the shells that are open in sessions for an assign hook, in all, and
	// ArmedPerPool those of one pool. Each holds a connection to Nomad.
	Armed, ArmedPerPool int
	// Background bounds the tasks that no answer waits for: past it, a launch does its own
	// before it is answered.
	Background int
}

// DefaultBounds suit Nomad's own limits, with a scaler beside the broker.
var DefaultBounds = Bounds{Launch: launch.DefaultBounds, Armed: 24, ArmedPerPool: 8, Background: 1024}

func (o Options) withDefaults() Options {
	if o.Limits == (staging.Limits{}) {
		o.Limits = staging.DefaultLimits
	}
	o.Bounds.Armed = cmp.Or(o.Bounds.Armed, DefaultBounds.Armed)
	o.Bounds.ArmedPerPool = cmp.Or(o.Bounds.ArmedPerPool, DefaultBounds.ArmedPerPool)
	o.Bounds.Background = cmp.Or(o.Bounds.Background, DefaultBounds.Background)
	return o
}
