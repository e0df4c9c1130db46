package simulate

import (
	"math"
	"testing"
	"time"
)

// yearOfHalfHours is a year of days and weeks by slots of half an hour.
func yearOfHalfHours() Series {
	s := Series{Start: 1_704_067_200, Slot: 1800}
	for i := range 365 * 48 {
		hour, day := math.Mod(float64(i)/2, 24), i/48
		rate := 20 + 100*math.Exp(-math.Pow((hour-14)/4, 2))
		if day%7 >= 5 {
			rate *= 0.5
		}
		s.Counts = append(s.Counts, rate*(1+0.2*math.Sin(float64(i*i))))
	}
	return s
}

// BenchmarkYear is what greenroom simulate computes for a year of half-hours: three launches a
// refill of a minute, 1.6 million in all. It is to take less than five seconds.
func BenchmarkYear(b *testing.B) {
	s := yearOfHalfHours()
	for b.Loop() {
		if _, err := Run(s, Options{Refill: time.Minute, Target: 0.99, MeanPerRefill: 3, Seed: 1, Train: 0.7}); err != nil {
			b.Fatal(err)
		}
	}
}
