package httpapi

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Calls without a valid token are answered, audited and logged one by one for as long as an
// address makes few of them. Past that they are refused with 429, and logged together, so that
// nobody can guess fast, or fill the log. Calls with a valid token from the same address, which
// may be a proxy, are served as ever.
const (
	wrongPerSecond = 1
	wrongBurst     = 20
	// maxAddresses bounds the addresses that are followed. Beyond them all share one limit.
	maxAddresses = 4096
	// reportEvery is how often the refusals of an address are logged.
	reportEvery = time.Minute
)

// wrongTokens follows the calls without a valid token, by address.
type wrongTokens struct {
	mu    sync.Mutex
	each  map[string]*wrongFrom
	other wrongFrom
}

// wrongFrom is what one address sent.
type wrongFrom struct {
	limiter *rate.Limiter
	// refused counts those past the limit since they were last reported.
	refused  int
	reported time.Time
}

func newWrongTokens() *wrongTokens {
	return &wrongTokens{each: map[string]*wrongFrom{}, other: wrongFrom{limiter: newWrongLimiter()}}
}

func newWrongLimiter() *rate.Limiter { return rate.NewLimiter(wrongPerSecond, wrongBurst) }

// spend counts a call, and reports whether it is answered as one with a wrong token. If not,
// report is how many were refused since the last report, if one is due; 0 for none.
func (w *wrongTokens) spend(address string, now time.Time) (answered bool, report int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	from := w.of(address, now)
	if from.limiter.AllowN(now, 1) {
		return true, 0
	}
	from.refused++
	if now.Sub(from.reported) >= reportEvery {
		report, from.refused, from.reported = from.refused, 0, now
	}
	return false, report
}

// exhausted reports whether the next call without a valid token of an address is refused.
func (w *wrongTokens) exhausted(address string, now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.of(address, now).limiter.TokensAt(now) < 1
}

// of returns what an address sent. One that is long silent is forgotten.
func (w *wrongTokens) of(address string, now time.Time) *wrongFrom {
	if from, ok := w.each[address]; ok {
		return from
	}
	if len(w.each) >= maxAddresses {
		for a, from := range w.each {
			if from.limiter.TokensAt(now) >= wrongBurst {
				delete(w.each, a)
			}
		}
		if len(w.each) >= maxAddresses {
			return &w.other
		}
	}
	from := &wrongFrom{limiter: newWrongLimiter()}
	w.each[address] = from
	return from
}
