package staging

import (
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// Schedule is a recurring period in which a pool has another number of desired sessions.
type Schedule struct {
	// Cron is when the period begins: minute, hour, day of month, month, day of week.
	Cron string `json:"cron"`
	// TimeZone is the IANA name of Cron's time zone; "" is UTC.
	TimeZone string `json:"time_zone,omitempty"`
	// Duration is the length of the period.
	Duration Duration `json:"duration"`
	// DesiredSessions replaces the config's own number during the period.
	DesiredSessions int `json:"desired_sessions"`
}

// Bounds of schedules. A longer period should be the config's own number.
const (
	maxSchedules        = 32
	minScheduleDuration = Duration(time.Minute)
	maxScheduleDuration = Duration(31 * 24 * time.Hour)
)

// Location returns the schedule's time zone.
func (s Schedule) Location() (*time.Location, error) {
	if s.TimeZone == "" {
		return time.UTC, nil
	}
	return time.LoadLocation(s.TimeZone)
}

// Times returns when the schedule's periods begin. Where the clocks change, a wall time
// that is skipped begins its period at the first moment after the gap, and one that comes
// twice begins it once. A schedule of every hour follows elapsed time instead.
func (s Schedule) Times() (cron.Schedule, error) {
	times, err := cron.ParseStandard(s.Cron)
	if err != nil || everyHour(s.Cron) {
		return times, err
	}
	return wallClock{times}, nil
}

func (p *problems) schedules(field string, all []Schedule, l Limits) {
	if len(all) > maxSchedules {
		p.add(field, "must have at most %d entries, has %d", maxSchedules, len(all))
	}
	for i, s := range all {
		at := fmt.Sprintf("%s[%d]", field, i)
		p.cron(at+".cron", s, l)
		if _, err := s.Location(); err != nil || s.TimeZone == "Local" {
			p.add(at+".time_zone", "must be an IANA time zone such as Europe/Berlin, is %q", s.TimeZone)
		}
		switch {
		case s.Duration == 0:
			p.add(at+".duration", "must be given, between %s and %s", minScheduleDuration.Brief(), maxScheduleDuration.Brief())
		case s.Duration < minScheduleDuration || s.Duration > maxScheduleDuration:
			p.add(at+".duration", "must be between %s and %s, is %s", minScheduleDuration.Brief(), maxScheduleDuration.Brief(), s.Duration.Brief())
		}
		p.desired(at+".desired_sessions", s.DesiredSessions, l)
	}
}

// cron checks when a schedule's periods begin. Stored configs may have texts that earlier
// versions accepted although no period of theirs ever begins.
func (p *problems) cron(field string, s Schedule, l Limits) {
	times, err := s.Times()
	// The library would accept a time zone in the text ("CRON_TZ=...").
	if err != nil || len(s.Cron) > 0 && (s.Cron[0] == 'C' || s.Cron[0] == 'T') {
		if wrong := cronProblem(s.Cron); wrong != "" {
			p.add(field, "is %q: %s", s.Cron, wrong)
			return
		}
		p.add(field, "must be minute, hour, day of month, month and day of week, such as \"0 13 * * MON-FRI\", is %q", s.Cron)
		return
	}
	if l.Stored {
		return
	}
	switch {
	case strings.HasPrefix(s.Cron, "@every"):
		p.add(field, "must name the times at which a period begins, such as \"0 * * * *\", because %q begins at none", s.Cron)
	case times.Next(leapYear).IsZero():
		p.add(field, "must name a day that exists, because %q never begins: no month of it has that day", s.Cron)
	}
}

// leapYear has every day that a year can have, and five years later the search ends that
// finds a cron text's next time.
var leapYear = time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC).Add(-time.Second)

// desired checks a number of sessions.
func (p *problems) desired(field string, n int, l Limits) {
	switch {
	case l.MaxDesiredSessions == 0 && n < 0:
		p.add(field, "must be at least 0, is %d", n)
	case l.MaxDesiredSessions > 0 && (n < 0 || n > l.MaxDesiredSessions):
		p.add(field, "must be between 0 and %d, is %d", l.MaxDesiredSessions, n)
	}
}
