package simulate

import (
	"math"
	"math/rand/v2"
	"sort"
)

// replay is a demand that policies are tried on: launches, and the part that is judged.
type replay struct {
	// start is the beginning of the series in Unix seconds; other times are seconds since.
	start    int64
	launches []float64
	// from and end are the judged part.
	from, end float64
	refill    Refill
	seed      uint64
	// measured are refill times to take instead of drawing them, by when they began.
	measured []made
	// empty: the pool begins without a session, else with what the policy wants, all of it ready.
	empty bool
}

// outcome is what a policy reached in the judged part.
type outcome struct {
	arrivals, warm int
	hours          [24]struct{ arrivals, warm int }
	meanIdle       float64
	peak           int
	retired        int
}

// served returns the share served warm.
func (o outcome) served() float64 {
	if o.arrivals == 0 {
		return 1
	}
	return float64(o.warm) / float64(o.arrivals)
}

// judgedHour is how many arrivals a clock hour must have to be judged by itself.
const judgedHour = 100

// worstHour returns the lowest share among the clock hours with enough arrivals; that of
// all hours if none has.
func (o outcome) worstHour() float64 {
	worst, any := 1.0, false
	for _, h := range o.hours {
		if h.arrivals >= judgedHour {
			worst, any = min(worst, float64(h.warm)/float64(h.arrivals)), true
		}
	}
	if !any {
		return o.served()
	}
	return worst
}

// pace is how often a policy decides: after launches, but not sooner than soonest seconds
// after its last decision, and at the latest after latest seconds.
type pace struct{ soonest, latest float64 }

// run replays the demand from begin on, event by event.
func (r replay) run(p Policy, begin float64, every pace, plot *recorder) outcome {
	var o outcome
	pool := &pool{toReady: r.toReady(), now: begin}
	p.Happened(begin, happened{})
	pool.wanted, _ = p.Size(begin)
	if !r.empty {
		pool.ready = pool.wanted
	}
	pool.order()
	launches := r.launches[sort.SearchFloat64s(r.launches, begin):]
	decided, launched, missed := begin, 0, 0
	judged, idleBefore, retiredBefore := false, 0.0, 0
	for {
		due := decided + every.latest
		if launched > 0 {
			due = math.Min(due, decided+every.soonest)
		}
		t, launch := math.Min(due, r.end), false
		if len(launches) > 0 && launches[0] < t {
			t, launch = launches[0], true
		}
		t = math.Max(t, pool.now)
		if !judged && t >= r.from {
			pool.advance(r.from)
			judged, idleBefore, retiredBefore = true, pool.idle, pool.retired
			o.peak = pool.sessions()
		}
		if t >= r.end {
			break
		}
		pool.advance(t)
		if launch {
			launches = launches[1:]
			warm := pool.launch()
			launched++
			if !warm {
				missed++
			}
			if judged {
				o.count(r.start, t, warm)
				plot.launched(t, warm)
			}
		}
		if t >= due || launched > 0 && t >= decided+every.soonest {
			p.Happened(t, happened{launches: launched, misses: missed, made: pool.made, took: pool.took})
			pool.made, pool.took = 0, 0
			wanted, keep := p.Size(t)
			pool.resize(wanted, keep)
			decided, launched, missed = t, 0, 0
			if judged {
				o.peak = max(o.peak, pool.sessions())
				plot.sized(t, wanted, pool.ready)
			}
		}
	}
	pool.advance(r.end)
	o.meanIdle = (pool.idle - idleBefore) / (r.end - r.from)
	o.retired = pool.retired - retiredBefore
	return o
}

// toReady returns the function that says how long a session takes that is wanted at a time. Of
// measured ones that is what the last one took that was wanted by then.
func (r replay) toReady() func(at float64) float64 {
	if len(r.measured) == 0 {
		random := rand.New(rand.NewPCG(r.seed, refillStream))
		return func(float64) float64 { return r.refill.draw(random) }
	}
	return func(at float64) float64 {
		n := sort.Search(len(r.measured), func(i int) bool { return r.measured[i].at > at })
		return r.measured[max(n-1, 0)].took
	}
}

func (o *outcome) count(start int64, t float64, warm bool) {
	h := &o.hours[(start+int64(t))%86400/3600]
	o.arrivals++
	h.arrivals++
	if warm {
		o.warm++
		h.warm++
	}
}
