package sizing

import (
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

func TestWanted(t *testing.T) {
	hours := func(n int) staging.Duration { return staging.Duration(time.Duration(n) * time.Hour) }
	class := staging.Schedule{Cron: "0 13 * * MON-FRI", TimeZone: "Europe/Berlin", Duration: hours(2), DesiredSessions: 30}
	exam := staging.Schedule{Cron: "30 13 * * *", TimeZone: "Europe/Berlin", Duration: hours(1), DesiredSessions: 50}
	night := staging.Schedule{Cron: "0 22 * * *", Duration: hours(8), DesiredSessions: 0}
	cases := []struct {
		name     string
		schedule []staging.Schedule
		now      string
		want     int
		until    string // "" for never
	}{
		{"no schedule", nil, "2026-01-05T12:00:00Z", 5, ""},
		{"before a class", []staging.Schedule{class}, "2026-01-05T11:59:59Z", 5, "2026-01-05T12:00:00Z"},
		{"at its start", []staging.Schedule{class}, "2026-01-05T12:00:00Z", 30, "2026-01-05T14:00:00Z"},
		{"its last second", []staging.Schedule{class}, "2026-01-05T13:59:59Z", 30, "2026-01-05T14:00:00Z"},
		{"at its end", []staging.Schedule{class}, "2026-01-05T14:00:00Z", 5, "2026-01-06T12:00:00Z"},
		{"at the weekend", []staging.Schedule{class}, "2026-01-10T12:30:00Z", 5, "2026-01-12T12:00:00Z"},
		{"in summer it starts an hour earlier in UTC", []staging.Schedule{class}, "2026-07-06T11:00:00Z", 30, "2026-07-06T13:00:00Z"},
		{"the highest of two that apply", []staging.Schedule{class, exam}, "2026-01-05T12:45:00Z", 50, "2026-01-05T13:30:00Z"},
		{"after the end of one of two", []staging.Schedule{exam, class}, "2026-01-05T13:40:00Z", 30, "2026-01-05T14:00:00Z"},
		{"fewer than the base, over midnight", []staging.Schedule{night}, "2026-01-06T02:00:00Z", 0, "2026-01-06T06:00:00Z"},
		// Clocks in Berlin go from 02:00 to 03:00 on 2026-03-29, and from 03:00 to 02:00 on 2026-10-25.
		{"after the short day", []staging.Schedule{class}, "2026-03-30T11:00:00Z", 30, "2026-03-30T13:00:00Z"},
		{"after the long day", []staging.Schedule{class}, "2026-10-26T11:30:00Z", 5, "2026-10-26T12:00:00Z"},
		{"a start in the hour that the clocks skip", []staging.Schedule{{Cron: "30 2 * * *", TimeZone: "Europe/Berlin", Duration: hours(1), DesiredSessions: 9}}, "2026-03-29T01:00:00Z", 9, "2026-03-29T02:00:00Z"},
		{"a start in an hour that comes twice, the second time", []staging.Schedule{{Cron: "30 2 * * *", TimeZone: "Europe/Berlin", Duration: hours(1), DesiredSessions: 9}}, "2026-10-25T01:45:00Z", 5, "2026-10-26T01:30:00Z"},
		{"a schedule that cannot be parsed", []staging.Schedule{{Cron: "x", Duration: hours(1), DesiredSessions: 9}}, "2026-01-05T12:00:00Z", 5, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			now, err := time.Parse(time.RFC3339, c.now)
			if err != nil {
				t.Fatal(err)
			}
			w := Wanted(staging.Config{DesiredSessions: 5, Schedule: c.schedule}, now)
			got := ""
			if !w.Until.IsZero() {
				got = w.Until.UTC().Format(time.RFC3339)
			}
			if w.Sessions != c.want || got != c.until {
				t.Errorf("%d until %s, want %d until %s", w.Sessions, got, c.want, c.until)
			}
		})
	}
}

