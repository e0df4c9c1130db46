package simulate

import (
	"math/rand/v2"
	"time"

	"github.com/greenroom/greenroom/scaler/sizing"
)

// Launches draws launches at a series' rate, with its seed: when each comes, since the start of the
// series. Run draws the same ones where MeanPerRefill is 0.
func Launches(s Series, seed uint64) ([]time.Duration, error) {
	if err := s.validate(); err != nil {
		return nil, err
	}
	drawn := NewIntensity(s, 1).Draw(rand.New(rand.NewPCG(seed, launchStream)))
	times := make([]time.Duration, len(drawn))
	for i, at := range drawn {
		times[i] = time.Duration(at * float64(time.Second))
	}
	return times, nil
}

// Reached is what a policy reached with given launches.
type Reached struct {
	// ServedWarm is the share of launches that found a ready session, MeanIdle how many sessions
	// were ready on average, and Peak how many there were at most, ready or on their way.
	ServedWarm, MeanIdle float64
	Peak                 int
}

// Replay simulates, with given launches from start on, a new pool that is sized by its demand. As
// a scaler does, it decides at a pace of its own, and learns how long its sessions take to be ready
// from those that it makes.
type Replay struct {
	// Start is when the launches' times begin, Lead for how long the pool was there by then, and
	// Lasts for how long it is watched from then on.
	Start       time.Time
	Lead, Lasts time.Duration
	// Every is the time between two decisions.
	Every time.Duration
	// Made are sessions of a pool that this one is compared with, in the order in which they were
	// wanted: a session takes what the last of them took that was wanted by then. Without any, it
	// takes what the options say.
	Made []Made
	Options
}

// Made is a session that was made: when it was wanted, since the start, and how long it took from
// then until it was ready.
type Made struct{ At, Took time.Duration }

// Run replays launches, whose times are since the start, in their order.
func (p Replay) Run(launches []time.Duration) (Reached, error) {
	if err := p.Validate(); err != nil {
		return Reached{}, err
	}
	refill := new(sizing.RefillTime)
	policy, err := sizing.NewDemand(sizing.DemandSettings{ServedWarm: p.Target, Min: p.Min, Max: max(p.Max, 1), Refill: refill.Mean()})
	if err != nil {
		return Reached{}, err
	}
	r := replay{start: p.Start.Unix(), end: p.Lasts.Seconds(), refill: Refill{Mean: p.Refill.Seconds(), CV: p.RefillCV}, seed: p.Seed, empty: true}
	for _, m := range p.Made {
		r.measured = append(r.measured, made{at: m.At.Seconds(), took: m.Took.Seconds()})
	}
	for _, at := range launches {
		r.launches = append(r.launches, at.Seconds())
	}
	got := r.run(demand{Demand: policy, start: r.start, refill: refill}, -p.Lead.Seconds(), pace{soonest: p.Every.Seconds(), latest: p.Every.Seconds()}, nil)
	return Reached{ServedWarm: got.served(), MeanIdle: got.meanIdle, Peak: got.peak}, nil
}
