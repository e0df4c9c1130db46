package staging

import "time"

// Claim is a launch's hold on a session.
type Claim struct {
	// ID is fresh for every launch; it fences every later change.
	ID   string
	User User
	// Image and Zone are the launch's: a session of any other, which a pool may
	// still hold after its config was changed, is not taken.
	Image, Zone string
	// RequestID is the launch's, kept with the claim's event; "" for none.
	RequestID string
	// Permits are the permissions that the launch's user has: a session that was
	// made with others is not taken.
	Permits string
	// Prefer are sessions that are taken first, if they are among the oldest
	// ArmedHead of their pool.
	Prefer []string
	// Final: nothing decides after the claim, so it is the assignment.
	Final bool
	// Terms are those that the user is given the session on.
	Terms Terms
	// MaxSessionsPerUser bounds the user's sessions, those of this claim included; 0 is no bound.
	MaxSessionsPerUser int
	// IdempotencyKey is the caller's; "" for none.
	IdempotencyKey string
	// Fingerprint is the launch's, see Launch.Fingerprint; "" without a key.
	Fingerprint string
}

// ArmedHead is how far down a pool's ready queue brokers look for sessions to keep a
// shell in, and claims for one that has it: the oldest first, but for so many.
const ArmedHead = 32

// TrustTTL is for how long a scaler's word is good that Redis says the truth of a zone.
// A fate record stands for longer after its session has ended, so that a Redis that was
// put back to any earlier moment gives nobody a session that was somebody's: either the
// record stands, or Redis is not believed.
const TrustTTL = 30 * time.Second

// SeveralResult is what became of an attempt to claim several sessions at once.
type SeveralResult struct {
	// ClaimResult has the outcome, and what goes with one that is not ClaimTaken.
	ClaimResult
	// Sessions are all that were claimed, for ClaimTaken.
	Sessions []Session
	// Ready is, for ClaimEmpty, how many there were of each pool, in the order in which
	// the pools were named: too few, and none was taken. Untrusted is for a pool of a
	// zone for which no scaler has vouched of late; ClaimUntrusted is that of all of them.
	Ready []int
}

// Untrusted stands for a number of sessions that nobody knows.
const Untrusted = -1

// ClaimOutcome is what became of an attempt to claim a staged session or to
// begin an on-demand one.
type ClaimOutcome string

// The outcomes.
const (
	// ClaimTaken: the session is this launch's to go on with.
	ClaimTaken ClaimOutcome = "taken"
	// ClaimEmpty: nothing is claimable.
	ClaimEmpty ClaimOutcome = "empty"
	// ClaimUntrusted: no scaler has vouched of late for what Redis says of the zone, so it
	// is not believed.
	ClaimUntrusted ClaimOutcome = "stale"
	// ClaimRepeat: another launch holds the same Idempotency-Key.
	ClaimRepeat ClaimOutcome = "repeat"
	// ClaimKeyReused: the Idempotency-Key belongs to a different launch.
	ClaimKeyReused ClaimOutcome = "key_reused"
	// ClaimLimit: the user has as many sessions as allowed.
	ClaimLimit ClaimOutcome = "limit"
)

// ClaimResult is an outcome with the session that goes with it.
type ClaimResult struct {
	Outcome ClaimOutcome
	// Session is whole for ClaimTaken. For ClaimRepeat it has only the id of
	// the session that the key's launch holds, "" when it holds none yet.
	Session Session
	// At is when it was claimed, by Redis's clock; for ClaimTaken of a staged session.
	At time.Time
	// Several are the ids of all sessions of the launch that holds the key, for
	// ClaimRepeat, where it is one of several.
	Several []string
	// Done: the launch that holds the key has finished with that session.
	Done bool
	// Held are the ids of the sessions that count, for ClaimLimit.
	Held []string
}
