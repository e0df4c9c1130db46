package redisstore

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/internal/staging"
)

// hanging takes connections, and answers nothing on them until it is closed: as a stopped
// process does.
func hanging(t *testing.T) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { c.Close() })
		}
	}()
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

// broken returns a store whose client has a breaker that runs until the test ends, and what
// the breaker reports.
func broken(t *testing.T, address string) (s *Store, changes chan error) {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: address, MaxRetries: -1, ContextTimeoutEnabled: true})
	b := NewBreaker()
	rdb.AddHook(b)
	s = New(rdb, Options{})
	changes = make(chan error, 10)
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { b.Run(ctx, s.Ping, func(reason error) { changes <- reason }) })
	t.Cleanup(func() {
		stop()
		running.Wait()
		rdb.Close()
	})
	return s, changes
}

// TestAHungRedisIsCalledOnceAndThenProbed: after one timeout calls are refused unsent,
// those that wait in the batcher too, until Redis answers a probe.
func TestAHungRedisIsCalledOnceAndThenProbed(t *testing.T) {
	s, changes := broken(t, hanging(t))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	// More at once than pipelines: the rest waits for a turn, and gets it when the first fails.
	var together sync.WaitGroup
	for range 4 * maxBatch {
		together.Go(func() {
			if _, err := s.Claim(ctx, nil, 1, staging.Claim{}); err == nil {
				t.Error("a Redis that hangs gave a session")
			}
		})
	}
	together.Wait()
	if ctx.Err() != nil {
		t.Error("callers waited for one pipeline after another")
	}
	if reason := <-changes; reason == nil {
		t.Error("the breaker was closed before it was tripped")
	}
	for range 1000 {
		if _, err := s.Session(t.Context(), "s"); !errors.Is(err, ErrBreakerOpen) {
			t.Fatalf("a call after a timeout: %v", err)
		}
		if _, _, err := s.Counts(t.Context(), "a", "b"); !errors.Is(err, ErrBreakerOpen) {
			t.Fatalf("a pipeline after a timeout: %v", err)
		}
	}
}

// TestTheBreakerClosesWhenRedisAnswers, and is tripped by nothing but silence.
func TestTheBreakerClosesWhenRedisAnswers(t *testing.T) {
	b := NewBreaker()
	for what, err := range map[string]error{
		"an answer":                 redis.Nil,
		"a refusal":                 errors.New("READONLY You can't write against a read only replica."),
		"a caller that has gone":    context.Canceled,
		"a caller's spent deadline": context.DeadlineExceeded, // it had no time to wait
	} {
		if b.observe(t.Context(), time.Now(), err); b.open.Load() {
			t.Errorf("%s tripped the breaker", what)
		}
	}
	b.observe(t.Context(), time.Now().Add(-time.Second), context.DeadlineExceeded)
	if !b.open.Load() {
		t.Error("a timeout did not trip the breaker")
	}
	var pings atomic.Int64
	changes := make(chan error, 10)
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		b.Run(ctx, func(ctx context.Context) error {
			if b.refuses(ctx) {
				t.Error("the breaker refuses its own probe")
			}
			if pings.Add(1) < 3 {
				return context.DeadlineExceeded
			}
			return nil
		}, func(reason error) { changes <- reason })
	})
	if reason := <-changes; reason == nil {
		t.Error("the first failed probe was not reported")
	}
	if reason := <-changes; reason != nil || b.open.Load() || pings.Load() != 3 {
		t.Errorf("after %d probes: %v, open %v", pings.Load(), reason, b.open.Load())
	}
	stop()
	running.Wait()
}

// TestACallThatItsCallerCancelledTripsNothing: not a dial that ends with its caller, nor a
// command. A dial that is refused does.
func TestACallThatItsCallerCancelledTripsNothing(t *testing.T) {
	gone, hangUp := context.WithCancel(t.Context())
	hangUp()
	dial := &net.OpError{Op: "dial", Err: context.Canceled}
	for what, c := range map[string]struct {
		ctx   context.Context
		err   error
		trips bool
	}{
		"a cancelled dial":    {gone, dial, false},
		"a cancelled command": {gone, &net.OpError{Op: "read", Err: context.Canceled}, false},
		"a refused dial":      {t.Context(), dial, true},
	} {
		b := NewBreaker()
		b.observe(c.ctx, time.Now().Add(-time.Second), c.err)
		if b.open.Load() != c.trips {
			t.Errorf("%s trips the breaker: %t", what, b.open.Load())
		}
	}
}
