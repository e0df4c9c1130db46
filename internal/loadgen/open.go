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

// Open is a load whose requests arrive at random times, whether or not earlier ones
// are answered: a Poisson process.
type Open struct {
	// Rate is the average number of arrivals per second.
	Rate float64
	// For is how long requests arrive.
	For time.Duration
	// Clients is how many requests are sent at once. A request that arrives while all
	// clients are busy waits, and the wait counts as latency.
	Clients int
	// InFlight is how many requests may be unanswered at once, including those that
	// wait for a client. A request above this limit is not sent: its class is NotSent.
	InFlight int
	// Seed determines the times of arrival.
	Seed uint64
}

// Arrivals returns the times, since the start, at which requests are due. The gaps
// between them are independent and exponentially distributed.
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

// due is a request that has arrived: its number and its intended start.
type due struct {
	n  int
	at time.Time
}

// Run sends the load and waits for the last answers. If the context ends first, Run
// returns its cause together with the result of the requests that arrived so far.
func (l Open) Run(ctx context.Context, do Request) (*Result, error) {
	if !(l.Rate > 0) || l.For <= 0 || l.Clients < 1 || l.InFlight < 1 {
		return nil, fmt.Errorf("loadgen: an open load needs a rate, a duration, at least one client and one request in flight, got %+v", l)
	}
	r := newRecorder()
	var (
		wg       sync.WaitGroup
		inFlight atomic.Int64
		// The buffer holds all requests that may be in flight, so that no arrival delays the next.
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

// waitUntil waits until at and reports whether ctx was still alive then.
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
