package sizing

import (
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

func TestDesired(t *testing.T) {
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
			want, until := Desired(staging.Config{DesiredSessions: 5, Schedule: c.schedule}, now)
			got := ""
			if !until.IsZero() {
				got = until.UTC().Format(time.RFC3339)
			}
			if want != c.want || got != c.until {
				t.Errorf("%d until %s, want %d until %s", want, got, c.want, c.until)
			}
		})
	}
}
