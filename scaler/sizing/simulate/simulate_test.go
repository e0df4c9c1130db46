package simulate

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/greenroom/greenroom/scaler/sizing"
)

// flat is a demand of one rate.
func flat(days int, count float64) Series {
	s := Series{Start: 1_704_067_200, Slot: 1800}
	for range days * 48 {
		s.Counts = append(s.Counts, count)
	}
	return s
}

// daily is a demand with a day, and weekends of half.
func daily(days int) Series {
	s := Series{Start: 1_704_067_200, Slot: 1800}
	for i := range days * 48 {
		hour := float64(i%48) / 2
		rate := 1.2 - math.Cos((hour-3)/24*2*math.Pi)
		if i/48%7 >= 5 {
			rate /= 2
		}
		s.Counts = append(s.Counts, 100*rate)
	}
	return s
}

// TestAFixedPoolMissesWhatErlangSays: for refill times that are always the same, and for
// drawn ones, within four standard errors of the mean over independent runs.
func TestAFixedPoolMissesWhatErlangSays(t *testing.T) {
	const load, runs = 3.0, 20
	for _, cv := range []float64{0, 0.5, 1.5} {
		for _, n := range []int{2, 5, 8} {
			var misses, idle []float64
			for seed := range uint64(runs) {
				r, _, err := newReplay(flat(10, 90), Options{Refill: time.Minute, RefillCV: cv, MeanPerRefill: load, Seed: seed})
				if err != nil {
					t.Fatal(err)
				}
				r.from = settle * r.refill.Mean
				o := r.run(fixed(n), 0, never, nil)
				misses, idle = append(misses, 1-o.served()), append(idle, o.meanIdle)
			}
			within(t, "misses", misses, sizing.ErlangB(n, load))
			within(t, "idle", idle, sizing.Idle(n, load))
		}
	}
}

func within(t *testing.T, what string, values []float64, want float64) {
	t.Helper()
	mean, square := 0.0, 0.0
	for _, v := range values {
		mean += v / float64(len(values))
	}
	for _, v := range values {
		square += (v - mean) * (v - mean)
	}
	err := math.Sqrt(square/float64(len(values)-1)) / math.Sqrt(float64(len(values)))
	if math.Abs(mean-want) > 4*err {
		t.Errorf("%s: %.5f, want %.5f within 4 times %.5f", what, mean, want, err)
	}
}

// TestLaunchesFollowTheIntensity: in straight lines between the middles of long slots, and
// at one rate within short ones.
func TestLaunchesFollowTheIntensity(t *testing.T) {
	for _, c := range []struct {
		slot   int64
		counts []float64
		from   float64
		to     float64
		want   float64
	}{
		{600, []float64{600, 1200}, 0, 300, 300},
		{600, []float64{600, 1200}, 300, 900, 900},
		{600, []float64{600, 1200}, 300, 600, 375}, // from 1 to 1.5 a second
		{600, []float64{600, 1200}, 900, 1200, 600},
		{300, []float64{300, 600}, 0, 300, 300},
		{300, []float64{300, 600}, 250, 350, 150},
	} {
		in := NewIntensity(Series{Slot: c.slot, Counts: c.counts}, 1)
		if got := in.Sum(c.from, c.to); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%g launches from %g to %g in slots of %d s, want %g", got, c.from, c.to, c.slot, c.want)
		}
		n := 0
		const draws = 200
		for seed := range uint64(draws) {
			for _, at := range in.Draw(rand.New(rand.NewPCG(seed, 1))) {
				if at >= c.from && at < c.to {
					n++
				}
			}
		}
		if mean := float64(n) / draws; math.Abs(mean-c.want) > 4*math.Sqrt(c.want/draws) {
			t.Errorf("%g launches drawn from %g to %g, want %g", mean, c.from, c.to, c.want)
		}
	}
}

func options() Options {
	return Options{Refill: time.Minute, Target: 0.99, MeanPerRefill: 3, Seed: 1, Train: 0.7}
}

