package staging

import "time"

// KeyLease is how long an unfinished launch holds its Idempotency-Key in Redis since its
// broker last renewed it. The broker renews it every KeyRenewal, for as long as the launch
// takes, so that the key is free soon after a broker has died.
const (
	KeyLease   = 30 * time.Second
	KeyRenewal = KeyLease / 3
)

// Claim is a launch's hold on the sessions that it takes.
type Claim struct {
	// ID is fresh for every launch; every later change of a claimed session is fenced by it.
	ID   string
	User User
	// Image is the launch's, and Zone the one that it was sent to. A session of another
	// image, or of another zone than its pool's, is not taken: a pool may hold some
	// after its config was changed.
	Image, Zone string
	// RequestID is the launch's, kept with the claim's event; "" for none.
	RequestID string
	// Permits are the permissions that the launch's user has: a session that was
	// made with others is not taken.
	Permits string
	// Revisions are those that sessions must have, by the name of their pool; a pool without one
	// gives sessions of any.
	Revisions map[string]string
	// Prefer are sessions that are taken first, if they are near the head of their queue.
	Prefer []string
	// Final: no fate record follows, so the claim is the assignment.
	Final bool
	// Terms are those that the user gets the sessions on.
	Terms Terms
	// MaxSessionsPerUser bounds the user's sessions, those of this claim included; 0 is no bound.
	MaxSessionsPerUser int
	// MaxOfImagePerUser is the same for the user's sessions of the image.
	MaxOfImagePerUser int
	// IdempotencyKey is the caller's; "" for none.
	IdempotencyKey string
	// Fingerprint is the launch's, see Launch.Fingerprint; "" without a key.
	Fingerprint string
}

// ClaimOutcome is what became of an attempt to claim staged sessions or to begin an
// on-demand one.
type ClaimOutcome string

// The outcomes.
const (
	// ClaimTaken: the sessions are this launch's to go on with.
	ClaimTaken ClaimOutcome = "taken"
	// ClaimEmpty: fewer sessions are claimable than the launch needs; none was taken.
	ClaimEmpty ClaimOutcome = "empty"
	// ClaimUntrusted: no scaler has renewed its trust in Redis for the pools' zones
	// within TrustTTL, so Redis may be an old copy of itself; none was taken.
	ClaimUntrusted ClaimOutcome = "untrusted"
	// ClaimRepeat: another launch holds the same Idempotency-Key.
	ClaimRepeat ClaimOutcome = "repeat"
	// ClaimKeyReused: the Idempotency-Key belongs to a different launch.
	ClaimKeyReused ClaimOutcome = "key_reused"
	// ClaimLimit: the user has as many sessions as allowed.
	ClaimLimit ClaimOutcome = "limit"
	// ClaimImageLimit: the user has as many sessions of the image as allowed.
	ClaimImageLimit ClaimOutcome = "image_limit"
)

// ClaimResult is an outcome with what goes with it.
type ClaimResult struct {
	Outcome ClaimOutcome
	// Sessions are those taken, for ClaimTaken.
	Sessions []Session
	// At is when they were claimed, by Redis's clock; for ClaimTaken of staged sessions.
	At time.Time
	// Ready is, for ClaimEmpty and ClaimUntrusted, how many sessions of each pool could
	// have been taken, in the order in which the pools were named; Untrusted where
	// Redis is not trusted for the pool's zone.
	Ready []int
	// Holder is the launch that holds the key, for ClaimRepeat; without its claim, and
	// with the first of its sessions only. Brokers do not use it: they read the whole
	// KeyHolder, again and again until that launch is done. Tests compare it with a model.
	Holder KeyHolder
	// Held are the ids of the user's sessions that count, for ClaimLimit and ClaimImageLimit.
	Held []string
}

// Untrusted replaces a pool's number of claimable sessions where Redis is not trusted
// for its zone.
const Untrusted = -1

// KeyHolder is the launch that holds an Idempotency-Key, as Redis knows it.
type KeyHolder struct {
	// Claim is the launch's; "" when no launch holds the key.
	Claim string
	// Fingerprint is the launch's: a repeat is a launch with the same one.
	Fingerprint string
	// Session is the one that the key names: of several one of them. Sessions are the ids of
	// all of the launch's sessions. Both are empty while it has none yet.
	Session  string
	Sessions []string
	// Done: the launch has finished with these sessions.
	Done bool
}
