package simulate

import (
	"math"

	"github.com/greenroom/greenroom/scaler/sizing"
)

// Point is a fixed pool, and what it would have reached.
type Point struct {
	Sessions   int     `json:"sessions"`
	ServedWarm float64 `json:"served_warm"`
	MeanIdle   float64 `json:"mean_idle"`
}

const (
	// curveFrom is the share served warm from which on the curve of fixed pools shows
	// them, curveTo that at which it ends.
	curveFrom, curveTo = 0.5, 0.9995
	// mostSessions is the largest pool that is tried.
	mostSessions = 100_000
	// settle is how many refill times before the judged part the pools to compare with begin.
	settle = 10
)

// never is the pace of a policy that decides once.
var never = pace{soonest: math.Inf(1), latest: math.Inf(1)}

// fixedCurve returns what fixed pools reach, the smallest that is shown first.
func (r replay) fixedCurve(in *Intensity) []Point {
	load := in.Sum(r.from, r.end) / (r.end - r.from) * r.refill.Mean
	return r.extended(curveTo, []Point{r.fixed(sizing.SessionsFor(1-curveFrom, load, mostSessions))})
}

// extended adds fixed pools to a curve, up to one that reaches served at least. Above 40
// sessions some sizes are left out.
func (r replay) extended(served float64, curve []Point) []Point {
	for {
		last := curve[len(curve)-1]
		next := last.Sessions + max(1, last.Sessions/20)
		if last.ServedWarm >= served || next >= mostSessions {
			return curve
		}
		curve = append(curve, r.fixed(next))
	}
}

// fixed returns what a fixed pool reaches.
func (r replay) fixed(sessions int) Point {
	o := r.run(fixed(sessions), r.settled(), never, nil)
	return Point{Sessions: sessions, ServedWarm: o.served(), MeanIdle: o.meanIdle}
}

func (r replay) settled() float64 { return math.Max(0, r.from-settle*r.refill.Mean) }

// ratePlan tries pools that know the true rate. size returns how many sessions a load
// wants, for a parameter of which less means more sessions.
type ratePlan struct {
	replay
	step float64
	// loads are those of the steps from the one numbered first on, before which no pool is
	// tried.
	first int
	loads []float64
	size  func(load, parameter float64) int
}

// Sizes for a load.
var (
	// equalMiss has the same share of misses at all times.
	equalMiss = func(load, missed float64) int { return sizing.SessionsFor(missed, load, mostSessions) }
	// equalValue has the same value of one session more at all times.
	equalValue = func(load, worth float64) int { return sizing.SessionsWorth(worth, load, mostSessions) }
)

// planFor prepares the pools that know the rate. What they want is for the mean rate over
// the refill that begins then (the modified offered load of Jagerman, 1975).
func (r replay) planFor(in *Intensity, slot float64, size func(load, parameter float64) int) ratePlan {
	p := ratePlan{replay: r, step: math.Min(slot, math.Max(r.refill.Mean/5, 1)), size: size}
	p.first = int(r.settled() / p.step)
	p.loads = make([]float64, int(math.Ceil(r.end/p.step))-p.first)
	for i := range p.loads {
		middle := (float64(p.first+i) + 0.5) * p.step
		to := math.Min(middle+r.refill.Mean, r.end)
		from := math.Min(middle, to-p.step/2)
		p.loads[i] = in.Sum(from, to) / (to - from) * r.refill.Mean
	}
	return p
}

// try returns what the pools reach with a parameter.
func (p ratePlan) try(parameter float64) Point {
	plan := planned{step: p.step, first: p.first, sizes: make([]int, len(p.loads))}
	last := -1.0
	for i, load := range p.loads {
		// Many loads are those of the step before.
		if load == last {
			plan.sizes[i] = plan.sizes[i-1]
			continue
		}
		last = load
		plan.sizes[i] = p.size(load, parameter)
	}
	o := p.run(plan, p.settled(), pace{soonest: math.Inf(1), latest: p.step}, nil)
	return Point{ServedWarm: o.served(), MeanIdle: o.meanIdle}
}

const (
	// parameterStep is between the parameters that are tried.
	parameterStep = 0.85
	leastTried    = 1e-7
)

// idleAt returns the mean idle of the pools that know the rate at a share served warm,
// between the two parameters that are next to it. Those that are a step apart are too many to
// try: steps double until the share lies between two, and are halved from there on.
func (p ratePlan) idleAt(served float64) float64 {
	begin := math.Max(1-served, 1e-4)
	// Steps are numbered from begin on, those to more sessions upwards.
	at := func(n int) float64 { return begin * math.Pow(parameterStep, float64(n)) }
	low, here := 0, p.try(begin)
	high, there := low, here
	if here.ServedWarm < served {
		for n := 1; there.ServedWarm < served; n *= 2 {
			if at(high) <= leastTried {
				return there.MeanIdle
			}
			low, here = high, there
			high += n
			there = p.try(at(high))
		}
	} else {
		for n := 1; here.ServedWarm >= served; n *= 2 {
			if at(low) >= 1 {
				return here.MeanIdle
			}
			high, there = low, here
			low -= n
			here = p.try(at(low))
		}
	}
	for high-low > 1 {
		middle := (low + high) / 2
		if tried := p.try(at(middle)); tried.ServedWarm < served {
			low, here = middle, tried
		} else {
			high, there = middle, tried
		}
	}
	return between(here, there, served)
}

// between reads the mean idle at a share between those of two points.
func between(low, high Point, served float64) float64 {
	if high.ServedWarm <= low.ServedWarm {
		return high.MeanIdle
	}
	share := (served - low.ServedWarm) / (high.ServedWarm - low.ServedWarm)
	return low.MeanIdle + share*(high.MeanIdle-low.MeanIdle)
}

// readCurve reads the mean idle of a curve at a share, between the two points next to it.
func readCurve(curve []Point, served float64) float64 {
	for i, p := range curve {
		if p.ServedWarm < served {
			continue
		}
		if i == 0 {
			return p.MeanIdle
		}
		return between(curve[i-1], p, served)
	}
	return curve[len(curve)-1].MeanIdle
}
