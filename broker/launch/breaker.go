package launch

import (
	"context"
	"sync/atomic"
	"time"
)

// breaker is tripped when a server did not answer a launch. Then the next launch checks
// the server before it claims a session that it could only destroy.
type breaker struct{ tripped atomic.Bool }

// probeTimeout bounds that check: a launch that is to be refused should be refused soon.
const probeTimeout = time.Second

// check pings the server if the breaker is tripped, resets the breaker when the server
// answers, and returns why it does not.
func (b *breaker) check(ctx context.Context, ping func(context.Context) error) error {
	if !b.tripped.Load() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	if err := ping(ctx); err != nil {
		return err
	}
	b.tripped.Store(false)
	return nil
}

// trip records that the server did not answer.
func (b *breaker) trip() { b.tripped.Store(true) }
