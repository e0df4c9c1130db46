package launch

import (
	"cmp"
	"context"
	"time"

	"golang.org/x/sync/semaphore"
)

// Bounds are how much a broker's launches do at once. Past a bound a launch waits, before it
// claims anything: for hooks for a moment, after which it goes on down its list, since a
// queue that grows would only serve everybody late; for a session made on demand in a
// bounded queue, since such a launch takes its time anyway.
type Bounds struct {
	// OnDemand bounds the launches for which a session is being made. Each holds a
	// connection to Nomad while it waits, and Nomad takes 100 from one address.
	OnDemand int
	// OnDemandQueue bounds the launches that wait for their turn to make a session. Past it
	// a launch is refused.
	OnDemandQueue int
	// Hooks bounds the assign and go hooks that run. Each holds a connection to Nomad.
	Hooks int
	// HookWait is how long a launch waits to run its hooks: many launches at once are
	// served in a few rounds. Past it the launch goes on down its list.
	HookWait time.Duration
}

// DefaultBounds suit Nomad's own limits, with a scaler beside the broker.
var DefaultBounds = Bounds{OnDemand: 32, OnDemandQueue: 256, Hooks: 32, HookWait: 5 * time.Second}

// limits are the semaphores of Bounds.
type limits struct {
	bounds    Bounds
	onDemands *onDemandQueue
	hooks     *semaphore.Weighted
}

func newLimits(b Bounds) limits {
	b.OnDemand = cmp.Or(b.OnDemand, DefaultBounds.OnDemand)
	b.OnDemandQueue = cmp.Or(b.OnDemandQueue, DefaultBounds.OnDemandQueue)
	b.Hooks = cmp.Or(b.Hooks, DefaultBounds.Hooks)
	b.HookWait = cmp.Or(b.HookWait, DefaultBounds.HookWait)
	return limits{
		bounds: b, onDemands: newOnDemandQueue(b.OnDemand, b.OnDemandQueue), hooks: semaphore.NewWeighted(int64(b.Hooks)),
	}
}

// acquireHooks acquires the right to run n hooks at once, or the bound where n exceeds it,
// and returns how many; 0 when HookWait passed first. The caller releases them.
func (l *limits) acquireHooks(ctx context.Context, n int) int {
	n = min(n, l.bounds.Hooks)
	if l.hooks.TryAcquire(int64(n)) {
		return n
	}
	ctx, cancel := context.WithTimeout(ctx, l.bounds.HookWait)
	defer cancel()
	if l.hooks.Acquire(ctx, int64(n)) != nil {
		return 0
	}
	return n
}