func TestTheSameSeedYieldsTheSameResult(t *testing.T) {
	o := options()
	o.RefillCV = 0.5
	var results []*Result
	for _, seed := range []uint64{1, 1, 2} {
		o.Seed = seed
		r, err := Run(daily(14), o)
		if err != nil {
			t.Fatal(err)
		}
		results = append(results, r)
	}
	if diff := cmp.Diff(results[0], results[1]); diff != "" {
		t.Error(diff)
	}
	if results[0].MeanIdle == results[2].MeanIdle {
		t.Error("another seed yields the same")
	}
}

// TestADailyDemandIsServedWarmWithLessIdle than by fixed pools.
func TestADailyDemandIsServedWarmWithLessIdle(t *testing.T) {
	for _, refill := range []time.Duration{time.Minute, 5 * time.Minute} {
		o := options()
		o.Refill = refill
		r, err := Run(daily(28), o)
		if err != nil {
			t.Fatal(err)
		}
		if r.ServedWarm < 0.985 || r.WorstHour < 0.95 || r.Captured == nil || *r.Captured < 0.7 {
			t.Errorf("refill %s: served warm %.4f, worst hour %.3f, captured %v", refill, r.ServedWarm, r.WorstHour, r.Captured)
		}
		if r.ClairvoyantIdle > r.KnownRateIdle*1.01 || r.KnownRateIdle > r.BestFixedIdle {
			t.Errorf("clairvoyant %.2f, known rate %.2f, best fixed %.2f", r.ClairvoyantIdle, r.KnownRateIdle, r.BestFixedIdle)
		}
		launches, ready := 0, 0.0
		for _, s := range r.Plot {
			launches += s.Launches
			ready += s.Ready / float64(len(r.Plot))
		}
		if launches != r.Arrivals || math.Abs(ready-r.MeanIdle) > 1.5 {
			t.Errorf("the plot has %d launches of %d, and %.2f ready of %.2f", launches, r.Arrivals, ready, r.MeanIdle)
		}
	}
}

