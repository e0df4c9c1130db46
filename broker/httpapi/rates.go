package httpapi

import (
	"fmt"
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// DefaultUserRate is how many launches a second a broker takes for one user.
const DefaultUserRate = 5

// userBurst is how many seconds' worth of launches a user may spend at once: a browser
// repeats some launches, and a person who waits clicks again.
const userBurst = 2

// underWay bounds how many launches of one user are under way, to as many as the user may begin at
// once: one that waits, for a profile or for its session, holds a place of all launches.
type underWay struct {
	launches *shares
	// most is the bound; 0 is none, where users have no rate.
	most int64
}

func newUnderWay(userRate float64, launches int) underWay {
	u := underWay{launches: newShares(int64(launches))}
	if userRate > 0 {
		u.most = int64(burstOf(userRate, userBurst))
	}
	return u
}

// begin counts a launch of a user until end is called, or refuses it.
func (u underWay) begin(userID string) (end func(), err error) {
	key := rateKey(userID)
	if u.most == 0 {
		return func() {}, nil
	}
	if !u.launches.take(key, 1, u.most) {
		return nil, &problemError{
			code: CodeRateLimited, retryAfter: defaultRetryAfter,
			detail: fmt.Sprintf("one user may have %d launches under way at this broker; nothing was done: repeat when one of them has ended", u.most),
		}
	}
	return func() { u.launches.free(key, 1) }, nil
}

// burstOf is how many launches a rate allows at once, if it holds some seconds' worth.
func burstOf(perSecond, seconds float64) int { return max(1, int(math.Ceil(perSecond*seconds))) }

// rateKey is whose launches count together.
func rateKey(userID string) string {
	return "user:" + userID[:min(len(userID), staging.MaxUserIDLength)]
}

// maxLimiters bounds the memory of rates.
const maxLimiters = 8192

// rates bound the launches of tokens that have a rate, and those for each user. It may be
// used concurrently.
type rates struct {
	// user is the launches per second for one user; 0 is no limit.
	user float64

	mu   sync.Mutex
	each map[string]*rate.Limiter
	// sweepAt is the number of limiters at which those that are full again are dropped.
	sweepAt int
}

func newRates(user float64) *rates {
	return &rates{user: user, each: map[string]*rate.Limiter{}}
}

// spend takes n launches from the rate of the caller's token and from that of the user whom
// they are for. Where one of them has too few, it takes none, and refuses with the time to
// come back after. A launch of more sessions than a rate has at once takes all that it has:
// it could never pass otherwise.
func (r *rates) spend(c access.Caller, userID string, n int, now time.Time) error {
	var taken []*rate.Reservation
	for _, of := range []struct {
		key, whose string
		rate       float64
		seconds    float64
	}{
		{"token:" + c.Accessor, "token " + c.Accessor + " may launch", c.Rate, 1},
		{rateKey(userID), "one user may launch", r.user, userBurst},
	} {
		if of.rate <= 0 {
			continue
		}
		limiter := r.of(of.key, of.rate, of.seconds, now)
		reservation := limiter.ReserveN(now, min(n, limiter.Burst()))
		taken = append(taken, reservation)
		wait := reservation.DelayFrom(now)
		if wait <= 0 {
			continue
		}
		for _, t := range taken {
			t.CancelAt(now)
		}
		return &problemError{
			code: CodeRateLimited, retryAfter: wait,
			detail: fmt.Sprintf("%s %g sessions a second at this broker; nothing was done: repeat after Retry-After", of.whose, of.rate),
		}
	}
	return nil
}

// of returns the limiter of a token or user, which holds some seconds' worth. A new limiter
// is full, so full ones are dropped: only those that launched lately have one.
func (r *rates) of(key string, perSecond, seconds float64, now time.Time) *rate.Limiter {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l, ok := r.each[key]; ok {
		return l
	}
	if len(r.each) >= r.sweepAt {
		r.sweep(now)
	}
	l := rate.NewLimiter(rate.Limit(perSecond), burstOf(perSecond, seconds))
	r.each[key] = l
	return l
}

// sweep drops the limiters that are full again, and of too many that are not any half.
func (r *rates) sweep(now time.Time) {
	for key, l := range r.each {
		if l.TokensAt(now) >= float64(l.Burst()) {
			delete(r.each, key)
		}
	}
	if len(r.each) >= maxLimiters {
		for key := range r.each {
			delete(r.each, key)
			if len(r.each) <= maxLimiters/2 {
				break
			}
		}
	}
	const fewest = 64
	r.sweepAt = min(max(fewest, 2*len(r.each)), maxLimiters)
}
