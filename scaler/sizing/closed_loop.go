package sizing

import "math"

// closedLoop settles what a miss is worth by what has been reached: each miss makes misses
// dearer, each launch that was served warm makes them a little cheaper, so that both are in
// balance at the target whatever the forecasts are worth (Gibbs and Candès, "Adaptive
// conformal inference under distribution shift", 2021: the distance from the target is at
// most the range of the logarithm, over gain times launches).
//
// It aims at a little fewer misses than it may have: what it has to make up for comes
// after the misses.
type closedLoop struct {
	// allowed is the share of launches that may miss.
	allowed float64
	// logWorth is the logarithm of worth: see Forecast.sessions.
	logWorth float64
	// hours are corrections for the clock hours, at most 0: those of an hour that has been
	// served worse than others may be.
	hours [24]float64
}

const (
	// aim is the share of the allowed misses that is aimed at.
	aim = 0.8
	// gain is by how much one miss changes logWorth. A hundred misses at once, as a surge
	// brings them, do not make all launches of the next days dear.
	gain = 0.01
	// hourGain is the same for a clock hour.
	hourGain = 0.05
	// hourAllowed is how many times the allowed misses a clock hour may have.
	hourAllowed = 3.5
	// floorAllowed is how many times the allowed misses are expected at most at any time.
	floorAllowed = 4
	// hourDeepest is the lowest correction of a clock hour.
	hourDeepest = -3
)

// The range of worth, in misses avoided for each refill time that a session idles.
var (
	leastWorth, mostWorth = math.Log(3e-4), math.Log(0.2)
)

func newClosedLoop(servedWarm float64) closedLoop {
	allowed := 1 - servedWarm
	// A good guess for loads of a few launches a refill: see forLoad.
	return closedLoop{allowed: allowed, logWorth: clamp(math.Log(2*allowed), leastWorth, mostWorth)}
}

// launched takes the outcome of launches in a clock hour.
func (c *closedLoop) launched(hour, launches, misses int) {
	n, m := float64(launches), float64(misses)
	c.logWorth = clamp(c.logWorth+gain*(n*c.allowed*aim-m), leastWorth, mostWorth)
	h := &c.hours[hour]
	*h = clamp(*h+hourGain*(n*c.allowed*hourAllowed-m), hourDeepest, 0)
}

// worth returns what a miss must cost at least to be avoided, in a clock hour.
func (c *closedLoop) worth(hour int) float64 { return math.Exp(c.logWorth + c.hours[hour]) }

// floor returns the share of launches that are expected to miss at most.
func (c *closedLoop) floor(hour int) float64 {
	return c.allowed * floorAllowed * math.Exp(c.hours[hour])
}

// forLoad returns by what to multiply worth in a pool with a mean load. A pool of few launches a
// refill has few sessions, of which the last that it needs avoids few misses, and it has not enough
// launches for the loop to find that out: with 0.5 a refill, and 1 of 100 that may miss, the fourth
// avoids an eighth of what the eighth avoids with 3.
func forLoad(mean float64) float64 {
	return math.Pow(clamp(mean/fewLaunches, fewestLaunches/fewLaunches, 1), lessWorth)
}

const (
	// fewLaunches is below how many launches a refill worth is less, fewestLaunches below how many it
	// is no longer, and lessWorth the power of it.
	fewLaunches, fewestLaunches = 3, 0.1
	lessWorth                   = 0.75
)

func clamp(x, low, high float64) float64 { return min(max(x, low), high) }
