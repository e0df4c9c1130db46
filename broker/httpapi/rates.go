package httpapi

import (
	"fmt"
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/greenroom/greenroom/internal/access"
)

// rates bound the launches of tokens that have a rate.
type rates struct {
	mu   sync.Mutex
	each map[string]*rate.Limiter
}

func newRates() *rates { return &rates{each: map[string]*rate.Limiter{}} }

// spend takes n launches from a token's rate, or refuses with the time to come back
// after. A launch of more sessions than the rate has in a second takes a second's worth:
// it could never pass otherwise.
func (r *rates) spend(c access.Caller, n int, now time.Time) error {
	if c.Rate <= 0 {
		return nil
	}
	limiter := r.of(c, now)
	n = min(n, limiter.Burst())
	taken := limiter.ReserveN(now, n)
	wait := taken.DelayFrom(now)
	if wait <= 0 {
		return nil
	}
	taken.CancelAt(now)
	return &problemError{
		code: CodeRateLimited, retryAfter: wait,
		detail: fmt.Sprintf("token %s may launch %g sessions a second; nothing was done: repeat after Retry-After", c.Accessor, c.Rate),
	}
}

// of returns a token's limiter. A new limiter is full, so that full ones are dropped: only
// tokens that launched recently have one.
func (r *rates) of(c access.Caller, now time.Time) *rate.Limiter {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l, ok := r.each[c.Accessor]; ok {
		return l
	}
	for accessor, l := range r.each {
		if l.TokensAt(now) >= float64(l.Burst()) {
			delete(r.each, accessor)
		}
	}
	l := rate.NewLimiter(rate.Limit(c.Rate), max(1, int(math.Ceil(c.Rate))))
	r.each[c.Accessor] = l
	return l
}
