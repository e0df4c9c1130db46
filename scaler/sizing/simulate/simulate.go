// Package simulate replays a demand and shows what a sizing policy would have done: how many
// launches it would have served warm, and how many sessions would have idled for that,
// beside fixed pools and pools that know the true rate.
//
// It is pure: the same series, options and seed yield the same result. Launches are a
// Poisson process whose intensity is that of the series. A launch takes a ready session, or
// is made on demand and takes none; what is wanted and missing is made, and is ready one
// refill time later. The policy is that of scaler/sizing, sees only what has happened, and
// learns from the part before the judged one.
package simulate

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/greenroom/greenroom/scaler/sizing"
)

// Options are those of a simulation.
type Options struct {
	// Refill is the mean time from wanted to ready, RefillCV the standard deviation of its
	// times divided by their mean; 0 means that they are all the same.
	Refill   time.Duration
	RefillCV float64
	// Target is the share of launches that shall be served warm.
	Target float64
	// MeanPerRefill scales the demand to so many launches during a refill, on average over
	// the whole series; 0 leaves it as it is.
	MeanPerRefill float64
	// Seed chooses the launches and the refill times.
	Seed uint64
	// Train is the share of the series that is history, and not judged.
	Train float64
	// Min and Max bound how many sessions the policy wants; 0 for Max means no bound.
	Min, Max int
}

// Validate returns an error that names the option that is not valid.
func (o Options) Validate() error {
	switch {
	case o.Refill < time.Second || o.Refill > maxRefill:
		return fmt.Errorf("refill: must be between 1s and %s, is %s", maxRefill, o.Refill)
	case !(o.RefillCV >= 0 && o.RefillCV <= 3):
		return fmt.Errorf("refill-cv: must be between 0 and 3, is %g", o.RefillCV)
	case !(o.Target >= 0.5 && o.Target <= 0.9999):
		return fmt.Errorf("target: must be between 0.5 and 0.9999, is %g", o.Target)
	case !(o.MeanPerRefill >= 0 && o.MeanPerRefill <= maxLoad):
		return fmt.Errorf("mean-per-refill: must be between 0 and %d, is %g", maxLoad, o.MeanPerRefill)
	case !(o.Train >= 0 && o.Train <= 0.95):
		return fmt.Errorf("train: must be between 0 and 0.95, is %g", o.Train)
	case o.Min < 0:
		return fmt.Errorf("min: must not be negative, is %d", o.Min)
	case o.Max < 0 || o.Max > 0 && o.Max < o.Min:
		return fmt.Errorf("max: must be 0 for no bound, or at least min (%d), is %d", o.Min, o.Max)
	}
	return nil
}

const (
	maxRefill = time.Hour
	maxLoad   = 1000
	// maxLaunches bounds a simulation.
	maxLaunches = 50_000_000
	// learned is how much history the policy keeps, in seconds: nothing older is replayed.
	learned = 56 * 86400.0
	// noBound is the Max of a policy without one.
	noBound = 20_000
)

// The streams of random numbers of a seed.
const (
	launchStream = iota + 1
	refillStream
)

// Result is what the policy reached in the judged part, and what to compare it with.
type Result struct {
	// ServedWarm is the share of launches that found a ready session.
	ServedWarm float64 `json:"served_warm"`
	// WorstHour is the lowest share among the 24 clock hours with at least 100 arrivals.
	WorstHour float64 `json:"worst_hour"`
	// MeanIdle is how many sessions were ready on average, Peak how many there were at most,
	// ready or on their way.
	MeanIdle float64 `json:"mean_idle"`
	Peak     int     `json:"peak"`
	// Arrivals is the number of launches.
	Arrivals int `json:"arrivals"`
	// Curve is what fixed pools reach.
	Curve []Point `json:"curve"`
	// BestFixedIdle, KnownRateIdle and ClairvoyantIdle are the mean idle, at the share that
	// the policy reached, of fixed pools (chosen in hindsight), of pools that know the true
	// rate and miss an equal share at all times, and of pools that know the true rate and
	// spread their misses by what avoiding them costs.
	BestFixedIdle   float64 `json:"best_fixed_idle"`
	KnownRateIdle   float64 `json:"known_rate_idle"`
	ClairvoyantIdle float64 `json:"clairvoyant_idle"`
	// Reduction is how much less the policy idles than the best fixed pool, as a share.
	Reduction float64 `json:"reduction"`
	// Captured is Reduction compared with that of the pools that know the rate. It is null
	// if knowing the rate saves nothing: demand is the same at all times.
	Captured *float64 `json:"captured"`
	// Retired is how many ready sessions were retired without a user.
	Retired int `json:"-"`
	// Plot is the judged part, in at most some hundred steps.
	Plot []Step `json:"-"`
}

