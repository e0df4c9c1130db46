// Package sizing computes how many ready sessions a pool wants at a given time. It is pure:
// the same config and time yield the same result.
package sizing

import (
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// Desired returns how many ready sessions a staging config wants at now, and until when
// that holds at least; zero means forever. If entries of the schedule apply, the highest
// of them replaces the config's own number.
func Desired(c staging.Config, now time.Time) (want int, until time.Time) {
	want = c.DesiredSessions
	scheduled := false
	for _, s := range c.Schedule {
		applies, change := applies(s, now)
		if !change.IsZero() && (until.IsZero() || change.Before(until)) {
			until = change
		}
		switch {
		case !applies:
		case !scheduled:
			want, scheduled = s.DesiredSessions, true
		default:
			want = max(want, s.DesiredSessions)
		}
	}
	return want, until
}

// applies reports whether a schedule's entry applies at now, and when that may change;
// zero means never. An entry that cannot be parsed never applies. Validation refuses to
// store one.
func applies(s staging.Schedule, now time.Time) (yes bool, change time.Time) {
	times, err := s.Times()
	if err != nil {
		return false, time.Time{}
	}
	zone, err := s.Location()
	if err != nil {
		return false, time.Time{}
	}
	// The first start whose end is after now.
	start := times.Next(now.In(zone).Add(-s.Duration.Std()))
	switch {
	case start.IsZero():
		return false, time.Time{}
	case start.After(now):
		return false, start
	}
	return true, start.Add(s.Duration.Std())
}
