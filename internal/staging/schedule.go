package staging

import (
	"fmt"
	"time"

	"github.com/robfig/cron/v3"
)

// Schedule is a time at which a pool wants another number of sessions.
type Schedule struct {
	// Cron says when it begins: minute, hour, day of month, month, day of week.
	Cron string `json:"cron"`
	// TimeZone is the IANA name of the zone that Cron is in; "" is UTC.
	TimeZone string `json:"time_zone,omitempty"`
	// Duration is how long it lasts from each beginning.
	Duration Duration `json:"duration"`
	// DesiredSessions are wanted while it lasts, instead of the config's own.
	DesiredSessions int `json:"desired_sessions"`
}

// Bounds of schedules: a longer one should be the config's own number.
const (
	maxSchedules        = 32
	minScheduleDuration = Duration(time.Minute)
	maxScheduleDuration = Duration(31 * 24 * time.Hour)
)

// Location is where the schedule's clock is.
func (s Schedule) Location() (*time.Location, error) {
	if s.TimeZone == "" {
		return time.UTC, nil
	}
	return time.LoadLocation(s.TimeZone)
}

// Times gives the schedule's beginnings.
func (s Schedule) Times() (cron.Schedule, error) { return cron.ParseStandard(s.Cron) }

func (p *problems) schedules(field string, all []Schedule, l Limits) {
	if len(all) > maxSchedules {
		p.add(field, "must have at most %d entries, has %d", maxSchedules, len(all))
	}
	for i, s := range all {
		at := fmt.Sprintf("%s[%d]", field, i)
		// The library would take a zone of its own from the text.
		if _, err := s.Times(); err != nil || len(s.Cron) > 0 && (s.Cron[0] == 'C' || s.Cron[0] == 'T') {
			p.add(at+".cron", "must be minute, hour, day of month, month and day of week, such as \"0 13 * * MON-FRI\", is %q", s.Cron)
		}
		if _, err := s.Location(); err != nil || s.TimeZone == "Local" {
			p.add(at+".time_zone", "must be an IANA time zone such as Europe/Berlin, is %q", s.TimeZone)
		}
		if s.Duration < minScheduleDuration || s.Duration > maxScheduleDuration {
			p.add(at+".duration", "must be between %s and %s, is %s", minScheduleDuration, maxScheduleDuration, s.Duration)
		}
		if s.DesiredSessions < 0 || s.DesiredSessions > l.MaxDesiredSessions {
			p.add(at+".desired_sessions", "must be between 0 and %d, is %d", l.MaxDesiredSessions, s.DesiredSessions)
		}
	}
}
