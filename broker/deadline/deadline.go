// Package deadline lists how long the broker waits for one call to a server.
//
// No healthy cluster reaches any of them: each is the point from which waiting longer
// helps nobody. They are in one place because a caller's patience is what they add up to.
package deadline

import "time"

const (
	// Redis bounds a call to Redis, which answers in under a millisecond.
	Redis = 2 * time.Second
	// Consul bounds a call to Consul, whose writes wait for Raft and for a new leader.
	Consul = 5 * time.Second
	// Nomad bounds a call to Nomad, which plans a job and waits for Raft.
	Nomad = 10 * time.Second
	// Peer bounds a call to the broker of another region, beside what it waits there for a hook or
	// for a session to be up.
	Peer = 15 * time.Second
	// LastLine bounds the read of a failed session's log, which only adds to a refusal.
	LastLine = 2 * time.Second
	// Log bounds the read of the end of a session's log, which its node sends.
	Log = 10 * time.Second
	// Cleanup bounds the end of a session in the background, with calls to several servers.
	Cleanup = 15 * time.Second
)
