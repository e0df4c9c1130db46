package staging

import "time"

// Crossing is a launch's way to a zone at a peer. It is recorded with the launch's key before the
// peer is asked: until it is known that the peer gave no session, nothing else may be given under
// the key.
type Crossing struct {
	// Peer is the peer's name, PeerZone the zone there, and Zone its name here.
	Peer     string `json:"peer"`
	PeerZone string `json:"peer_zone"`
	Zone     string `json:"zone"`
	// Step is the step that the peer was asked for.
	Step Step `json:"step"`
	// Until is when the peer begins no launch any more that it was sent by a broker of this
	// region, by this region's clock.
	Until time.Time `json:"until"`
	// Sessions are those that the peer gave; none while that is not known.
	Sessions []string `json:"sessions,omitempty"`
}

// RemoteSession is a session that a peer gave to a launch of this region.
type RemoteSession struct {
	Session string `json:"session"`
	// Peer is the peer's name, Zone the name that its zone has here.
	Peer string `json:"peer"`
	Zone string `json:"zone"`
	// UserID is whose it is.
	UserID string `json:"user_id"`
	// IdempotencyKey is the launch's, with its scope; "" for none.
	IdempotencyKey string    `json:"idempotency_key,omitempty"`
	GivenAt        time.Time `json:"given_at"`
}
