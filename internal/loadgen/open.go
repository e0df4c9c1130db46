package loadgen

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
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
	return arrive(ctx, l.Arrivals(), l.For, l.Clients, l.InFlight, do)
}

// Replay is a load whose requests arrive at given times, whether or not earlier ones are
// answered.
type Replay struct {
	// Times are since the start, in their order; For is how long the load lasts.
	Times []time.Duration
	For   time.Duration
	// Clients and InFlight are those of Open.
	Clients, InFlight int
}

// Run is that of Open.
func (l Replay) Run(ctx context.Context, do Request) (*Result, error) {
	if l.For <= 0 || l.Clients < 1 || l.InFlight < 1 {
		return nil, fmt.Errorf("loadgen: a replay needs a duration, at least one client and one request in flight, got %s, %d and %d", l.For, l.Clients, l.InFlight)
	}
	return arrive(ctx, slices.Values(l.Times), l.For, l.Clients, l.InFlight, do)
}

// arrive sends requests at the times of their arrivals, and waits for the last answers.
func arrive(ctx context.Context, arrivals iter.Seq[time.Duration], lasts time.Duration, clients, most int, do Request) (*Result, error) {
	r := newRecorder()
	var (
		wg       sync.WaitGroup
		inFlight atomic.Int64
		// The buffer holds all requests that may be in flight, so that no arrival delays the next.
		arrived = make(chan due, most)
	)
	for worker := range min(clients, most) {
		wg.Go(func() {
			for d := range arrived {
				r.do(ctx, do, worker, d.n, d.at)
				inFlight.Add(-1)
			}
		})
	}
	n := 0
	for offset := range arrivals {
		at := r.began.Add(offset)
		if !waitUntil(ctx, at) {
			break
		}
		if inFlight.Load() >= int64(most) {
			r.notSent()
		} else {
			inFlight.Add(1)
			arrived <- due{n, at}
		}
		n++
	}
	arriving := lasts
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
