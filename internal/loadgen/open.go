package loadgen

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// Open is a load whose requests arrive at moments of their own, whether or not
// the earlier ones are answered: a Poisson process.
type Open struct {
	// Rate is how many arrive in a second on average, For how long they do.
	Rate float64
	For  time.Duration
	// Clients is how many requests are sent at once. One that arrives while all of
	// them are busy waits, and the wait counts as latency.
	Clients int
	// InFlight is how many may be unanswered at once, those that wait for a client
	// among them. What arrives then is in the class NotSent.
	InFlight int
	// Seed fixes the moments of arrival.
	Seed uint64
}

// Arrivals are the moments, from the start, at which the requests are due: with
// independent, exponentially distributed times between them.
func (l Open) Arrivals() iter.Seq[time.Duration] {
	return func(yield func(time.Duration) bool) {
		random := rand.New(rand.NewPCG(l.Seed, 0))
		at := 0.0 // seconds
		for {
			at += random.ExpFloat64() / l.Rate
			if at >= l.For.Seconds() || !yield(time.Duration(at*float64(time.Second))) {
				return
			}
		}
	}
}

// due is a request that has arrived.
type due struct {
	n  int
	at time.Time
}

// Run sends the load, and waits for the last answers after the last arrival. The
// result is of what arrived also when the context ended before all had, which is
// the error then.
func (l Open) Run(ctx context.Context, do Request) (*Result, error) {
	if !(l.Rate > 0) || l.For <= 0 || l.Clients < 1 || l.InFlight < 1 {
		return nil, fmt.Errorf("loadgen: an open load needs a rate, a duration, a client and room in flight, has %+v", l)
	}
	r := newRecorder()
	var (
		wg       sync.WaitGroup
		inFlight atomic.Int64
		// It has room for all that may be in flight, so that no arrival waits for another.
		arrived = make(chan due, l.InFlight)
	)
	for worker := range min(l.Clients, l.InFlight) {
		wg.Go(func() {
			for d := range arrived {
				r.do(ctx, do, worker, d.n, d.at)
				inFlight.Add(-1)
			}
		})
	}
	n := 0
	for offset := range l.Arrivals() {
		at := r.began.Add(offset)
		if !waitUntil(ctx, at) {
			break
		}
		if inFlight.Load() >= int64(l.InFlight) {
			r.notSent()
		} else {
			inFlight.Add(1)
			arrived <- due{n, at}
		}
		n++
	}
	arriving := l.For
	if ctx.Err() != nil {
		arriving = min(arriving, time.Since(r.began))
	}
	close(arrived)
	wg.Wait()
	result := r.result()
	if arriving > 0 {
		result.OfferedPerSecond = float64(n) / arriving.Seconds()
	}
	return result, context.Cause(ctx)
}

// waitUntil reports whether a moment came before the end of ctx.
func waitUntil(ctx context.Context, at time.Time) bool {
	wait := time.Until(at)
	if wait <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
