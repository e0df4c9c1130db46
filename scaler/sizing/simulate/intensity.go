package simulate

import (
	"math"
	"math/rand/v2"
	"sort"
)

// straightFrom is the slot, in seconds, from which on the intensity runs in straight lines
// between the middles of slots. In shorter ones it is constant.
const straightFrom = 600

// Intensity is the rate of launches over time, in launches a second. Times are seconds
// since the start of the series.
type Intensity struct {
	// From at[i] to at[i+1] it runs straight from left[i] to right[i].
	at          []float64
	left, right []float64
	// until is the integral up to at[i].
	until []float64
}

// NewIntensity returns the intensity of a series, times scale.
func NewIntensity(s Series, scale float64) *Intensity {
	in := &Intensity{}
	slot := float64(s.Slot)
	add := func(from, left, right float64) {
		in.at = append(in.at, from)
		in.left = append(in.left, left*scale/slot)
		in.right = append(in.right, right*scale/slot)
	}
	last := len(s.Counts) - 1
	if s.Slot < straightFrom {
		for i, c := range s.Counts {
			add(float64(i)*slot, c, c)
		}
	} else {
		add(0, s.Counts[0], s.Counts[0])
		for i := range last {
			add((float64(i)+0.5)*slot, s.Counts[i], s.Counts[i+1])
		}
		add((float64(last)+0.5)*slot, s.Counts[last], s.Counts[last])
	}
	in.at = append(in.at, s.Seconds())
	in.until = make([]float64, len(in.at))
	for i := range in.left {
		in.until[i+1] = in.until[i] + (in.left[i]+in.right[i])/2*(in.at[i+1]-in.at[i])
	}
	return in
}

// Total returns the mean number of launches over the whole series.
func (in *Intensity) Total() float64 { return in.until[len(in.until)-1] }

// Sum returns the mean number of launches from one time to another.
func (in *Intensity) Sum(from, to float64) float64 { return in.cumulative(to) - in.cumulative(from) }

func (in *Intensity) cumulative(t float64) float64 {
	i := sort.SearchFloat64s(in.at, t)
	switch {
	case i <= 0:
		return 0
	case i >= len(in.at):
		return in.Total()
	}
	i--
	length := in.at[i+1] - in.at[i]
	x := t - in.at[i]
	return in.until[i] + x*in.left[i] + x*x/(2*length)*(in.right[i]-in.left[i])
}

// Draw returns the times of the launches, of a Poisson process with this intensity.
func (in *Intensity) Draw(random *rand.Rand) []float64 {
	times := make([]float64, 0, int(in.Total()*1.02)+16)
	next := random.ExpFloat64()
	for i := range in.left {
		length := in.at[i+1] - in.at[i]
		for next <= in.until[i+1] {
			times = append(times, in.at[i]+solve(next-in.until[i], in.left[i], in.right[i], length))
			next += random.ExpFloat64()
		}
	}
	return times
}

// solve returns x with left·x + (right-left)·x²/(2·length) = area, from 0 to length.
func solve(area, left, right, length float64) float64 {
	slope := (right - left) / length
	root := math.Sqrt(math.Max(left*left+2*slope*area, 0))
	if left+root == 0 {
		return 0
	}
	return math.Min(2*area/(left+root), length)
}
