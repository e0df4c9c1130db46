package simulate

import (
	"math"
	"time"

	"github.com/greenroom/greenroom/scaler/sizing"
)

// Policy decides how many sessions a pool wants. Times are seconds since the start of the
// series. It is shown only what has happened.
type Policy interface {
	// Launched takes the launches since the last call, and how many found no ready session.
	Launched(t float64, launches, misses int)
	// Size returns how many sessions the pool wants, and above how many its ready ones are
	// retired. It is called after Launched.
	Size(t float64) (wanted, keep int)
}

// demand is the policy of scaler/sizing.
type demand struct {
	*sizing.Demand
	start int64
}

func (d demand) time(t float64) time.Time {
	whole := math.Floor(t)
	return time.Unix(d.start+int64(whole), int64((t-whole)*1e9)).UTC()
}

func (d demand) Launched(t float64, launches, misses int) {
	d.Demand.Launched(d.time(t), launches, misses)
}

func (d demand) Size(t float64) (wanted, keep int) { return d.Demand.Size(d.time(t)) }

// fixed is a pool of always the same size.
type fixed int

func (fixed) Launched(float64, int, int)        {}
func (f fixed) Size(float64) (wanted, keep int) { return int(f), int(f) }

// planned is a pool that wants what a plan says for each step of time, and retires what is
// more at once.
type planned struct {
	step  float64
	sizes []int
}

func (planned) Launched(float64, int, int) {}

func (p planned) Size(t float64) (wanted, keep int) {
	n := p.sizes[min(int(t/p.step), len(p.sizes)-1)]
	return n, n
}
