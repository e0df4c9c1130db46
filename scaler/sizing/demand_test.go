package sizing

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// monday is a Monday at midnight.
var monday = time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)

func newDemand(t interface{ Fatal(...any) }, s DemandSettings) *Demand {
	d, err := NewDemand(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func settings() DemandSettings {
	return DemandSettings{ServedWarm: 0.99, Max: 1000, Refill: time.Minute}
}

// poisson draws a count.
func poisson(r *rand.Rand, mean float64) int {
	n := 0
	for sum := r.ExpFloat64(); sum < mean; sum += r.ExpFloat64() {
		n++
	}
	return n
}

// feed gives a demand launches by the minute, at a rate a minute, all served warm.
func feed(d *Demand, r *rand.Rand, from time.Time, length time.Duration, rate func(time.Time) float64) time.Time {
	to := from.Add(length)
	for at := from; at.Before(to); at = at.Add(time.Minute) {
		d.Launched(at, poisson(r, rate(at)), 0)
	}
	return to
}

func TestDemandSettingsNameWhatIsNotValid(t *testing.T) {
	for _, c := range []struct {
		change func(*DemandSettings)
		want   string
	}{
		{func(s *DemandSettings) { s.ServedWarm = 1 }, "served_warm: must be between 0.5 and 0.9999, is 1"},
		{func(s *DemandSettings) { s.ServedWarm = math.NaN() }, "served_warm: must be between 0.5 and 0.9999, is NaN"},
		{func(s *DemandSettings) { s.Min = -1 }, "min: must not be negative, is -1"},
		{func(s *DemandSettings) { s.Min, s.Max = 5, 4 }, "max: must be at least 1 and at least min (5), is 4"},
		{func(s *DemandSettings) { s.Refill = 0 }, "refill: must be more than 0s, is 0s"},
	} {
		s := settings()
		c.change(&s)
		if _, err := NewDemand(s); err == nil || err.Error() != c.want {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
}

// TestDemandStaysWithinItsBounds: whatever happens, and for whatever refill time, a pool
// wants no fewer than min and no more than max, and keeps no fewer than it wants. The same
// again yields the same.
func TestDemandStaysWithinItsBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := settings()
		s.Min = rapid.IntRange(0, 10).Draw(t, "min")
		s.Max = max(s.Min, 1) + rapid.IntRange(0, 50).Draw(t, "more")
		s.ServedWarm = rapid.Float64Range(0.5, 0.9999).Draw(t, "served warm")
		s.Refill = time.Duration(rapid.IntRange(1, 3600).Draw(t, "refill")) * time.Second
		a, b := newDemand(t, s), newDemand(t, s)
		at := monday
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			at = at.Add(time.Duration(rapid.IntRange(-5, 100_000).Draw(t, "ms")) * 10 * time.Millisecond)
			launches := rapid.IntRange(0, 300).Draw(t, "launches")
			misses := rapid.IntRange(0, launches).Draw(t, "misses")
			a.Launched(at, launches, misses)
			b.Launched(at, launches, misses)
			got := a.Decide(at)
			if got != b.Decide(at) {
				t.Fatal("the same again yields another decision")
			}
			if got.Wanted < s.Min || got.Wanted > s.Max || got.Keep < got.Wanted {
				t.Fatalf("%+v", got)
			}
			if !(got.Low <= got.High) || math.IsInf(got.High, 0) || math.IsNaN(got.Expected) {
				t.Fatalf("%+v", got)
			}
		}
	})
}

// TestMoreLoadWantsMoreSessions, and so does a lower worth or floor.
func TestMoreLoadWantsMoreSessions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var weights [shapes]float64
		sum := 0.0
		for i := range weights {
			weights[i] = rapid.Float64Range(0, 1).Draw(t, "weight")
			sum += weights[i]
		}
		if sum == 0 {
			t.Skip("no weights")
		}
		for i := range weights {
			weights[i] /= sum
		}
		f := Forecast{Load: rapid.Float64Range(0, 40).Draw(t, "load"), most: math.Inf(1), weights: &weights}
		worth := rapid.Float64Range(1e-3, 0.2).Draw(t, "worth")
		floor := rapid.Float64Range(0.01, 0.2).Draw(t, "floor")
		n := f.sessions(worth, floor, 10_000)
		// Values are compared with some slack, since one session more is worth a little less
		// for much more load.
		more := f
		more.Load *= 1.5
		if got := more.sessions(worth, floor, 10_000); got < n {
			t.Fatalf("%d for half more load, %d before", got, n)
		}
		if got := f.sessions(worth/2, floor, 10_000); got < n {
			t.Fatalf("%d where misses are dearer, %d before", got, n)
		}
		if got := f.sessions(worth, floor/2, 10_000); got < n {
			t.Fatalf("%d for a lower floor, %d before", got, n)
		}
	})
}

