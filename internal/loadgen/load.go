package loadgen

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Request sends one request and returns the class of its outcome, such as "staged"
// or "refused:no_capacity", and an error if it failed. Worker is the number, from 0,
// of the client that sends it; a worker sends one request at a time. N is the
// request's number in its run. A failure without a class counts as Failed.
type Request func(ctx context.Context, worker, n int) (class string, err error)

const (
	// Failed is the class of failures without a class of their own.
	Failed = "failed"
	// NotSent is the class of an open load's requests that were due while InFlight
	// others were unanswered. They have no latency.
	NotSent = "not_sent"
)

// Closed is a load by clients that each send requests one after the other.
type Closed struct {
	// Clients is how many clients send at the same time, and Requests how many
	// requests each of them sends.
	Clients, Requests int
}

// Run sends the load. If the context ends first, Run returns its cause together with
// the result of the requests sent so far. Client c's requests have the numbers from
// c*Requests on.
func (l Closed) Run(ctx context.Context, do Request) (*Result, error) {
	if l.Clients < 1 || l.Requests < 1 {
		return nil, fmt.Errorf("loadgen: a closed load needs at least one client and one request, got %d and %d", l.Clients, l.Requests)
	}
	r := newRecorder()
	var wg sync.WaitGroup
	for worker := range l.Clients {
		wg.Go(func() {
			for i := range l.Requests {
				if ctx.Err() != nil {
					return
				}
				r.do(ctx, do, worker, worker*l.Requests+i, time.Now())
			}
		})
	}
	wg.Wait()
	return r.result(), context.Cause(ctx)
}

// Burst is a load of requests that all start at the same moment.
type Burst struct {
	// Size is the number of requests.
	Size int
}

// Run sends the load. Each request has its own worker, with the request's number.
// Latency counts from the common start.
func (l Burst) Run(ctx context.Context, do Request) (*Result, error) {
	if l.Size < 1 {
		return nil, fmt.Errorf("loadgen: a burst needs at least one request, got %d", l.Size)
	}
	var wg, waiting sync.WaitGroup
	release := make(chan struct{})
	var r *recorder
	waiting.Add(l.Size)
	for n := range l.Size {
		wg.Go(func() {
			waiting.Done()
			<-release
			if ctx.Err() == nil {
				r.do(ctx, do, n, n, r.began)
			}
		})
	}
	waiting.Wait()
	r = newRecorder()
	close(release)
	wg.Wait()
	return r.result(), context.Cause(ctx)
}
