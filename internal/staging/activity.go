package staging

import "time"

// ActivityWindow is the period that counts of a pool's activity cover, in whole minutes.
const ActivityWindow = 15 * time.Minute

// RecentWindow is the period that a rate covers.
const RecentWindow = 5 * time.Minute

// Activity is the recent activity of a pool, over all brokers and scalers, as counted in
// Redis.
type Activity struct {
	// PerMinute is how many of its sessions users got per minute, within RecentWindow.
	PerMinute float64
	// Staged counts its sessions that users got within ActivityWindow. OnDemand counts the
	// on-demand sessions of its image in its zone.
	Staged, OnDemand int
	// Ready counts its sessions that became ready for the first time within
	// ActivityWindow. MeanToReady and MaxToReady are how long that took since their
	// creation.
	Ready                   int
	MeanToReady, MaxToReady time.Duration
}
