package loadgen

import (
	"context"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestArrivalsArePoisson checks that the gaps between arrivals have the mean and the
// deviation of the exponential distribution, and are not correlated.
func TestArrivalsArePoisson(t *testing.T) {
	l := Open{Rate: 50, For: 1000 * time.Second, Seed: 7}
	all := slices.Collect(l.Arrivals())
	if !slices.IsSorted(all) || all[len(all)-1] >= l.For {
		t.Error("the arrivals are not in order, or later than the end")
	}
	if n := float64(len(all)); math.Abs(n-50000) > 4*math.Sqrt(50000) {
		t.Errorf("%v arrivals, want 50000 or nearly", n)
	}
	var gaps []float64
	for i := 1; i < len(all); i++ {
		gaps = append(gaps, (all[i] - all[i-1]).Seconds())
	}
	var mean, variance, next float64
	longer := 0
	for _, g := range gaps {
		mean += g / float64(len(gaps))
		if g > 1/l.Rate {
			longer++
		}
	}
	for i, g := range gaps {
		variance += (g - mean) * (g - mean) / float64(len(gaps))
		if i > 0 {
			next += (g - mean) * (gaps[i-1] - mean) / float64(len(gaps))
		}
	}
	for _, is := range []struct {
		what      string
		got, want float64
	}{
		{"mean gap divided by 1/rate", mean * l.Rate, 1},
		{"deviation divided by the mean", math.Sqrt(variance) / mean, 1},
		{"share of gaps longer than the mean", float64(longer) / float64(len(gaps)), 1 / math.E},
		{"correlation of a gap with the next", next / variance, 0},
	} {
		if math.Abs(is.got-is.want) > 0.03 {
			t.Errorf("%s is %v, want %v", is.what, is.got, is.want)
		}
	}
}

func TestTheSameSeedGivesTheSameArrivals(t *testing.T) {
	of := func(seed uint64) []time.Duration {
		return slices.Collect(Open{Rate: 10, For: time.Minute, Seed: seed}.Arrivals())
	}
	if !slices.Equal(of(1), of(1)) {
		t.Error("the same seed gave other arrivals")
	}
	if slices.Equal(of(1), of(2)) {
		t.Error("another seed gave the same arrivals")
	}
}

// TestAnOpenLoadCountsFromTheIntendedStart has one client that the first request keeps
// busy for a minute. The latencies of the others must include their wait for it.
func TestAnOpenLoadCountsFromTheIntendedStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := Open{Rate: 5, For: 10 * time.Second, Clients: 1, InFlight: 1000, Seed: 3}
		due := slices.Collect(l.Arrivals())
		var c calls
		r, err := l.Run(t.Context(), c.then(func(n int) (string, error) {
			if n == 0 {
				time.Sleep(time.Minute)
				return "first", nil
			}
			return "kept waiting", nil
		}))
		if err != nil {
			t.Fatal(err)
		}
		c.wantNumbers(t, len(due))
		near(t, "the first's latency", r.Classes[0].Latency.Max, 60_000)
		waited := r.Classes[1]
		if waited.Class != "kept waiting" || waited.Count != len(due)-1 {
			t.Fatalf("%+v", waited)
		}
		// All of them are answered as soon as the first one is.
		answered := due[0] + time.Minute
		near(t, "the longest wait", waited.Latency.Max, float64(answered-due[1])/1e6)
		if shortest := float64(answered-due[len(due)-1]) / 1e6; waited.Latency.Buckets[0].UpTo < shortest {
			t.Errorf("a request waited for %v ms, which is less than %v", waited.Latency.Buckets[0].UpTo, shortest)
		}
		if want := float64(len(due)) / 10; r.OfferedPerSecond != want {
			t.Errorf("%v a second were offered, want %v", r.OfferedPerSecond, want)
		}
	})
}

// TestAnOpenLoadDoesNotWaitForAnswers checks that with enough clients every request
// starts when it is due, even if the others take long.
func TestAnOpenLoadDoesNotWaitForAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := Open{Rate: 20, For: 5 * time.Second, Clients: 1000, InFlight: 1000, Seed: 4}
		due := slices.Collect(l.Arrivals())
		began := time.Now()
		started := make([]time.Duration, len(due))
		r, err := l.Run(t.Context(), func(_ context.Context, _, n int) (string, error) {
			started[n] = time.Since(began)
			time.Sleep(time.Hour / 2)
			return "ok", nil
		})
		if err != nil || r.Served != len(due) || !slices.Equal(started, due) {
			t.Errorf("%v %+v", err, r)
		}
		near(t, "the longest", r.Latency.Max, 1_800_000)
	})
}

// TestWhatFindsNoRoomIsCounted checks that the result includes every due request, even
// those that are not sent.
func TestWhatFindsNoRoomIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := Open{Rate: 50, For: 10 * time.Second, Clients: 2, InFlight: 5, Seed: 5}
		due := len(slices.Collect(l.Arrivals()))
		r, err := l.Run(t.Context(), func(context.Context, int, int) (string, error) {
			time.Sleep(time.Minute) // longer than requests arrive
			return "ok", nil
		})
		if err != nil || r.Requests != due || r.Served != 5 || r.Count(NotSent) != due-5 || r.Failures() != due-5 {
			t.Errorf("%v, of %d due: %+v", err, due, r)
		}
		for _, c := range r.Classes {
			if (c.Class == NotSent) != (c.Latency == nil) {
				t.Errorf("%s has the latency %+v", c.Class, c.Latency)
			}
		}
	})
}

// TestAReplayArrivesAtItsTimes, in the time that it lasts, whatever the answers take.
func TestAReplayArrivesAtItsTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		times := []time.Duration{time.Second, 3 * time.Second, 3 * time.Second}
		arrived := make(chan time.Duration, len(times))
		r, err := Replay{Times: times, For: 5 * time.Second, Clients: 3, InFlight: 3}.Run(t.Context(), func(context.Context, int, int) (string, error) {
			arrived <- time.Since(began)
			time.Sleep(10 * time.Second)
			return "ok", nil
		})
		if err != nil || r.Count("ok") != 3 || r.OfferedPerSecond != 0.6 {
			t.Errorf("%+v, %v", r, err)
		}
		for _, want := range times {
			if got := <-arrived; got != want {
				t.Errorf("a request arrived at %s, want %s", got, want)
			}
		}
	})
	if _, err := (Replay{Times: []time.Duration{1}}).Run(t.Context(), nil); err == nil {
		t.Error("a replay without a duration runs")
	}
}
