package staging_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/greenroom/greenroom/internal/staging"
)

func TestAHistoryBySteps(t *testing.T) {
	hour := time.Date(2026, time.November, 24, 12, 0, 0, 0, time.UTC)
	at := func(minute int, m staging.Minute) staging.Minute {
		m.At = hour.Add(time.Duration(minute) * time.Minute)
		return m
	}
	minutes := []staging.Minute{
		at(1, staging.Minute{Claims: 1, Misses: 1, Ready: new(3), Wanted: new(4), Made: 1, ToReadySeconds: 10, Expected: new(1.0), Low: new(0.5), High: new(2.0)}),
		at(2, staging.Minute{Claims: 2}),
		at(3, staging.Minute{Ready: new(1), Wanted: new(6), Made: 3, ToReadySeconds: 30, Expected: new(4.0), Low: new(0.1), High: new(9.0)}),
		at(59, staging.Minute{Claims: 1, Expected: new(1.0)}),
		at(61, staging.Minute{Misses: 5}),
	}
	want := []staging.Minute{
		at(0, staging.Minute{Claims: 4, Misses: 1, Ready: new(1), Wanted: new(6), Made: 4, ToReadySeconds: 25, Expected: new(2.0), Low: new(0.1), High: new(9.0)}),
		at(60, staging.Minute{Misses: 5}),
	}
	if diff := cmp.Diff(want, staging.HistoryBySteps(minutes, time.Hour)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(minutes, staging.HistoryBySteps(minutes, time.Minute)); diff != "" {
		t.Errorf("by the minute: %s", diff)
	}
	if got := staging.HistoryUntil(staging.HistorySince(minutes, hour.Add(2*time.Minute)), hour.Add(59*time.Minute)); len(got) != 2 || !got[0].At.Equal(hour.Add(2*time.Minute)) {
		t.Errorf("from minute 2 to 59: %+v", got)
	}
}

func TestASizingNamesWhatIsNotValid(t *testing.T) {
	valid := staging.Config{Name: "p", Zone: "east", Image: "demo"}
	for field, s := range map[string]staging.Sizing{
		"sizing.mode":        {Mode: "auto", Max: 5},
		"sizing.served_warm": {Mode: staging.SizingDemand, ServedWarm: 99, Max: 5},
		"sizing.min":         {Mode: staging.SizingDemand, Min: 6, Max: 5},
		"sizing.max":         {Mode: staging.SizingDemand},
		"sizing.weight":      {Mode: staging.SizingDemand, Max: 5, Weight: -1},
		"sizing.time_zone":   {Mode: staging.SizingDemand, Max: 5, TimeZone: "Mars/Olympus"},
	} {
		c := valid
		c.Sizing = &s
		err := c.Validate(staging.DefaultLimits)
		if invalid, ok := errors.AsType[*staging.InvalidError](err); !ok || len(invalid.Fields) != 1 || invalid.Fields[0].Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	valid.Sizing = &staging.Sizing{Mode: staging.SizingRecommend, ServedWarm: 0.5, Min: 5, Max: 5, TimeZone: "Europe/Berlin"}
	if err := valid.Validate(staging.DefaultLimits); err != nil {
		t.Error(err)
	}
	valid.Sizing.Max = staging.DefaultLimits.MaxDesiredSessions + 1
	if err := valid.Validate(staging.DefaultLimits); err == nil {
		t.Error("more than a broker's limit is accepted")
	}
}
