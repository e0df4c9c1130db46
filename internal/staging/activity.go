package staging

import "time"

// ActivityWindow is the time that counts of a pool's activity are about, in whole minutes.
const ActivityWindow = 15 * time.Minute

// RecentWindow is the time that a rate is about.
const RecentWindow = 5 * time.Minute

// Activity is what has gone on in a pool of late, over all brokers and scalers, as far
// as Redis has heard of it.
type Activity struct {
	// PerMinute is how many of its sessions were given to users in a minute, within RecentWindow.
	PerMinute float64
	// Staged counts its sessions that were given to users within ActivityWindow, OnDemand
	// those of its image in its zone that had to be made.
	Staged, OnDemand int
	// Ready counts its sessions that became ready for the first time within
	// ActivityWindow; MeanToReady and MaxToReady are from when each was wanted to then.
	Ready                   int
	MeanToReady, MaxToReady time.Duration
}

// HistoryWindow is how far back a pool's history goes, in whole hours.
const HistoryWindow = 3 * time.Hour

// Minute is what went on in a pool in one minute.
type Minute struct {
	// At is when the minute began.
	At time.Time `json:"at"`
	// Ready is the fewest of its sessions that were seen ready in it; nil where nobody
	// looked, as in the minute that a pool is made in.
	Ready *int `json:"ready,omitempty"`
	// Claims counts its sessions that were given to users, Misses those of its image in
	// its zone that had to be made on demand.
	Claims int `json:"claims"`
	Misses int `json:"misses"`
}
