package simulate

import (
	"math"
	"time"

	"github.com/greenroom/greenroom/scaler/sizing"
)

// Policy decides how many sessions a pool wants. Times are seconds since the start of the
// series. It is shown only what has happened.
type Policy interface {
	// Happened takes what has happened since the last call.
	Happened(t float64, h happened)
	// Size returns how many sessions the pool wants, and above how many its ready ones are
	// retired. It is called after Happened.
	Size(t float64) (wanted, keep int)
}

// happened is what a policy is shown: launches and how many of them found no ready session, the
// sessions that became ready, and how many seconds that took in all since they were wanted.
type happened struct {
	launches, misses, made int
	took                   float64
}

// demand is the policy of scaler/sizing.
type demand struct {
	*sizing.Demand
	start int64
	// refill is the time to ready as the policy measures it; nil if that is given.
	refill *sizing.RefillTime
}

func (d demand) time(t float64) time.Time {
	whole := math.Floor(t)
	return time.Unix(d.start+int64(whole), int64((t-whole)*1e9)).UTC()
}

func (d demand) Happened(t float64, h happened) {
	if d.refill != nil && h.made > 0 {
		d.refill.Add(h.made, time.Duration(h.took/float64(h.made)*float64(time.Second)))
		d.SetRefill(d.refill.Mean())
	}
	d.Launched(d.time(t), h.launches, h.misses)
}

func (d demand) Size(t float64) (wanted, keep int) { return d.Demand.Size(d.time(t)) }

// fixed is a pool of always the same size.
type fixed int

func (fixed) Happened(float64, happened)        {}
func (f fixed) Size(float64) (wanted, keep int) { return int(f), int(f) }

// planned is a pool that wants what a plan says for each step of time, and retires what is
// more at once.
type planned struct {
	step float64
	// sizes begin with the step numbered first.
	first int
	sizes []int
}

func (planned) Happened(float64, happened) {}

func (p planned) Size(t float64) (wanted, keep int) {
	n := p.sizes[min(max(int(t/p.step)-p.first, 0), len(p.sizes)-1)]
	return n, n
}
