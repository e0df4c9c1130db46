package simulate

import (
	"math"
	"testing"
	"time"
)

// dayIn returns the launches of a day with two peaks, compressed into so long a time.
func dayIn(t *testing.T, long time.Duration, sum float64) []time.Duration {
	t.Helper()
	s := Series{Start: 1_767_225_600, Slot: 600}
	total := 0.0
	for i := range 144 {
		hour := float64(i) / 6
		rate := 0.1 + math.Exp(-math.Pow((hour-10)/2, 2)) + 0.8*math.Exp(-math.Pow((hour-14.5)/2.5, 2))
		s.Counts, total = append(s.Counts, rate), total+rate
	}
	for i := range s.Counts {
		s.Counts[i] *= sum / total
	}
	launches, err := Launches(s, 1)
	if err != nil {
		t.Fatal(err)
	}
	for i := range launches {
		launches[i] = time.Duration(float64(launches[i]) * long.Seconds() / s.Seconds())
	}
	return launches
}

// TestANewPoolIsSizedAlikeWheneverItBegins: the season counts in slots of five minutes by the
// clock. A pool without history is to be sized by its launches, and not by where in a slot they
// come.
func TestANewPoolIsSizedAlikeWheneverItBegins(t *testing.T) {
	launches := dayIn(t, 4*time.Minute, 700)
	var first Reached
	for off := time.Duration(0); off < 5*time.Minute; off += 30 * time.Second {
		got, err := Replay{
			Start: time.Unix(1_767_225_600, 0).Add(off), Lead: 6 * time.Second, Lasts: 4 * time.Minute, Every: 2 * time.Second,
			Options: Options{Refill: 4 * time.Second, Target: 0.95, Min: 1, Max: 60},
		}.Run(launches)
		if err != nil {
			t.Fatal(err)
		}
		if off == 0 {
			first = got
		}
		if math.Abs(got.ServedWarm-first.ServedWarm) > 0.02 || math.Abs(got.MeanIdle/first.MeanIdle-1) > 0.1 {
			t.Errorf("%s into a slot: %+v; at its beginning: %+v", off, got, first)
		}
	}
}

// TestAReplayTakesMeasuredRefillTimes: a session takes what the last one took that was wanted by
// then, and the pool learns that.
func TestAReplayTakesMeasuredRefillTimes(t *testing.T) {
	launches := dayIn(t, 20*time.Minute, 1500)
	p := Replay{
		Start: time.Unix(1_767_225_600, 0), Lasts: 20 * time.Minute, Every: 2 * time.Second,
		Options: Options{Refill: 5 * time.Second, Target: 0.95, Min: 1, Max: 60},
	}
	run := func(made ...Made) Reached {
		p.Made = made
		got, err := p.Run(launches)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	given := run()
	if same := run(Made{Took: 5 * time.Second}); same != given {
		t.Errorf("%+v with one measured refill time, %+v with the same one given", same, given)
	}
	if longer := run(Made{Took: 5 * time.Second}, Made{At: 5 * time.Minute, Took: 15 * time.Second}); longer.Peak <= given.Peak {
		t.Errorf("%+v where refills become slower, %+v where they do not", longer, given)
	}
}
