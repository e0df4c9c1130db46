package sizing

import (
	"fmt"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// inWords says which entry of a schedule decides at now, until when, and what comes next, in
// the entry's time zone.
func inWords(c staging.Config, at, next opening, w staging.Wanted, now time.Time) string {
	if at.entry < 0 {
		text := "no schedule is open: " + staging.Count(w.Sessions, "session")
		if w.Next == w.Sessions || next.entry < 0 {
			return text
		}
		s := c.Schedule[next.entry]
		return fmt.Sprintf("%s; next: %d from %s %s (schedule %d)", text, w.Next, clock(w.Until, now, s), zoneName(s), next.entry+1)
	}
	s := c.Schedule[at.entry]
	text := fmt.Sprintf("schedule %d (%s, %s) is open", at.entry+1, s.Cron, zoneName(s))
	if ends, ok := closes(s, at.ends); ok {
		text += " until " + clock(ends, now, s)
	}
	text += ": " + staging.Count(w.Sessions, "session")
	if w.Next == w.Sessions {
		return text
	}
	text += fmt.Sprintf("; next: %d from %s", w.Next, clock(w.Until, now, s))
	if next.entry >= 0 && next.entry != at.entry {
		text += fmt.Sprintf(" (schedule %d)", next.entry+1)
	}
	return text
}

// closes returns when an entry that is open closes: its periods may overlap. ok is false when
// it stays open for long.
func closes(s staging.Schedule, ends time.Time) (at time.Time, ok bool) {
	for range maxChanges {
		if ends.IsZero() {
			break
		}
		open, change := isOpen(s, ends)
		if !open {
			return ends, true
		}
		ends = change
	}
	return time.Time{}, false
}

func zoneName(s staging.Schedule) string {
	if s.TimeZone == "" {
		return "UTC"
	}
	return s.TimeZone
}

// clock is a time on the clock of an entry's time zone, with its day where it is not today.
func clock(t, now time.Time, s staging.Schedule) string {
	zone, err := s.Location()
	if err != nil {
		zone = time.UTC // an entry that is open or opens has a time zone
	}
	t, now = t.In(zone), now.In(zone)
	switch {
	case t.Year() == now.Year() && t.YearDay() == now.YearDay():
		return t.Format("15:04")
	case t.Sub(now) < 6*24*time.Hour:
		return t.Format("Mon 15:04")
	}
	return t.Format("2006-01-02 15:04")
}
