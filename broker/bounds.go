package broker

import (
	"context"
	"time"
)

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

// behind runs a task that the launch's answer does not wait for, unless the background is
// full: then the launch waits for it.
func (b *Broker) behind(do func()) { b.background.Go(do) }

// behindIfRoom runs a task in the background, and reports whether there was room for it:
// another process does the task as well.
func (b *Broker) behindIfRoom(do func()) bool { return b.background.TryGo(do) }

// wantArmed signals that a session was claimed.
func (b *Broker) wantArmed() { b.Armed.Wake() }
