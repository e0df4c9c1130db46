package loadgen

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Request does one request and returns the class of its outcome, such as "staged"
// or "refused:no_capacity", and the error if it failed. Worker is the client that
// sends it, from 0; no two requests of the same worker run at once. N is the
// request's number in its run. A failure without a class is in Failed.
type Request func(ctx context.Context, worker, n int) (class string, err error)

const (
	// Failed is the class of failures that have none of their own.
	Failed = "failed"
	// NotSent is the class of an open load's requests that were due while too many
	// others were unanswered. They have no latency.
	NotSent = "not_sent"
)

// Closed is a number of clients that each send requests one after the other.
type Closed struct {
	// Clients send at the same time, Requests each.
	Clients, Requests int
}

// Run sends the load. The result is of what was sent also when the context ended
// before all was, which is the error then. Client c's requests have the numbers
// from c*Requests on.
func (l Closed) Run(ctx context.Context, do Request) (*Result, error) {
	if l.Clients < 1 || l.Requests < 1 {
		return nil, fmt.Errorf("loadgen: a closed load needs a client and a request, has %d and %d", l.Clients, l.Requests)
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

// Burst is a number of requests that are all released at the same moment.
type Burst struct {
	Size int
}

// Run sends the load, each request by a worker of its own with the same number.
// Latency counts from the moment of release.
func (l Burst) Run(ctx context.Context, do Request) (*Result, error) {
	if l.Size < 1 {
		return nil, fmt.Errorf("loadgen: a burst needs a request, has %d", l.Size)
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
