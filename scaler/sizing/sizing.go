// Package sizing says how many sessions a pool wants at a moment. It is pure.
package sizing

import (
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// Desired gives how many ready sessions a staging config wants at now, and
// until when that holds at least; zero means for good. Of the schedule's entries
// that apply, the highest wins over the config's own number.
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

// applies reports whether an entry applies at now, and when that is next worth
// another look. An entry that cannot be read applies never: it was refused when
// it was stored.
func applies(s staging.Schedule, now time.Time) (yes bool, change time.Time) {
	times, err := s.Times()
	if err != nil {
		return false, time.Time{}
	}
	zone, err := s.Location()
	if err != nil {
		return false, time.Time{}
	}
	// The first beginning whose end is still to come.
	began := times.Next(now.In(zone).Add(-s.Duration.Std()))
	switch {
	case began.IsZero():
		return false, time.Time{}
	case began.After(now):
		return false, began
	}
	return true, began.Add(s.Duration.Std())
}
