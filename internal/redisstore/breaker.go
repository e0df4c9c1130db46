package redisstore

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// ErrBreakerOpen is the error of a call that was not sent: Redis did not answer an earlier
// one, and has not answered a probe since.
var ErrBreakerOpen = errors.New("redis did not answer a moment ago, and is not called until it answers a probe")

const (
	// tripAfter is how long a call must have waited before its timeout trips the breaker. A
	// caller whose own deadline was almost spent says nothing about Redis.
	tripAfter = 200 * time.Millisecond
	// probeTimeout bounds one probe, probePause is the time from a failed probe to the next.
	probeTimeout = time.Second
	probePause   = 250 * time.Millisecond
)

// Breaker refuses calls to a Redis that does not answer, so that only the first callers wait
// for it. A hung server takes connections and commands and answers none; without a breaker
// each call costs its whole deadline.
//
// It is a hook of a client and sees every command, pipeline and dial. A timeout and a failed
// dial trip it; an error that Redis answers with does not. Run finds out when Redis is back.
// It may be used concurrently.
type Breaker struct {
	open    atomic.Bool
	tripped chan struct{}
}

// NewBreaker returns a closed breaker. Add it to one client, and run it: once tripped, it
// stays open until Run has had an answer.
func NewBreaker() *Breaker { return &Breaker{tripped: make(chan struct{}, 1)} }

// Run probes Redis with ping while the breaker is open, one probe at a time, and closes the
// breaker at the first answer. changed is called at each trip, with the reason, and at each
// close, with nil. Run returns when ctx is done.
func (b *Breaker) Run(ctx context.Context, ping func(context.Context) error, changed func(reason error)) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.tripped:
			b.open.Store(true) // a trip during the last probe
		}
		err := probe(ctx, ping)
		if ctx.Err() != nil {
			return // the probe was cancelled, which says nothing about Redis
		}
		if err != nil {
			changed(err)
		}
		for failed := err; failed != nil; failed = probe(ctx, ping) {
			select {
			case <-ctx.Done():
				return
			case <-time.After(probePause):
			}
		}
		b.open.Store(false)
		if err != nil {
			changed(nil)
		}
	}
}

// probe pings past the open breaker.
func probe(ctx context.Context, ping func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, probing{}, true), probeTimeout)
	defer cancel()
	return ping(ctx)
}

// probing is the key of a context whose calls the breaker lets pass.
type probing struct{}

// refuses reports whether the breaker refuses a call.
func (b *Breaker) refuses(ctx context.Context) bool {
	return b.open.Load() && ctx.Value(probing{}) == nil
}

// observe trips the breaker if a call that began at a time failed because Redis did not
// answer. One that its caller cancelled says nothing about Redis.
func (b *Breaker) observe(ctx context.Context, began time.Time, err error) {
	if errors.Is(ctx.Err(), context.Canceled) || !unanswered(err) || time.Since(began) < tripAfter && !failedDial(err) {
		return
	}
	b.open.Store(true)
	select {
	case b.tripped <- struct{}{}:
	default:
	}
}

// unanswered reports whether an error means that Redis did not answer, or not in time.
func unanswered(err error) bool {
	var network net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &network) || errors.Is(err, redis.ErrPoolTimeout)
}

// failedDial reports whether an error is that of a connection that could not be opened.
func failedDial(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// DialHook implements redis.Hook. Commands report the error of a dial themselves.
func (b *Breaker) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook implements redis.Hook.
func (b *Breaker) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if b.refuses(ctx) {
			cmd.SetErr(ErrBreakerOpen)
			return ErrBreakerOpen
		}
		began := time.Now()
		err := next(ctx, cmd)
		b.observe(ctx, began, err)
		return err
	}
}

// ProcessPipelineHook implements redis.Hook.
func (b *Breaker) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if b.refuses(ctx) {
			for _, cmd := range cmds {
				cmd.SetErr(ErrBreakerOpen)
			}
			return ErrBreakerOpen
		}
		began := time.Now()
		err := next(ctx, cmds)
		b.observe(ctx, began, err)
		return err
	}
}
