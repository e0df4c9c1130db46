package broker

import "github.com/greenroom/greenroom/broker/launch"

// Bounds are how much a broker does at once. What is past one is refused, or, for
// hooks, waits for a moment before anything is claimed and then goes on down its
// list: a queue that grows would only serve everybody late.
type Bounds struct {
	launch.Bounds
	// Armed bounds the shells that wait in sessions for an assign hook, in all, and
	// ArmedPerPool those of one pool. Each holds a connection to Nomad.
	Armed, ArmedPerPool int
	// Behind bounds what goes on behind the answers: past it, a launch does its own
	// part before it is answered.
	Behind int
}

// DefaultBounds suit Nomad's own limits, with a scaler beside the broker.
var DefaultBounds = Bounds{Bounds: launch.DefaultBounds, Armed: 24, ArmedPerPool: 8, Behind: 1024}
