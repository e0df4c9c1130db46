// Package sizing computes how many ready sessions a pool wants at a given time: the number
// and schedule of its config (Wanted), or what its demand asks for (Demand). It is pure: no
// clock, client or goroutine; the same inputs yield the same result.
//
// Sizing by demand is made of four parts, each in a file of its own:
//
//   - Erlang's formula says how many launches a pool of a size misses (erlang.go).
//   - The Forecaster says how many launches to expect while a session is made ready, and how
//     sure that is: the season of the day and the week (season.go), times a level that
//     follows the launches (level.go), each as far as it has been worth something for this
//     pool (regression.go), with the errors of earlier forecasts around it (spread.go).
//   - A session more is wanted as long as the misses that it avoids are worth its idle time
//     (wanted.go).
//   - What a miss is worth follows from the share served warm that was reached (closed_loop.go).
//
// Rates are launches a second, loads are launches in the time from wanted to ready, times
// are seconds if they are no time.Duration.
package sizing

import (
	"fmt"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// maxChanges is how many changes of a schedule are looked at for the next other number: where an
// entry begins each day, those of more than a year.
const maxChanges = 512

// Wanted returns how many ready sessions a staging config wants at now, why, and when that
// changes. If entries of the schedule are open, the highest of them replaces the config's own
// number. Scalers keep this number, and brokers show it.
//
// A pool that follows its demand wants what size says, within the config's bounds, or more
// where an entry of the schedule that is open asks for more. size is what was decided last for
// the config; nil if that is not known: such a pool wants its minimum, and keeps what it has.
func Wanted(c staging.Config, size *staging.DemandSize, now time.Time) staging.Wanted {
	if c.FollowsDemand() {
		return followingDemand(c, size, now)
	}
	at := openAt(c, now)
	w := staging.Wanted{Sessions: at.sessions, Keep: at.sessions}
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

// followingDemand is Wanted for a pool that follows its demand. Its Until is when the schedule
// is to be looked at again; nobody knows what the demand asks for then.
func followingDemand(c staging.Config, size *staging.DemandSize, now time.Time) staging.Wanted {
	bounds := *c.Sizing
	w := staging.Wanted{
		Sessions: bounds.Min, Keep: max(bounds.Min, bounds.Max),
		Reason: fmt.Sprintf("no scaler has sized it by its demand yet: min is %s", staging.Count(bounds.Min, "session")),
	}
	if size != nil {
		w.Sessions = min(max(size.Wanted, bounds.Min), bounds.Max)
		w.Keep = max(w.Sessions, min(size.Keep, bounds.Max))
		w.Reason = size.Reason
		switch {
		case w.Sessions > size.Wanted:
			w.Reason += fmt.Sprintf("; min is %d", bounds.Min)
		case w.Sessions < size.Wanted:
			w.Reason += fmt.Sprintf("; max is %d", bounds.Max)
		}
	}
	demand := w.Sessions
	c.DesiredSessions = demand
	at := openAt(c, now)
	if at.sessions > demand {
		ends, text := staging.Wanted{Next: at.sessions, Sessions: at.sessions}, w.Reason
		w.Sessions, w.Keep = at.sessions, max(w.Keep, at.sessions)
		w.Reason = inWords(c, at, at, ends, now) + ", more than the demand asks for: " + text
	}
	w.Until = at.until
	if !w.Until.IsZero() {
		w.Next = max(openAt(c, w.Until).sessions, demand)
	}
	return w
}

// opening is what a config's schedule says at one time.
type opening struct {
	sessions int
	// entry is the index of the open entry that decides, and ends when its period ends, zero for
	// never; -1 for none.
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
		longer := !o.ends.IsZero() && (change.IsZero() || change.After(o.ends))
		if open && (o.entry < 0 || s.DesiredSessions > o.sessions || s.DesiredSessions == o.sessions && longer) {
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
	case s.Endless():
		return true, time.Time{}
	}
	return true, start.Add(s.Duration.Std())
}
