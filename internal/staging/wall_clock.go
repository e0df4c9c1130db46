package staging

import (
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// everyHour reports whether a cron text runs in every hour or at an interval. Such a text
// means elapsed time, and follows it through a change of the clocks.
func everyHour(text string) bool {
	fields := strings.Fields(text)
	return strings.HasPrefix(text, "@every") || text == "@hourly" || len(fields) > 1 && fields[1] == "*"
}

// Endless reports whether the schedule's periods leave no gap: they begin in every hour of every
// day, each before the one before ends.
func (s Schedule) Endless() bool {
	fields := strings.Fields(s.Cron)
	switch {
	case s.Cron == "@hourly":
		return s.Duration.Std() >= time.Hour
	case len(fields) != 5 || strings.Join(fields[1:], " ") != "* * * *":
		return false
	case s.Duration.Std() >= time.Hour:
		return true
	}
	times, err := s.Times()
	if err != nil {
		return false
	}
	for at := times.Next(leapYear); at.Before(leapYear.Add(2 * time.Hour)); {
		next := times.Next(at)
		if next.Sub(at) > s.Duration.Std() {
			return false
		}
		at = next
	}
	return true
}

// wallClock makes each wall time of a schedule occur exactly once, as cron and systemd do
// when the clocks change. One that the clocks skip takes place at the first moment after
// the gap; the library would have none that day. One that comes twice counts the first
// time; the library would have both.
type wallClock struct{ times cron.Schedule }

// Next returns the first time after t, in t's location; zero if there is none in the next
// few years.
func (w wallClock) Next(t time.Time) time.Time {
	// The library computes on a clock that never changes, which shows t's wall time.
	wall := time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
	for {
		if wall = w.times.Next(wall); wall.IsZero() {
			return time.Time{}
		}
		// In an hour that comes a second time, the wall times of the first have passed.
		if at := firstMomentOf(wall, t.Location()); at.After(t) {
			return at
		}
	}
}

// firstMomentOf returns when a location's clocks first show a wall time, or pass it.
func firstMomentOf(wall time.Time, in *time.Location) time.Time {
	offset := func(at time.Time) time.Duration {
		_, seconds := at.In(in).Zone()
		return time.Duration(seconds) * time.Second
	}
	// No zone is a day or more away from UTC, so these are the offsets before and after a
	// change near the wall time.
	const day = 24 * time.Hour
	before, after := offset(wall.Add(-day)), offset(wall.Add(day))
	// The larger offset shows a wall time earlier.
	for _, o := range []time.Duration{max(before, after), min(before, after)} {
		if at := wall.Add(-o); offset(at) == o {
			return at.In(in)
		}
	}
	_, change := wall.Add(-max(before, after)).In(in).ZoneBounds()
	return change.In(in)
}
