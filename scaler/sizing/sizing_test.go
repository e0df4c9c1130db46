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
			w := Wanted(staging.Config{DesiredSessions: 5, Schedule: c.schedule}, nil, now)
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
			"always open, and another opens months later",
			[]staging.Schedule{{Cron: "* * * * *", Duration: staging.Duration(2 * time.Minute), DesiredSessions: 3}, exam},
			"2026-03-06T23:00:30Z", 6,
			"schedule 1 (* * * * *, UTC) is open: 3 sessions; next: 6 from 2027-01-05 16:00 (schedule 2)",
		},
		{
			"open all of each day, and another opens months later",
			[]staging.Schedule{{Cron: "0 0 * * *", Duration: hours(24), DesiredSessions: 3}, exam},
			"2026-03-06T23:00:30Z", 6,
			"schedule 1 (0 0 * * *, UTC) is open: 3 sessions; next: 6 from 2027-01-05 16:00 (schedule 2)",
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
			if w := Wanted(staging.Config{DesiredSessions: 1, Schedule: c.schedule}, nil, now); w.Reason != c.words || w.Next != c.next {
				t.Errorf("%d next, %s\nwant %d, %s", w.Next, w.Reason, c.next, c.words)
			}
		})
	}
}

// TestAPoolThatFollowsItsDemand wants what the demand asks for, within its bounds; a schedule is a
// floor.
func TestAPoolThatFollowsItsDemand(t *testing.T) {
	evening := []staging.Schedule{{Cron: "0 18 * * *", Duration: staging.Duration(2 * time.Hour), DesiredSessions: 12}}
	size := func(wanted, keep int) *staging.DemandSize {
		return &staging.DemandSize{Wanted: wanted, Keep: keep, Reason: "as many as that"}
	}
	for _, c := range []struct {
		what         string
		size         *staging.DemandSize
		schedule     []staging.Schedule
		hour         int
		wanted, keep int
		reason       string
	}{
		{"nobody has sized it: nothing is retired", nil, nil, 9, 2, 20, "no scaler has sized it by its demand yet: min is 2 sessions"},
		{"what the demand asks for", size(7, 9), nil, 9, 7, 9, "as many as that"},
		{"not less than min", size(1, 1), nil, 9, 2, 2, "as many as that; min is 2"},
		{"not more than max", size(30, 40), nil, 9, 20, 20, "as many as that; max is 20"},
		{"a schedule that is not open", size(7, 9), evening, 9, 7, 9, "as many as that"},
		{"a schedule is a floor", size(7, 9), evening, 18, 12, 12, "schedule 1 (0 18 * * *, UTC) is open until 20:00: 12 sessions, more than the demand asks for: as many as that"},
		{"and no ceiling", size(15, 16), evening, 18, 15, 16, "as many as that"},
	} {
		config := staging.Config{DesiredSessions: 99, Schedule: c.schedule, Sizing: &staging.Sizing{Mode: staging.SizingDemand, Min: 2, Max: 20}}
		now := time.Date(2026, time.November, 24, c.hour, 30, 0, 0, time.UTC)
		w := Wanted(config, c.size, now)
		if w.Sessions != c.wanted || w.Keep != c.keep || w.Reason != c.reason {
			t.Errorf("%s: %+v", c.what, w)
		}
		if len(c.schedule) > 0 && (w.Until.IsZero() || w.Until.Before(now)) {
			t.Errorf("%s: until %s", c.what, w.Until)
		}
	}
	// A recommendation changes nothing.
	w := Wanted(staging.Config{DesiredSessions: 3, Sizing: &staging.Sizing{Mode: staging.SizingRecommend, Max: 20}}, size(7, 9), monday)
	if w.Sessions != 3 || w.Keep != 3 || w.Reason != "" {
		t.Errorf("with a recommendation: %+v", w)
	}
}

func TestTheRefillTimeIsThatOfTheLastSessions(t *testing.T) {
	var r RefillTime
	if r.Mean() != time.Minute {
		t.Errorf("without any: %s", r.Mean())
	}
	r.Add(1, 4*time.Second)
	r.Add(3, 8*time.Second)
	if r.Mean() != 7*time.Second {
		t.Errorf("the mean of four is %s", r.Mean())
	}
	r.Add(0, time.Hour)
	r.Add(5, 0)
	if r.Mean() != 7*time.Second {
		t.Errorf("what is none counts: %s", r.Mean())
	}
	for range 300 {
		r.Add(1, 20*time.Second)
	}
	if r.Mean() < 19*time.Second || r.Mean() > 20*time.Second {
		t.Errorf("after 300 of 20s: %s", r.Mean())
	}
}
