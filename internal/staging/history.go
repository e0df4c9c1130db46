package staging

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// RecentHistory is how far back a pool's history in Redis goes, in whole hours.
const RecentHistory = 3 * time.Hour

// HistoryWindow is how far back a pool's history in Consul goes: eight weeks.
const HistoryWindow = 8 * 7 * 24 * time.Hour

// Minute is the history of a pool in one minute.
type Minute struct {
	// At is when the minute began.
	At time.Time `json:"at"`
	// Ready is the lowest number of ready sessions that was seen in the minute. It is nil if
	// nothing was recorded, as in the minute in which the pool was created.
	Ready *int `json:"ready,omitempty"`
	// Claims counts its sessions that users got. Misses counts those that launches asked for
	// when too few were ready.
	Claims int `json:"claims"`
	Misses int `json:"misses"`
	// Made counts its sessions that became ready for the first time, and ToReadySeconds is how
	// long that took on average since they were wanted; 0 if none did.
	Made           int     `json:"made,omitempty"`
	ToReadySeconds float64 `json:"to_ready_seconds,omitempty"`
	// Wanted is how many ready sessions were wanted; nil if that is not known.
	Wanted *int `json:"wanted,omitempty"`
	// Expected is how many launches a minute were expected, with a probability of 80% between
	// Low and High; nil for a pool without sizing.
	Expected *float64 `json:"expected,omitempty"`
	Low      *float64 `json:"low,omitempty"`
	High     *float64 `json:"high,omitempty"`
}

// Launches counts the sessions of the pool that launches asked for.
func (m Minute) Launches() int { return m.Claims + m.Misses }

// HistorySince returns the minutes of a history, which is in the order of time, from a time on.
func HistorySince(minutes []Minute, since time.Time) []Minute {
	n, _ := slices.BinarySearchFunc(minutes, since, func(m Minute, at time.Time) int { return m.At.Compare(at) })
	return minutes[n:]
}

// HistoryUntil returns the minutes of a history, which is in the order of time, before a time.
func HistoryUntil(minutes []Minute, until time.Time) []Minute {
	n, _ := slices.BinarySearchFunc(minutes, until, func(m Minute, at time.Time) int { return m.At.Compare(at) })
	return minutes[:n]
}

// HistoryBySteps returns a history with one entry for each step of time that has minutes: counts
// are sums, Ready is the lowest, Wanted the highest, and the forecast has its mean and widest
// bounds.
func HistoryBySteps(minutes []Minute, step time.Duration) []Minute {
	if step <= time.Minute {
		return minutes
	}
	var all []Minute
	expected := 0
	for _, m := range minutes {
		m.At = m.At.Truncate(step)
		if len(all) == 0 || !all[len(all)-1].At.Equal(m.At) {
			all, expected = append(all, Minute{At: m.At}), 0
		}
		sum := &all[len(all)-1]
		if made := sum.Made + m.Made; made > 0 {
			sum.ToReadySeconds = (sum.ToReadySeconds*float64(sum.Made) + m.ToReadySeconds*float64(m.Made)) / float64(made)
			sum.Made = made
		}
		sum.Claims, sum.Misses = sum.Claims+m.Claims, sum.Misses+m.Misses
		sum.Ready, sum.Wanted = extreme(sum.Ready, m.Ready, less), extreme(sum.Wanted, m.Wanted, more)
		sum.Low, sum.High = extreme(sum.Low, m.Low, less), extreme(sum.High, m.High, more)
		if m.Expected != nil {
			mean := *m.Expected
			if sum.Expected != nil {
				mean = (*sum.Expected*float64(expected) + mean) / float64(expected+1)
			}
			sum.Expected, expected = &mean, expected+1
		}
	}
	return all
}

const (
	less = -1
	more = 1
)

// extreme returns the lesser, or with more the greater, of two values that may not be known.
func extreme[T cmp.Ordered](a, b *T, which int) *T {
	if a == nil || b != nil && cmp.Compare(*b, *a) == which {
		return b
	}
	return a
}

// MergeHistory returns the minutes of two histories in the order of time; of a minute that both
// have, the second's.
func MergeHistory(before, now []Minute) []Minute {
	byTime := map[int64]Minute{}
	for _, m := range slices.Concat(before, now) {
		byTime[m.At.Unix()] = m
	}
	return slices.SortedFunc(maps.Values(byTime), func(a, b Minute) int { return a.At.Compare(b.At) })
}