// Run replays a series.
func Run(s Series, o Options) (*Result, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	r, in, err := newReplay(s, o)
	if err != nil {
		return nil, err
	}
	refill := o.Refill.Seconds()
	policy, err := sizing.NewDemand(sizing.DemandSettings{
		ServedWarm: o.Target, Min: o.Min, Max: cmp.Or(o.Max, noBound), Refill: o.Refill,
	})
	if err != nil {
		return nil, err
	}
	plot := newRecorder(r, in)
	// The pools to compare with take as long as the policy does, and wait for nothing of it but
	// the share that it reached.
	var curve []Point
	var comparing sync.WaitGroup
	comparing.Go(func() { curve = r.fixedCurve(in) })
	got := r.run(demand{Demand: policy, start: s.Start}, max(0, r.from-learned), decisions(refill), plot)
	comparing.Wait()
	if got.arrivals == 0 {
		return nil, errors.New("no launch in the part that is judged: raise mean-per-refill, or lower train")
	}
	return r.compare(in, float64(s.Slot), got, r.extended(got.served(), curve), plot), nil
}

// scalerPace is the time in seconds between two decisions of a scaler.
const scalerPace = 2

// decisions is how often the policy decides, for a refill time in seconds: as often as a scaler
// where that matters, and else somewhat less often, which takes less time.
func decisions(refill float64) pace {
	soonest := max(refill/20, scalerPace)
	return pace{soonest: soonest, latest: min(max(refill/3, soonest), 60)}
}

func newReplay(s Series, o Options) (replay, *Intensity, error) {
	refill := o.Refill.Seconds()
	if s.Seconds() < 2*refill {
		return replay{}, nil, fmt.Errorf("refill: %s is too long for a series of %s", o.Refill, time.Duration(s.Seconds())*time.Second)
	}
	in := NewIntensity(s, 1)
	if o.MeanPerRefill > 0 {
		in = NewIntensity(s, o.MeanPerRefill*s.Seconds()/(in.Total()*refill))
	}
	if in.Total() > maxLaunches {
		return replay{}, nil, fmt.Errorf("count: some %.0f launches are more than can be simulated (%d): give mean-per-refill to scale them", in.Total(), maxLaunches)
	}
	r := replay{
		start:    s.Start,
		launches: in.Draw(rand.New(rand.NewPCG(o.Seed, launchStream))),
		from:     o.Train * s.Seconds(), end: s.Seconds(),
		refill: Refill{Mean: refill, CV: o.RefillCV},
		seed:   o.Seed,
	}
	return r, in, nil
}

// leastGain is the share that knowing the rate must save for Captured to mean something.
const leastGain = 0.02

// compare puts an outcome beside fixed pools and those that know the rate.
func (r replay) compare(in *Intensity, slot float64, got outcome, curve []Point, plot *recorder) *Result {
	served := got.served()
	var known, clairvoyant float64
	var comparing sync.WaitGroup
	comparing.Go(func() { known = r.planFor(in, slot, equalMiss).idleAt(served) })
	comparing.Go(func() { clairvoyant = r.planFor(in, slot, equalValue).idleAt(served) })
	comparing.Wait()
	res := &Result{
		ServedWarm: served, WorstHour: got.worstHour(), MeanIdle: got.meanIdle, Peak: got.peak, Arrivals: got.arrivals,
		Curve:           curve,
		BestFixedIdle:   readCurve(curve, served),
		KnownRateIdle:   known,
		ClairvoyantIdle: clairvoyant,
		Retired:         got.retired,
		Plot:            plot.steps,
	}
	if res.BestFixedIdle > 0 {
		res.Reduction = 1 - res.MeanIdle/res.BestFixedIdle
	}
	if gain := res.BestFixedIdle - res.KnownRateIdle; gain > leastGain*res.BestFixedIdle {
		captured := (res.BestFixedIdle - res.MeanIdle) / gain
		res.Captured = &captured
	}
	return res
}