// TestASteadyPoolWantsWhatErlangSays: with a known rate, one configuration is what the
// formula wants, give or take one.
func TestASteadyPoolWantsWhatErlangSays(t *testing.T) {
	var exact [shapes]float64
	exact[shapes-1] = 1
	for _, load := range []float64{0.5, 3, 30} {
		want := SessionsWorth(0.01, load, 1000)
		got := Forecast{Load: load, most: math.Inf(1), weights: &exact}.sessions(0.01, 1, 1000)
		if got < want || got > want+2 {
			t.Errorf("%d for load %g, by the formula %d", got, load, want)
		}
	}
}

// TestTheSeasonIsLearned: after three weeks of office hours, the morning's rise is expected
// before it comes, the weekend is not, and a holiday is noticed within an hour.
func TestTheSeasonIsLearned(t *testing.T) {
	office := func(at time.Time) float64 {
		if w := at.Weekday(); w == time.Saturday || w == time.Sunday || at.Hour() < 9 || at.Hour() >= 17 {
			return 0.2
		}
		return 8
	}
	d := newDemand(t, settings())
	r := rand.New(rand.NewPCG(1, 1))
	at := feed(d, r, monday, 21*24*time.Hour, office)
	at = feed(d, r, at, 8*time.Hour+58*time.Minute, office)
	night := d.Decide(at.Add(-time.Hour))
	at = feed(d, r, at, 5*time.Minute, office)
	if got := d.Decide(at); got.Wanted < night.Wanted+3 || got.Expected < 3 {
		t.Errorf("at 9:03 on a Monday: %s; in the night %s", got, night)
	}
	at = feed(d, r, at, 3*time.Hour, office)
	if got := d.Decide(at); got.Expected < 5 || got.Expected > 11 || got.Wanted < 10 {
		t.Errorf("at noon: %s, want some 8 a minute", got)
	}
	at = feed(d, r, at, 5*24*time.Hour, office)
	if got := d.Decide(at); got.Expected > 1.5 {
		t.Errorf("at noon on a Saturday: %s", got)
	}
	at = feed(d, r, at, 45*time.Hour+30*time.Minute, office)
	at = feed(d, r, at, 90*time.Minute, func(time.Time) float64 { return 0.2 })
	if got := d.Decide(at); got.Expected > 2 {
		t.Errorf("on a Monday without the morning's launches: %s", got)
	}
}

// TestAPoolWithoutHistoryFollowsItsLaunches from the first minutes.
func TestAPoolWithoutHistoryFollowsItsLaunches(t *testing.T) {
	d := newDemand(t, settings())
	r := rand.New(rand.NewPCG(1, 1))
	at := feed(d, r, monday, 10*time.Minute, func(time.Time) float64 { return 6 })
	if got := d.Decide(at); got.Expected < 3 || got.Expected > 10 || got.Wanted < 8 {
		t.Errorf("after ten minutes with 6 launches a minute: %s", got)
	}
	at = feed(d, r, at, 24*time.Hour, func(time.Time) float64 { return 0 })
	if got := d.Decide(at); got.Wanted > 2 {
		t.Errorf("after a day without launches: %s", got)
	}
}

// TestMissesMakeAPoolLarger, and launches served warm make it smaller in the end.
func TestMissesMakeAPoolLarger(t *testing.T) {
	d := newDemand(t, settings())
	r := rand.New(rand.NewPCG(1, 1))
	steady := func(time.Time) float64 { return 3 }
	at := feed(d, r, monday, 12*time.Hour, steady)
	before := d.Decide(at).Wanted
	for range 30 {
		d.Launched(at, 1, 1)
	}
	at = feed(d, r, at, 2*time.Hour, steady)
	after := d.Decide(at).Wanted
	if after <= before {
		t.Errorf("%d wanted after 30 misses, %d before", after, before)
	}
	at = feed(d, r, at, 48*time.Hour, steady)
	if got := d.Decide(at).Wanted; got >= after {
		t.Errorf("%d wanted after two days without a miss, %d before", got, after)
	}
}

// TestTheDayIsThatOfTheTimeZone, also where its clocks change: the launches of 9:00 are
// expected at 9:00.
func TestTheDayIsThatOfTheTimeZone(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip("no time zones here: ", err)
	}
	s := settings()
	s.Zone = berlin
	d := newDemand(t, s)
	nine := func(at time.Time) float64 {
		if at.In(berlin).Hour() == 9 {
			return 8
		}
		return 0.1
	}
	r := rand.New(rand.NewPCG(1, 1))
	// Clocks go forward in the morning of Sunday, 29 March 2026.
	from := time.Date(2026, 3, 2, 0, 0, 0, 0, berlin)
	at := feed(d, r, from, time.Date(2026, 3, 31, 8, 58, 0, 0, berlin).Sub(from), nine)
	before := d.Decide(at).Expected
	at = feed(d, r, at, 4*time.Minute, nine)
	if got := d.Decide(at).Expected; got < before+2 {
		t.Errorf("%.1f launches a minute expected at 9:02, %.1f at 8:58", got, before)
	}
}

