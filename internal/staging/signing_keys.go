package staging

import (
	"fmt"
	"time"
)

// SigningKey is a key that all brokers share, and with which they sign.
type SigningKey struct {
	// Key is random.
	Key []byte `json:"key"`
	// From is when brokers begin to sign with it. Before that they already accept what it
	// signed, so that none is asked about a key that it does not know. Zero: at once.
	From time.Time `json:"from,omitzero"`
	// Until is when what it signed stops being accepted; zero for the newest key, which has
	// no end.
	Until time.Time `json:"until,omitzero"`
}

// SigningKeys are the keys for one purpose, the newest first. Each but the newest was retired
// by a rotation, and is accepted for a while.
type SigningKeys []SigningKey

// Signing returns the key to sign with at a time.
func (k SigningKeys) Signing(now time.Time) []byte {
	for _, key := range k {
		if !now.Before(key.From) {
			return key.Key
		}
	}
	// Clocks differ: the newest key, which other brokers sign with already.
	return k[0].Key
}

// Accepted returns the keys of which a signature counts at a time, the newest first.
func (k SigningKeys) Accepted(now time.Time) [][]byte {
	keys := make([][]byte, 0, len(k))
	for _, key := range k {
		if key.Until.IsZero() || now.Before(key.Until) {
			keys = append(keys, key.Key)
		}
	}
	return keys
}

const (
	// DefaultOverlap is how long keys that were retired are accepted, if nothing else is said.
	DefaultOverlap = Duration(24 * time.Hour)
	// MaxOverlap bounds that time.
	MaxOverlap = Duration(90 * 24 * time.Hour)
	// MaxSigningKeys bounds the keys of one purpose: each check of a signature may try all.
	MaxSigningKeys = 8
	// signingLead is how long brokers have to read a new key before it signs.
	signingLead = 5 * time.Second
)

// ValidateOverlap returns an *InvalidError, or nil.
func ValidateOverlap(overlap Duration) error {
	if overlap < 0 || overlap > MaxOverlap {
		return Invalid("rotation", "overlap", "must be from 0s, with which the old keys end at once, to %s, is %s", MaxOverlap, overlap)
	}
	return nil
}

// Rotate returns the keys with a new one. All older ones are accepted for the overlap from
// now on, or until the end that an earlier rotation has set them, if that is sooner. It
// returns an *InvalidError about the overlap if too many keys would be accepted.
func (k SigningKeys) Rotate(fresh []byte, now time.Time, overlap time.Duration) (SigningKeys, error) {
	rotated := SigningKeys{{Key: fresh, From: now.Add(min(overlap, signingLead))}}
	until := now.Add(overlap)
	for _, key := range k {
		if key.Until.IsZero() || until.Before(key.Until) {
			key.Until = until
		}
		if now.Before(key.Until) {
			rotated = append(rotated, key)
		}
	}
	if len(rotated) > MaxSigningKeys {
		return nil, Invalid("rotation", "overlap", "keeps %d older keys, and at most %d can be kept: the oldest one ends at %s; wait for that, or choose a shorter overlap",
			len(rotated)-1, MaxSigningKeys-1, rotated[len(rotated)-1].Until.UTC().Format(time.RFC3339))
	}
	return rotated, nil
}

// String returns the key's times, without the key.
func (k SigningKey) String() string { return fmt.Sprintf("key from %s until %s", k.From, k.Until) }

// Rotation is what a rotation of keys has done.
type Rotation struct {
	// Names are the purposes of the keys, such as AccessSecret.
	Names []string `json:"names"`
	// SignsFrom is when brokers begin to sign with the new keys.
	SignsFrom time.Time `json:"signs_from"`
	// AcceptedUntil is when what the older keys signed stops being accepted.
	AcceptedUntil time.Time `json:"accepted_until"`
}
