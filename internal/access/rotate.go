package access

import (
	"slices"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// Bounds of a rotation.
const (
	// DefaultOverlap is how long a token's old secret works on after a rotation that does not
	// say it, and MaxOverlap how long it may.
	DefaultOverlap = 24 * time.Hour
	MaxOverlap     = 7 * 24 * time.Hour
	// MaxPrevious is how many old secrets of a token may work at a time.
	MaxPrevious = 4
)

// Rotation says how a token gets a new secret.
type Rotation struct {
	// Overlap is how long the old secret works on, at most MaxOverlap. With 0 every secret of
	// before ends at once.
	Overlap time.Duration
	// MaxLife bounds the life of the new secret; 0 does not.
	MaxLife time.Duration
	// NotAfter bounds when the new secret expires; the zero time does not.
	NotAfter time.Time
}

// Rotate returns the token with a new secret at the time now, and that secret. Accessor, name,
// role, rate and scope stay. A token that expires gets as much life again as it had. The old
// secret works on for the overlap, or to its own end where that comes first. An error is a
// *staging.InvalidError.
func (t Token) Rotate(r Rotation, now time.Time) (rotated Token, secret string, err error) {
	now = now.UTC().Truncate(time.Millisecond)
	if r.Overlap < 0 || r.Overlap > MaxOverlap {
		return t, "", staging.Invalid("rotation", "overlap", "must be between 0s and %s, is %s", MaxOverlap, r.Overlap)
	}
	rotated = t
	rotated.Previous = nil
	if r.Overlap > 0 {
		rotated.Previous = t.outgoing(now, now.Add(r.Overlap))
	}
	if n := len(rotated.Previous); n > MaxPrevious {
		return t, "", staging.Invalid("rotation", "overlap",
			"leaves too many old secrets: %d of this token still work, the next until %s; wait, or end all of them with 0s", n-1, rotated.Previous[0].Until.Format(time.RFC3339))
	}
	secret = newSecret()
	rotated.Hash, rotated.RotatedAt = Hash(secret), now
	rotated.ExpiresAt = time.Time{}
	if life := t.life(); life > 0 {
		rotated.ExpiresAt = now.Add(life)
	}
	rotated.ExpiresAt = earlier(rotated.ExpiresAt, r.NotAfter)
	if r.MaxLife > 0 {
		rotated.ExpiresAt = earlier(rotated.ExpiresAt, now.Add(r.MaxLife))
	}
	return rotated, secret, nil
}

// outgoing returns the secrets of before that still work, with the present one until a time.
func (t Token) outgoing(now, until time.Time) []PreviousSecret {
	all := slices.DeleteFunc(slices.Clone(t.Previous), func(p PreviousSecret) bool { return !now.Before(p.Until) })
	if !t.Expired(now) {
		all = append(all, PreviousSecret{Hash: t.Hash, Until: earlier(t.ExpiresAt, until)})
	}
	return all
}

// life returns how long the present secret works from its creation on; 0 for ever.
func (t Token) life() time.Duration {
	if t.ExpiresAt.IsZero() {
		return 0
	}
	if !t.RotatedAt.IsZero() {
		return t.ExpiresAt.Sub(t.RotatedAt)
	}
	return t.ExpiresAt.Sub(t.CreatedAt)
}

// earlier returns the earlier of two times, of which the zero time is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// OverlapUntil returns until when the longest of the old secrets works; zero for none.
func (t Token) OverlapUntil(now time.Time) (last time.Time) {
	for _, p := range t.Previous {
		if now.Before(p.Until) && p.Until.After(last) {
			last = p.Until
		}
	}
	return last
}
