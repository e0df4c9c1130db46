package launch

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

// onDemandQueue lets a bounded number of launches make sessions at once. A bounded number
// of others waits for its turn, first come first served.
type onDemandQueue struct {
	turns *semaphore.Weighted
	// atOnce is the bound of turns, most that of the launches which wait.
	atOnce, most int
	waiting      atomic.Int64
}

func newOnDemandQueue(atOnce, most int) *onDemandQueue {
	return &onDemandQueue{turns: semaphore.NewWeighted(int64(atOnce)), atOnce: atOnce, most: most}
}

// OnDemandQueued returns how many launches wait for their turn to make a session.
func (b *Launcher) OnDemandQueued() int { return int(b.onDemands.waiting.Load()) }

// turn is a launch's right to make a session. It may be ended more than once.
type turn struct{ end func() }

// done ends the turn, if it is one.
func (t *turn) done() {
	if t.end != nil {
		t.end()
		t.end = nil
	}
}

// holdTurn waits for the launch's turn, unless it has it.
func (l *launch) holdTurn(wait context.Context, mine *turn) (err error) {
	if mine.end == nil {
		*mine, err = l.awaitTurn(wait)
	}
	return err
}

// awaitTurn waits for the launch's turn to make a session on demand, for as long as its caller
// waits for the answer. It is refused if the queue is full or wait is over. Nothing has
// been claimed then.
func (l *launch) awaitTurn(wait context.Context) (turn, error) {
	q := l.onDemands
	mine := turn{sync.OnceFunc(func() { q.turns.Release(1) })}
	if q.turns.TryAcquire(1) {
		return mine, nil
	}
	began := time.Now()
	if q.waiting.Add(1) > int64(q.most) {
		q.waiting.Add(-1)
		l.attempt(staging.StepOnDemand, l.Zone, staging.OutcomeSkipped, "too many sessions are being made at once, and too many launches wait for their turn")
		return turn{}, l.atQueueBound("it is full")
	}
	wait, cancel := l.untilHungUp(wait)
	defer cancel()
	err := q.turns.Acquire(wait, 1)
	q.waiting.Add(-1)
	l.Meter.OnDemandQueued(time.Since(began), err == nil)
	switch {
	case err == nil:
		return mine, nil
	case l.stopping.now():
		return turn{}, brokerStops()
	case l.hungUp():
		// Nobody reads the answer.
		return turn{}, fmt.Errorf("the caller hung up while its launch waited for its turn to make a session: %w", context.Canceled)
	}
	l.attempt(staging.StepOnDemand, l.Zone, staging.OutcomeSkipped, fmt.Sprintf("too many sessions are being made at once, and the launch's turn did not come within %s", l.Wait))
	return turn{}, l.atQueueBound(fmt.Sprintf("the turn of this one did not come within its wait of %s", l.Wait))
}

// atQueueBound refuses a launch that cannot wait for its turn, or no longer.
func (l *launch) atQueueBound(why string) *refusal.Error {
	r := refusal.AtBound(l.onDemands.atOnce, "sessions that are made on demand at once")
	r.Detail += fmt.Sprintf("; up to %d launches wait for their turn, and %s", l.onDemands.most, why)
	return r
}

// hungUp reports whether the launch's caller is known to have hung up.
func (l *launch) hungUp() bool {
	select {
	case <-l.HungUp: // nil, where that is not known, never is ready
		return true
	default:
		return false
	}
}

// untilHungUp returns ctx, which is also done once the launch's caller has hung up. The
// caller calls cancel.
func (l *launch) untilHungUp(ctx context.Context) (c context.Context, cancel context.CancelFunc) {
	c, stop := context.WithCancel(ctx)
	if l.HungUp == nil {
		return c, stop
	}
	go func() {
		select {
		case <-l.HungUp:
			stop()
		case <-c.Done():
		}
	}()
	return c, stop
}
