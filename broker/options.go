package broker

import (
	"cmp"
	"time"

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
}

// Bounds are how much a broker does at once. What exceeds one is refused, or, for
// hooks, waits for a moment before anything is claimed and then takes the next step of
// the launch: a queue that grows would only serve everybody late.
type Bounds struct {
	// OnDemand bounds the launches for which a session is being made. Each holds a
	// connection to Nomad while it waits, and Nomad takes 100 from one address.
	OnDemand int
	// Hooks bounds the launches that run an assign or go hook. Each holds a
	// connection to Nomad as well.
	Hooks int
	// HookWait is how long a launch waits for its turn to run a hook: many at once are
	// served in a few rounds. Past it the launch takes its next step.
	HookWait time.Duration
	// Armed bounds the shells that are open in sessions for an assign hook, in all, and
	// ArmedPerPool those of one pool. Each holds a connection to Nomad.
	Armed, ArmedPerPool int
	// Background bounds the tasks that no answer waits for: past it, a launch does its own
	// before it is answered.
	Background int
}

// DefaultBounds suit Nomad's own limits, with a scaler beside the broker.
var DefaultBounds = Bounds{OnDemand: 32, Hooks: 32, HookWait: 5 * time.Second, Armed: 24, ArmedPerPool: 8, Background: 1024}

func (o Options) withDefaults() Options {
	if o.Limits == (staging.Limits{}) {
		o.Limits = staging.DefaultLimits
	}
	o.Bounds.OnDemand = cmp.Or(o.Bounds.OnDemand, DefaultBounds.OnDemand)
	o.Bounds.Hooks = cmp.Or(o.Bounds.Hooks, DefaultBounds.Hooks)
	o.Bounds.HookWait = cmp.Or(o.Bounds.HookWait, DefaultBounds.HookWait)
	o.Bounds.Armed = cmp.Or(o.Bounds.Armed, DefaultBounds.Armed)
	o.Bounds.ArmedPerPool = cmp.Or(o.Bounds.ArmedPerPool, DefaultBounds.ArmedPerPool)
	o.Bounds.Background = cmp.Or(o.Bounds.Background, DefaultBounds.Background)
	return o
}
