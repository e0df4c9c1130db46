package sizing

import "time"

const (
	// refillMemory is over about how many sessions a RefillTime is a mean.
	refillMemory = 30
	// unknownRefill is taken until a session has become ready.
	unknownRefill = time.Minute
)

// RefillTime is the mean time from wanted to ready of a pool's last sessions. Its zero value has
// seen none.
type RefillTime struct {
	mean time.Duration
	seen int
}

// Add adds sessions that became ready, and how long that took on average.
func (r *RefillTime) Add(sessions int, mean time.Duration) {
	if sessions <= 0 || mean <= 0 {
		return
	}
	before := min(r.seen, refillMemory)
	r.mean = (r.mean*time.Duration(before) + mean*time.Duration(sessions)) / time.Duration(before+sessions)
	r.seen = min(r.seen+sessions, refillMemory)
}

// Mean returns the mean, a minute while no session has been seen.
func (r *RefillTime) Mean() time.Duration {
	if r.seen == 0 {
		return unknownRefill
	}
	return r.mean
}