// TestWantedInWords: which entry decides, until when in its time zone, and what comes next.
func TestWantedInWords(t *testing.T) {
	hours := func(n int) staging.Duration { return staging.Duration(time.Duration(n) * time.Hour) }
	class := staging.Schedule{Cron: "0 8 * * MON-FRI", TimeZone: "Europe/Berlin", Duration: hours(10), DesiredSessions: 4}
	exam := staging.Schedule{Cron: "0 17 5 1 *", TimeZone: "Europe/Berlin", Duration: hours(3), DesiredSessions: 6}
	cases := []struct {
		name     string
		schedule []staging.Schedule
		now      string
		next     int
		words    string
	}{
		{"no schedule", nil, "2026-01-05T12:00:00Z", 0, ""},
		{"open", []staging.Schedule{class}, "2026-01-06T12:00:00Z", 1, "schedule 1 (0 8 * * MON-FRI, Europe/Berlin) is open until 18:00: 4 sessions; next: 1 from 18:00"},
		{"another begins within it", []staging.Schedule{exam, class}, "2026-01-05T12:00:00Z", 6, "schedule 2 (0 8 * * MON-FRI, Europe/Berlin) is open until 18:00: 4 sessions; next: 6 from 17:00 (schedule 1)"},
		{"the other is over, this one too", []staging.Schedule{exam, class}, "2026-01-05T18:30:00Z", 1, "schedule 1 (0 17 5 1 *, Europe/Berlin) is open until 20:00: 6 sessions; next: 1 from 20:00"},
		{"none is open", []staging.Schedule{class}, "2026-01-06T18:30:00Z", 4, "no schedule is open: 1 session; next: 4 from Wed 08:00 Europe/Berlin (schedule 1)"},
		{"none is open today yet", []staging.Schedule{class}, "2026-01-06T05:30:00Z", 4, "no schedule is open: 1 session; next: 4 from 08:00 Europe/Berlin (schedule 1)"},
		{"in months", []staging.Schedule{exam}, "2026-03-06T05:30:00Z", 6, "no schedule is open: 1 session; next: 6 from 2027-01-05 17:00 Europe/Berlin (schedule 1)"},
		{
			"over midnight, in UTC",
			[]staging.Schedule{{Cron: "0 22 * * *", Duration: hours(8), DesiredSessions: 0}},
			"2026-01-06T23:00:00Z", 1,
			"schedule 1 (0 22 * * *, UTC) is open until Wed 06:00: 0 sessions; next: 1 from Wed 06:00",
		},
		{
			"always open",
			[]staging.Schedule{{Cron: "* * * * *", Duration: staging.Duration(2 * time.Minute), DesiredSessions: 3}},
			"2026-01-06T23:00:30Z", 3,
			"schedule 1 (* * * * *, UTC) is open: 3 sessions",
		},
		{
			"two in a row of the same number",
			[]staging.Schedule{class, {Cron: "0 18 * * MON-FRI", TimeZone: "Europe/Berlin", Duration: hours(1), DesiredSessions: 4}},
			"2026-01-06T12:00:00Z", 1,
			"schedule 1 (0 8 * * MON-FRI, Europe/Berlin) is open until 18:00: 4 sessions; next: 1 from 19:00",
		},
		{"one that never begins", []staging.Schedule{{Cron: "0 0 30 2 *", Duration: hours(1), DesiredSessions: 9}}, "2026-01-05T12:00:00Z", 1, "no schedule is open: 1 session"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			now, err := time.Parse(time.RFC3339, c.now)
			if err != nil {
				t.Fatal(err)
			}
			if w := Wanted(staging.Config{DesiredSessions: 1, Schedule: c.schedule}, now); w.Reason != c.words || w.Next != c.next {
				t.Errorf("%d next, %s\nwant %d, %s", w.Next, w.Reason, c.next, c.words)
			}
		})
	}
}
