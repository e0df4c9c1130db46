package staging

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func location(t interface{ Fatal(...any) }, name string) *time.Location {
	l, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestAStartTakesPlaceOnTheDayTheClocksChange: after the gap where its wall time does not
// exist, and once where it exists twice.
func TestAStartTakesPlaceOnTheDayTheClocksChange(t *testing.T) {
	for _, c := range []struct{ cron, zone, after, want, then string }{
		{"30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"},
		{"0 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z"},
		{"0 3 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z", "2026-03-30T01:00:00Z"},
		{"30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"},
		{"30 2 29 3 *", "Europe/Berlin", "2026-01-01T00:00:00Z", "2026-03-29T01:00:00Z", "2027-03-29T00:30:00Z"},
		{"0 0 * * *", "Africa/Cairo", "2026-04-23T12:00:00Z", "2026-04-23T22:00:00Z", "2026-04-24T21:00:00Z"},
		{"30 0 * * *", "America/Santiago", "2026-09-05T12:00:00Z", "2026-09-06T04:00:00Z", "2026-09-07T03:30:00Z"},
		{"15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00Z", "2026-10-03T15:30:00Z", "2026-10-04T15:15:00Z"},
		{"30 2 * * *", "America/New_York", "2026-03-08T00:00:00Z", "2026-03-08T07:00:00Z", "2026-03-09T06:30:00Z"},
		{"@daily", "Africa/Cairo", "2026-04-23T12:00:00Z", "2026-04-23T22:00:00Z", "2026-04-24T21:00:00Z"},
		// Every hour is elapsed time: none is left out, and none comes early.
		{"30 * * * *", "Europe/Berlin", "2026-03-29T00:31:00Z", "2026-03-29T01:30:00Z", "2026-03-29T02:30:00Z"},
		{"0 * * * *", "Europe/Berlin", "2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z"},
		{"0 13 * * *", "", "2026-03-29T00:00:00Z", "2026-03-29T13:00:00Z", "2026-03-30T13:00:00Z"},
	} {
		times, err := Schedule{Cron: c.cron}.Times()
		if err != nil {
			t.Fatal(err)
		}
		after, err := time.Parse(time.RFC3339, c.after)
		if err != nil {
			t.Fatal(err)
		}
		got := times.Next(after.In(location(t, c.zone)))
		then := times.Next(got)
		if got, then := got.UTC().Format(time.RFC3339), then.UTC().Format(time.RFC3339); got != c.want || then != c.then {
			t.Errorf("%s in %s after %s: %s and %s, want %s and %s", c.cron, c.zone, c.after, got, then, c.want, c.then)
		}
	}
}

// TestEveryDayHasOneStart: a schedule of one time a day starts exactly once on each date.
func TestEveryDayHasOneStart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		zone := rapid.SampledFrom([]string{
			"UTC", "Europe/Berlin", "Europe/London", "America/New_York", "America/Santiago", "America/Havana", "Africa/Cairo",
			"Africa/Casablanca", "Asia/Beirut", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Chatham", "Pacific/Apia",
		}).Draw(t, "zone")
		in := location(t, zone)
		hour, minute := rapid.IntRange(0, 23).Draw(t, "hour"), rapid.IntRange(0, 59).Draw(t, "minute")
		first := time.Date(rapid.IntRange(2020, 2030).Draw(t, "year"), time.Month(rapid.IntRange(1, 12).Draw(t, "month")), 1, 0, 0, 0, 0, time.UTC)
		times, err := Schedule{Cron: fmt.Sprintf("%d %d * * *", minute, hour)}.Times()
		if err != nil {
			t.Fatal(err)
		}
		// From the last moment of the day before.
		at := firstMomentOf(first, in).Add(-time.Nanosecond)
		for day := range 100 {
			at = times.Next(at)
			date := first.AddDate(0, 0, day)
			if y, m, d := at.Date(); y != date.Year() || m != date.Month() || d != date.Day() {
				t.Fatalf("%d:%02d in %s: start %d is at %s, want one on %s", hour, minute, zone, day, at, date.Format(time.DateOnly))
			}
			wall := time.Date(at.Year(), at.Month(), at.Day(), at.Hour(), at.Minute(), 0, 0, time.UTC)
			if want := date.Add(time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute); wall.Before(want) || wall.Sub(want) > time.Hour {
				t.Fatalf("%d:%02d in %s: starts at %s", hour, minute, zone, at)
			}
		}
	})
}

func TestEndlessSchedules(t *testing.T) {
	for _, c := range []struct {
		cron     string
		duration time.Duration
		want     bool
	}{
		{"* * * * *", time.Minute, true},
		{"*/5 * * * *", 5 * time.Minute, true},
		{"*/5 * * * *", 4 * time.Minute, false},
		{"0,50 * * * *", 45 * time.Minute, false},
		{"0,50 * * * *", 50 * time.Minute, true},
		{"30 * * * *", time.Hour, true},
		{"@hourly", time.Hour, true},
		{"@hourly", time.Minute, false},
		{"* 8-17 * * *", time.Hour, false},
		{"* * * * MON-FRI", time.Hour, false},
		{"x * * * *", time.Minute, false},
	} {
		if got := (Schedule{Cron: c.cron, Duration: Duration(c.duration)}).Endless(); got != c.want {
			t.Errorf("%s for %s: %v", c.cron, c.duration, got)
		}
	}
}