// TestAnOutageTeachesNothing: hours in which nobody counted are not hours without launches.
func TestAnOutageTeachesNothing(t *testing.T) {
	d := newDemand(t, settings())
	r := rand.New(rand.NewPCG(1, 1))
	steady := func(time.Time) float64 { return 5 }
	at := feed(d, r, monday, 24*time.Hour, steady)
	at = feed(d, r, at.Add(6*time.Hour), time.Minute, steady)
	if got := d.Decide(at).Expected; got < 3 || got > 8 {
		t.Errorf("%.1f launches a minute expected after an outage, 5 before it", got)
	}
}

// TestRetiringWaitsForARefillTime: a pool goes down at once only by not refilling.
func TestRetiringWaitsForARefillTime(t *testing.T) {
	var r recentMax
	for _, c := range []struct {
		at     float64
		number int
		want   int
	}{
		{1000, 9, 9},
		{1010, 4, 9},
		{1059, 5, 9},
		{1080, 4, 5},
		{1140, 3, 4},
		{9999, 2, 2},
	} {
		if got := r.add(c.at, 60, c.number); got != c.want {
			t.Errorf("at %g: keeps %d, want %d", c.at, got, c.want)
		}
	}
}

func TestADecisionSaysWhy(t *testing.T) {
	d := Decision{Wanted: 14, Keep: 15, Expected: 9.2, Low: 4.1, High: 15.02, Refill: 38 * time.Second, ServedWarm: 0.99}
	if got, want := d.String(), "14 wanted: 9.2 launches a minute expected (4.1 to 15), 38 s to ready, 99% served warm"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	d.Refill, d.Max = 640*time.Millisecond, 14 // more might be wanted
	if got, want := d.String(), "14 wanted: 9.2 launches a minute expected (4.1 to 15), 0.6 s to ready, 99% served warm; max is 14"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// BenchmarkDecide is one decision for a pool with eight weeks of history.
func BenchmarkDecide(b *testing.B) {
	d := newDemand(b, settings())
	at := feed(d, rand.New(rand.NewPCG(1, 1)), monday, seasonDays*24*time.Hour, func(at time.Time) float64 { return 1 + float64(at.Hour())/4 })
	for b.Loop() {
		at = at.Add(time.Second)
		d.Launched(at, 1, 0)
		d.Decide(at)
	}
}

// TestAFirstSurgeIsFollowed: after steady weeks the steps of the levels are noise, and their powers
// say so. A surge is followed all the same, and passes.
func TestAFirstSurgeIsFollowed(t *testing.T) {
	d := newDemand(t, settings())
	r := rand.New(rand.NewPCG(7, 8))
	expected := func() float64 { return d.forecaster.Forecast().Load }
	now := feed(d, r, monday, 14*24*time.Hour, func(time.Time) float64 { return 3 })
	if steady := expected(); steady < 2 || steady > 4 {
		t.Errorf("of 3 launches a refill %.1f are expected", steady)
	}
	now = feed(d, r, now, 10*time.Minute, func(time.Time) float64 { return 15 })
	if surge := expected(); surge < 9 || surge > 18 {
		t.Errorf("ten minutes into a surge of 15 launches a refill %.1f are expected", surge)
	}
	feed(d, r, now, 2*time.Hour, func(time.Time) float64 { return 3 })
	if after := expected(); after > 6 {
		t.Errorf("two hours later %.1f are expected", after)
	}
}

// TestAQuietPoolIsSizedForItsTarget: what a miss is worth before the loop has learned it misses about
// the target for any load of a few launches a refill. A pool that nobody launches from keeps no second
// session.
func TestAQuietPoolIsSizedForItsTarget(t *testing.T) {
	loop := newClosedLoop(0.99)
	for _, load := range []float64{0.05, 0.1, 0.25, 0.5, 1, 1.5, 2, 3, 4, 5} {
		n := SessionsWorth(loop.worth(0)*forLoad(load), load, 100)
		if missed := ErlangB(n, load); missed > 0.0125 || n > SessionsFor(0.01, load, 100)+1 {
			t.Errorf("%d for %g launches a refill, %.4f of which miss", n, load, missed)
		}
	}
	idle := newDemand(t, settings())
	now := feed(idle, rand.New(rand.NewPCG(9, 1)), monday, 56*24*time.Hour, func(time.Time) float64 { return 0 })
	if wanted, _ := idle.Size(now); wanted > 1 {
		t.Errorf("%d of a pool without launches", wanted)
	}
	if fresh, _ := newDemand(t, settings()).Size(monday); fresh > 1 {
		t.Errorf("%d of a pool of which nothing is known", fresh)
	}
}
