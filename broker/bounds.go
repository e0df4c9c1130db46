package broker

import (
	"context"
	"time"
)

// Bounds are how much a broker does at once. What is past one is refused, or, for
// hooks, waits for a moment before anything is claimed and then goes on down its
// list: a queue that grows would only serve everybody late.
type Bounds struct {
	// OnDemand bounds the launches for which a session is being made. Each holds a
	// connection to Nomad while it waits, and Nomad takes 100 from one address.
	OnDemand int
	// Hooks bounds the launches that run an assign or go hook. Each holds a
	// connection to Nomad as well.
	Hooks int
	// HookWait is how long a launch waits for its turn to run a hook: many at once are
	// served in a few rounds. Past it the launch goes on down its list.
	HookWait time.Duration
	// Armed bounds the shells that wait in sessions for an assign hook, in all, and
	// ArmedPerPool those of one pool. Each holds a connection to Nomad.
	Armed, ArmedPerPool int
	// Behind bounds what goes on behind the answers: past it, a launch does its own
	// part before it is answered.
	Behind int
}

// DefaultBounds suit Nomad's own limits, with a scaler beside the broker.
var DefaultBounds = Bounds{OnDemand: 32, Hooks: 32, HookWait: 5 * time.Second, Armed: 24, ArmedPerPool: 8, Behind: 1024}

// slots are places for so many at once.
type slots chan struct{}

func newSlots(n int) slots { return make(slots, n) }

// try takes a place if there is one.
func (s slots) try() bool {
	select {
	case s <- struct{}{}:
		return true
	default:
		return false
	}
}

// take waits for a place, for a while.
func (s slots) take(ctx context.Context, patience time.Duration) bool {
	if s.try() {
		return true
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case s <- struct{}{}:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

func (s slots) free() { <-s }

// gather takes places for n at once, or all that there are where those are fewer, and
// gives how many; 0 when they did not come free within the patience. Only one launch
// gathers at a time: two that hold a part each would wait for each other.
func (b *Broker) gather(ctx context.Context, s slots, n int, patience time.Duration) int {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if !b.gathers.take(ctx, patience) {
		return 0
	}
	defer b.gathers.free()
	n = min(n, cap(s))
	for held := range n {
		if !s.take(ctx, patience) {
			for range held {
				s.free()
			}
			return 0
		}
	}
	return n
}

// behind does something that the launch's answer does not wait for, unless too
// much goes on behind the answers already.
func (b *Broker) behind(do func()) {
	if !b.behindIfRoom(do) {
		do()
	}
}

// behindIfRoom does something behind the answers, and reports whether there was room
// for it: what somebody else sees to as well need not be done at all.
func (b *Broker) behindIfRoom(do func()) bool {
	if !b.behinds.try() {
		return false
	}
	b.cleanups.Go(func() {
		defer b.behinds.free()
		do()
	})
	return true
}
