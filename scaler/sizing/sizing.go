// Package sizing computes how many ready sessions a pool wants at a given time. It is pure:
// the same config and time yield the same result.
package sizing

import (
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// maxChanges is how many changes of a schedule are looked at for the next other number.
const maxChanges = 64

// Wanted returns how many ready sessions a staging config wants at now, why, and when that
// changes. If entries of the schedule are open, the highest of them replaces the config's own
// number. Scalers keep this number, and brokers show it.
func Wanted(c staging.Config, now time.Time) staging.Wanted {
	at := openAt(c, now)
	w := staging.Wanted{Sessions: at.sessions}
	if len(c.Schedule) == 0 {
		return w
	}
	next := at
	w.Next = w.Sessions
	for range maxChanges {
		if w.Until = next.until; w.Until.IsZero() {
			break
		}
		next = openAt(c, w.Until)
		if w.Next = next.sessions; w.Next != w.Sessions {
			break
		}
	}
	w.Reason = inWords(c, at, next, w, now)
	return w
}

// opening is what a config's schedule says at one time.
type opening struct {
	sessions int
	// entry is the index of the open entry that decides, and ends when its period ends; -1 for
	// none.
	entry int
	ends  time.Time
	// until is when another entry begins or one ends; zero for never.
	until time.Time
}

// openAt returns what a config's schedule says at now.
func openAt(c staging.Config, now time.Time) opening {
	o := opening{sessions: c.DesiredSessions, entry: -1}
	for i, s := range c.Schedule {
		open, change := isOpen(s, now)
		if !change.IsZero() && (o.until.IsZero() || change.Before(o.until)) {
			o.until = change
		}
		if open && (o.entry < 0 || s.DesiredSessions > o.sessions || s.DesiredSessions == o.sessions && change.After(o.ends)) {
			o.sessions, o.entry, o.ends = s.DesiredSessions, i, change
		}
	}
	return o
}

// isOpen reports whether a schedule's entry is open at now, and when that may change; zero
// means never. An entry that cannot be parsed is never open. Validation refuses to store one.
func isOpen(s staging.Schedule, now time.Time) (yes bool, change time.Time) {
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
