package sizing

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// officeHours is a rate a minute: 6 from 8 to 18 hours on weekdays, else 0.5.
func officeHours(at time.Time) float64 {
	if day := at.Weekday(); day != time.Saturday && day != time.Sunday && at.Hour() >= 8 && at.Hour() < 18 {
		return 6
	}
	return 0.5
}

// TestAnOutlookKnowsTheSeason: on the evening before it expects the next day's office hours, and of
// a Friday evening none.
func TestAnOutlookKnowsTheSeason(t *testing.T) {
	d := newDemand(t, settings())
	r := rand.New(rand.NewPCG(5, 6))
	evening := feed(d, r, monday, 28*24*time.Hour+20*time.Hour, officeHours) // a Monday's
	check := func(now time.Time) {
		t.Helper()
		all := d.Outlook(now, staging.ForecastStep, staging.ForecastSteps)
		if len(all) != staging.ForecastSteps || !all[0].At.Equal(now) || all[len(all)-1].At.Sub(now) != 24*time.Hour-staging.ForecastStep {
			t.Fatalf("%d steps from %s on", len(all), all[0].At)
		}
		for _, f := range all {
			if f.Low > f.Expected || f.High < f.Expected {
				t.Errorf("%+v", f)
			}
			// Within half an hour of a change the season runs from one rate to the other.
			if edge := officeHours(f.At.Add(40*time.Minute)) != officeHours(f.At.Add(-30*time.Minute)); edge {
				continue
			}
			if busy := officeHours(f.At) > 1; busy && f.Expected < 4 || !busy && f.Expected > 2 {
				t.Errorf("%s: %.2f (%.2f to %.2f) expected, is %.2f", f.At.Format("Mon 15:04"), f.Expected, f.Low, f.High, officeHours(f.At))
			}
		}
	}
	check(evening)
	check(feed(d, r, evening, 4*24*time.Hour, officeHours)) // a Friday's
}

// TestAnOutlookLetsASurgePass: what is expected during a surge falls back to the season's, first
// what was learned of it in minutes.
func TestAnOutlookLetsASurgePass(t *testing.T) {
	d := newDemand(t, settings())
	r := rand.New(rand.NewPCG(7, 8))
	steady := func(time.Time) float64 { return 3 }
	now := feed(d, r, monday, 14*24*time.Hour, steady)
	now = feed(d, r, now, 30*time.Minute, func(time.Time) float64 { return 15 })
	all := d.Outlook(now, 10*time.Minute, 144)
	if first, hour, day := all[0].Expected, all[6].Expected, all[143].Expected; first < 8 || hour > 0.75*first || day > 5 || day < 2.5 {
		t.Errorf("in a surge of 15 a minute over 3: %.1f are expected now, %.1f in an hour, %.1f in a day", first, hour, day)
	}
}

// BenchmarkOutlook is what the coming day of a pool costs, once a minute.
func BenchmarkOutlook(b *testing.B) {
	d := newDemand(b, settings())
	now := feed(d, rand.New(rand.NewPCG(5, 6)), monday, 56*24*time.Hour, officeHours)
	for b.Loop() {
		d.Outlook(now, staging.ForecastStep, staging.ForecastSteps)
	}
}
