package main

import (
	"math"
	"math/rand/v2"

	"github.com/greenroom/greenroom/scaler/sizing/simulate"
)

// shape makes one kind of demand. rate returns the count of a slot, for its middle in hours
// of the day and its day; day 0 is a Monday.
type shape struct {
	name string
	// slot is in seconds.
	slot int64
	days int
	rate func(noise) func(hour float64, day int) float64
}

// shapes are kinds of demand that the shared series are not: whoever changes a parameter of
// the sizing sees here whether it fits those alone.
var shapes = []shape{
	{"flat", 300, 28, func(noise) func(float64, int) float64 {
		return func(float64, int) float64 { return 100 }
	}},
	{"office-hours", 900, 56, func(n noise) func(float64, int) float64 {
		return func(hour float64, day int) float64 {
			rate := 2 + 100*hill(hour, 9.3, 1) + 60*hill(hour, 14, 1.8) + 15*hill(hour, 11, 4)
			if day%7 >= 5 {
				rate = 2 + 5*hill(hour, 13, 4)
			}
			return rate * n.days[day] * n.factor(0.08)
		}
	}},
	{"game-launches", 600, 42, func(n noise) func(float64, int) float64 {
		level := 0.0
		return func(hour float64, day int) float64 {
			level *= math.Exp(-600.0 / (4 * 3600))
			if n.Float64() < 600.0/(4*86400) {
				level += 3 + 5*n.Float64()
			}
			return (20 + 80*hill(hour, 20.5, 2.5) + 30*hill(hour, 15, 3)) * (1 + level) * n.days[day]
		}
	}},
	{"growing", 1800, 70, func(n noise) func(float64, int) float64 {
		return func(hour float64, day int) float64 {
			return (30 + 70*hill(hour, 13, 3.5)) * math.Exp(0.025*float64(day)) * n.days[day]
		}
	}},
	{"holidays", 1800, 70, func(n noise) func(float64, int) float64 {
		off := map[int]bool{52: true, 60: true, 61: true}
		for range 12 {
			off[n.IntN(70)] = true
		}
		return func(hour float64, day int) float64 {
			rate := 5 + 100*hill(hour, 10, 1.5) + 90*hill(hour, 15, 2)
			if day%7 >= 5 {
				rate = 5 + 30*hill(hour, 14, 3)
			}
			if off[day] {
				rate = 5 + 15*hill(hour, 14, 3)
			}
			return rate * n.days[day]
		}
	}},
	{"classes", 300, 56, func(n noise) func(float64, int) float64 {
		size := map[int]float64{}
		for day := range 5 {
			for hour := 8; hour < 18; hour++ {
				if n.Float64() < 0.5 {
					size[day*24+hour] = 60 + 200*n.Float64()
				}
			}
		}
		return func(hour float64, day int) float64 {
			rate := 4 + 10*hill(hour, 14, 4)
			whole := math.Floor(hour)
			if (hour-whole)*60 < 10 {
				rate += size[day%7*24+int(whole)] * n.days[day] * n.factor(0.15)
			}
			return rate
		}
	}},
	{"random-walk", 300, 42, func(n noise) func(float64, int) float64 {
		level := 0.0
		return func(float64, int) float64 {
			level = level*0.9995 + 0.035*n.NormFloat64()
			return 50 * math.Exp(level)
		}
	}},
	{"on-and-off", 300, 42, func(n noise) func(float64, int) float64 {
		on := false
		return func(float64, int) float64 {
			if on && n.Float64() < 300.0/2400 || !on && n.Float64() < 300.0/9000 {
				on = !on
			}
			if on {
				return 150
			}
			return 20
		}
	}},
	{"rare-surges", 300, 42, func(n noise) func(float64, int) float64 {
		left := 0
		return func(float64, int) float64 {
			if left--; left < 0 && n.Float64() < 300.0/(3*86400) {
				left = 6 + n.IntN(24)
			}
			if left > 0 {
				return 300
			}
			return 60
		}
	}},
	{"new-levels", 600, 56, func(n noise) func(float64, int) float64 {
		level := 1.0
		return func(hour float64, _ int) float64 {
			if n.Float64() < 600.0/(6*86400) {
				level = math.Exp(0.9 * n.NormFloat64())
			}
			return level * (30 + 60*hill(hour, 15, 4))
		}
	}},
	{"shifts", 300, 42, func(n noise) func(float64, int) float64 {
		return func(hour float64, day int) float64 {
			rate := 1.0
			if day%7 < 5 && hour >= 6 && hour < 22 {
				rate = 20 + 150*hill(hour, 6.2, 0.15) + 150*hill(hour, 14.2, 0.15)
			}
			return rate * n.days[day]
		}
	}},
	{"spikes", 60, 28, func(n noise) func(float64, int) float64 {
		return func(hour float64, _ int) float64 {
			rate := (5 + 20*hill(hour, 20, 4)) * n.factor(0.6)
			if n.Float64() < 1.0/1440 {
				rate *= 15
			}
			return rate
		}
	}},
}

// noise draws what cannot be foreseen.
type noise struct {
	*rand.Rand
	// days are factors of each day.
	days []float64
}

// factor draws a factor of mean 1.
func (n noise) factor(deviation float64) float64 {
	return math.Exp(deviation*n.NormFloat64() - deviation*deviation/2)
}

// hill is a bell-shaped part of a day.
func hill(hour, at, width float64) float64 {
	d := (hour - at) / width
	return math.Exp(-d * d / 2)
}

// generate returns the series of a shape, always the same.
func (s shape) generate() simulate.Series {
	n := noise{Rand: rand.New(rand.NewPCG(77, uint64(s.slot)*1000+uint64(len(s.name))))}
	for range s.days {
		n.days = append(n.days, n.factor(0.12))
	}
	rate := s.rate(n)
	series := simulate.Series{Start: 1_704_067_200, Slot: s.slot}
	for i := range int64(s.days) * 86400 / s.slot {
		middle := float64(i*s.slot) + float64(s.slot)/2
		series.Counts = append(series.Counts, rate(math.Mod(middle, 86400)/3600, int(middle/86400)))
	}
	return series
}
