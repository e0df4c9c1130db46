package scaler

import (
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// Backoff counts the consecutive failures of a pool's sessions.
type Backoff struct {
	// Failures counts the failed tries since a session became ready.
	Failures int
	// Last is the latest failure.
	Last *staging.Failure
	// At is when it happened.
	At time.Time
	// ReadyAt is when a session became ready after that; zero before. It ends the
	// pause. The failures are forgotten only once a session stays ready for a while:
	// an image that is ready for a moment and then fails is still failing.
	ReadyAt time.Time
}

const (
	// steadyAfter is how long after a session became ready failures are forgotten.
	steadyAfter = 30 * time.Second
	// maxBackoff is the longest pause between two tries.
	maxBackoff = 5 * time.Minute
)

// failed returns the backoff after one more failure. Sessions that fail during a pause
// were made together with the one that started it, so they count as the same try.
func (b Backoff) failed(why *staging.Failure, now time.Time) Backoff {
	switch {
	case now.Before(b.until()):
		b.Last = why
		return b
	case !b.ReadyAt.IsZero() && now.Sub(b.ReadyAt) >= steadyAfter:
		b = Backoff{}
	}
	return Backoff{Failures: b.Failures + 1, Last: why, At: now}
}

// paused: the last try failed, and no session has become ready since.
func (b Backoff) paused() bool { return b.Failures > 0 && b.ReadyAt.IsZero() }

// until returns the end of the pause. The pause starts at a second and doubles with
// every failure, up to maxBackoff.
func (b Backoff) until() time.Time {
	if !b.paused() {
		return time.Time{}
	}
	pause := maxBackoff
	if n := b.Failures - 1; n < 9 {
		pause = min(pause, time.Second<<n)
	}
	return b.At.Add(pause)
}
