package staging

import (
	"cmp"
	"time"
)

// Verdict is what a fate record decided.
type Verdict string

// The verdicts.
const (
	// VerdictAssigned: the session is, for ever, its one user's.
	VerdictAssigned Verdict = "assigned"
	// VerdictRetired: the session is, for ever, nobody's.
	VerdictRetired Verdict = "retired"
	// VerdictUnreadable is never stored. It stands for a record that cannot be read: the
	// session may be a user's, so nobody may have it and nothing may end it.
	VerdictUnreadable Verdict = "unreadable"
)

// ClaimLease is how long a claim may take in all: hooks are bounded by
// MaxHookTimeout, everything else that a broker does by some seconds each.
// Past it, a claim that is not finished has lost its broker.
const ClaimLease = MaxHookTimeout + 30*time.Second

// Fate is the record that decides a session: created once in Consul, by
// compare-and-set on its absence. A claim and a retirement race to create it,
// so exactly one of them wins, whatever Redis said to either.
type Fate struct {
	Session string  `json:"session"`
	Verdict Verdict `json:"verdict"`
	// Reason says why a session was retired, or its claim abandoned.
	Reason string `json:"reason,omitempty"`

	// The rest belongs to VerdictAssigned.

	// Zone is the session's, by which Nomad can be asked for it.
	Zone string `json:"zone,omitempty"`
	// Namespace is the Nomad namespace of its job, since its zone may name another one
	// meanwhile; "" in the records of older versions.
	Namespace string `json:"namespace,omitempty"`
	User      *User  `json:"user,omitempty"`
	Claim     string `json:"claim,omitempty"`
	// Terms are how long the user may keep it.
	Terms Terms `json:"terms,omitzero"`
	// IdempotencyKey is the launch's, so that a repeat finds its session even
	// when Redis has been lost.
	IdempotencyKey string `json:"idempotency_key,omitempty"`
	// Fingerprint is the launch's, see Launch.Fingerprint; "" without a key.
	Fingerprint string `json:"fingerprint,omitempty"`
	// Sessions are all those of the claim, this one among them, where the launch was
	// for several: all their fates are created, and finished, in one step.
	Sessions []string `json:"sessions,omitempty"`
	// HookPending is true until the assign hook is known to have finished; no
	// assignment is acknowledged while it is.
	HookPending bool `json:"hook_pending,omitempty"`
	// Restarts are the session's when it was claimed, see Session.Restarts: the assign hook
	// ran for that start of its main task.
	Restarts int `json:"restarts,omitempty"`
	// Extensions are the last of those that gave it more time by a request with a key. All of
	// them are in Terms.Extended.
	Extensions []Extension `json:"extensions,omitempty"`
	// Lease is until when the broker that claimed it may still be at work.
	Lease     time.Time `json:"lease,omitzero"`
	DecidedAt time.Time `json:"decided_at"`

	// MadeOf are the resources of which the session must be made when its fate is decided, as
	// the claimer read them; nil where an older revision will do.
	MadeOf []ResourceVersion `json:"-"`
	// KeyIndex is the version of the key's record in Consul, as Index is the fate's.
	KeyIndex uint64 `json:"-"`
	// Index is the stored record's version in Consul, for the next
	// compare-and-set; 0 for a record that is not stored, or was just written for
	// good: who would change it after all must read it.
	Index uint64 `json:"-"`
}

// NamespaceIn is the namespace of the session's job, of which the zone is as it is now.
func (f Fate) NamespaceIn(zone Zone) string { return cmp.Or(f.Namespace, zone.Namespace) }

// FateNamespace is the namespace of a session as its fate record has it.
func FateNamespace(s Session) string { return cmp.Or(s.Namespace, "default") }

// Given is a session as its fate record has it: its user's.
func (f Fate) Given(s Session) Session {
	s.State, s.Claim, s.User, s.Terms, s.AssignedAt = Assigned, f.Claim, f.User, f.Terms, f.DecidedAt
	s.Restarts = f.Restarts
	return s
}

// KeyHold is a launch's hold on an Idempotency-Key: a record in Consul, written
// together with the fate of the session that the launch is given.
type KeyHold struct {
	Claim       string `json:"claim"`
	Fingerprint string `json:"fingerprint"`
	// Session is the one that the launch was given; the first of several, whose fate
	// names the others.
	Session string `json:"session"`
	// Crossing is the launch's way to a peer; nil where it was given a session of this region.
	Crossing *Crossing `json:"crossing,omitempty"`
	// Index is the record's version in Consul.
	Index uint64 `json:"-"`
}

// KeyHeldError says that another launch holds the key: no fate was created.
type KeyHeldError struct{ KeyHold }

// Error implements error.
func (e *KeyHeldError) Error() string {
	if e.Crossing != nil {
		return "the idempotency key is held by claim " + e.Claim + ", which asks peer " + e.Crossing.Peer
	}
	return "the idempotency key is held by claim " + e.Claim + " for session " + e.Session
}
