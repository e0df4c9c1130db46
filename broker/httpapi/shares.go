package httpapi

import "sync"

// shares are places of which nobody gets more than some, so that one who takes many leaves
// some to others. Safe for concurrent use.
type shares struct {
	all  chan struct{}
	most int
	mu   sync.Mutex
	each map[string]int
}

// newShares returns places, of which one gets most at most.
func newShares(places, most int) *shares {
	return &shares{all: make(chan struct{}, places), most: most, each: map[string]int{}}
}

// take takes a place for somebody, and reports whether there was one. The caller frees it.
func (s *shares) take(who string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.each[who] >= s.most {
		return false
	}
	select {
	case s.all <- struct{}{}:
		s.each[who]++
		return true
	default:
		return false
	}
}

func (s *shares) free(who string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.each[who]--; s.each[who] <= 0 {
		delete(s.each, who)
	}
	<-s.all
}