// TestThePolicySeesOnlyWhatHasHappened: what comes later changes nothing before.
func TestThePolicySeesOnlyWhatHasHappened(t *testing.T) {
	s := daily(10)
	sizes := func(s Series) []int {
		in := NewIntensity(s, 0.01)
		r := replay{start: s.Start, launches: in.Draw(rand.New(rand.NewPCG(1, 1))), from: 86400, end: s.Seconds(), refill: Refill{Mean: 60}}
		d, err := sizing.NewDemand(sizing.DemandSettings{ServedWarm: 0.99, Max: 100, Refill: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		seen := &witness{Policy: demand{Demand: d, start: s.Start}, until: 8 * 86400}
		r.run(seen, 0, decisions(60), nil)
		return seen.sizes
	}
	before := sizes(s)
	for i := 8*48 + 1; i < len(s.Counts); i++ {
		s.Counts[i] *= 20
	}
	if diff := cmp.Diff(before, sizes(s)); diff != "" || len(before) < 1000 {
		t.Errorf("%d decisions; %s", len(before), diff)
	}
}

// witness records a policy's sizes until a time.
type witness struct {
	Policy
	until float64
	sizes []int
}

func (w *witness) Size(t float64) (int, int) {
	wanted, keep := w.Policy.Size(t)
	if t < w.until {
		w.sizes = append(w.sizes, wanted)
	}
	return wanted, keep
}

// TestTheResultsFields are those that programs read.
func TestTheResultsFields(t *testing.T) {
	b, err := json.Marshal(Result{Curve: []Point{{}}})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"served_warm":0,"worst_hour":0,"mean_idle":0,"peak":0,"arrivals":0,"curve":[{"sessions":0,"served_warm":0,"mean_idle":0}],` +
		`"best_fixed_idle":0,"known_rate_idle":0,"clairvoyant_idle":0,"reduction":0,"captured":null}`
	if string(b) != want {
		t.Errorf("%s\nwant %s", b, want)
	}
}

func TestReadSeries(t *testing.T) {
	lines := func(times ...string) string {
		return "time,count\n" + strings.Join(times, "\n") + "\n"
	}
	var ten []string
	for i := range 10 {
		ten = append(ten, time.Unix(int64(i)*600, 0).UTC().Format(time.RFC3339)+",2.5")
	}
	s, err := ReadSeries(strings.NewReader(lines(ten...)))
	if err != nil || s.Slot != 600 || s.Start != 0 || len(s.Counts) != 10 || s.Counts[9] != 2.5 {
		t.Errorf("%+v, %v", s, err)
	}
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "must have at least 10 slots, has 0"},
		{"no header", "0,1\n300,2\n", `line 1: must be the header "time,count", is "0,1"`},
		{"few", lines("0,1", "300,2"), "must have at least 10 slots, has 2"},
		{"one field", lines("0"), "line 2: must have two fields, time,count, has 1"},
		{"time", lines("0,1", "noon,2"), `line 3: time: must be Unix seconds or RFC 3339, is "noon"`},
		{"milliseconds", lines("1704067200000,1"), "line 2: time: must be between 0 and 7258118400 Unix seconds, is 1704067200000"},
		{"backwards", lines("300,1", "0,2"), "line 3: time: must be later than that of the line before"},
		{"gap", lines("0,1", "300,2", "900,3"), "line 4: time: is 600 s after the line before, but slots are 300 s long; give every slot, with 0 where there was nothing"},
		{"count", lines("0,many"), `line 2: count: must be a number from 0 to 1e+12, is "many"`},
		{"negative", lines("0,-1"), `line 2: count: must be a number from 0 to 1e+12, is "-1"`},
		{"not a number", lines("0,NaN"), `line 2: count: must be a number from 0 to 1e+12, is "NaN"`},
		{"nothing", strings.ReplaceAll(lines(ten...), ",2.5", ",0"), "count: is 0 in every slot; there is nothing to simulate"},
	} {
		if _, err := ReadSeries(strings.NewReader(c.text)); err == nil || err.Error() != c.want {
			t.Errorf("%s: %v\nwant %s", c.name, err, c.want)
		}
	}
}

func TestOptionsNameWhatIsNotValid(t *testing.T) {
	for _, c := range []struct {
		change func(*Options)
		want   string
	}{
		{func(o *Options) { o.Refill = 0 }, "refill: must be between 1s and 1h0m0s, is 0s"},
		{func(o *Options) { o.RefillCV = -1 }, "refill-cv: must be between 0 and 3, is -1"},
		{func(o *Options) { o.Target = 1 }, "target: must be between 0.5 and 0.9999, is 1"},
		{func(o *Options) { o.MeanPerRefill = math.NaN() }, "mean-per-refill: must be between 0 and 1000, is NaN"},
		{func(o *Options) { o.Train = 1 }, "train: must be between 0 and 0.95, is 1"},
		{func(o *Options) { o.Min = -1 }, "min: must not be negative, is -1"},
		{func(o *Options) { o.Min, o.Max = 3, 2 }, "max: must be 0 for no bound, or at least min (3), is 2"},
		{func(o *Options) { o.MeanPerRefill = 900; o.Refill = time.Second }, "count: some 1088640000 launches are more than can be simulated (50000000): give mean-per-refill to scale them"},
	} {
		o := options()
		c.change(&o)
		if _, err := Run(daily(14), o); err == nil || err.Error() != c.want {
			t.Errorf("%v\nwant %s", err, c.want)
		}
	}
}

// BenchmarkAYearOfHalfHours is one simulation, with everything that it is compared with.
func BenchmarkAYearOfHalfHours(b *testing.B) {
	s := daily(365)
	for b.Loop() {
		if _, err := Run(s, options()); err != nil {
			b.Fatal(err)
		}
	}
}
