package httpapi

import (
	"sync"

	"golang.org/x/sync/semaphore"

	"github.com/greenroom/greenroom/internal/access"
)

// shares are a bound that callers share: of requests, or of bytes. Nobody gets more of it than a
// share, so that one who takes much leaves some to others. Safe for concurrent use.
type shares struct {
	all  *semaphore.Weighted
	mu   sync.Mutex
	each map[string]int64
}

func newShares(bound int64) *shares {
	return &shares{all: semaphore.NewWeighted(bound), each: map[string]int64{}}
}

// take takes n for somebody whose share is most, and reports whether there was as much. The
// caller frees it.
func (s *shares) take(who string, n, most int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.each[who]+n > most || !s.all.TryAcquire(n) {
		return false
	}
	s.each[who] += n
	return true
}

func (s *shares) free(who string, n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.each[who] -= n; s.each[who] <= 0 {
		delete(s.each, who)
	}
	s.all.Release(n)
}

// usersShare is the part of a bound that one user gets with a token of the user's own. Others, such
// as a portal, call for many users, and get all of it.
const usersShare = 8

// shareOf returns how much of a bound a caller gets.
func shareOf(c access.Caller, bound int64) int64 {
	if c.Role == access.User {
		return max(1, bound/usersShare)
	}
	return bound
}
