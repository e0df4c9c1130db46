package simulate

import (
	"math"
	"math/rand/v2"
)

// Refill is the time from wanted to ready.
type Refill struct {
	// Mean is in seconds.
	Mean float64
	// CV is the standard deviation divided by the mean. 0 means that it is always the
	// mean; else times are drawn from a lognormal distribution.
	CV float64
}

func (r Refill) draw(random *rand.Rand) float64 {
	if r.CV <= 0 {
		return r.Mean
	}
	variance := math.Log(1 + r.CV*r.CV)
	return r.Mean * math.Exp(math.Sqrt(variance)*random.NormFloat64()-variance/2)
}

// pool is a simulated pool. A launch takes a ready session, and one that finds none takes
// nothing.
type pool struct {
	// toReady returns how long a session takes that is wanted at a time.
	toReady func(at float64) float64
	wanted  int
	ready   int
	// coming are the times at which sessions on their way are ready, the earliest first.
	coming times
	now    float64
	// made counts the sessions that became ready since this was last read, and took is how long
	// that took in all since they were wanted, in seconds.
	made int
	took float64
	// idle is the time that sessions were ready, in session-seconds.
	idle    float64
	retired int
}

// sessions returns how many are ready or on their way.
func (p *pool) sessions() int { return p.ready + len(p.coming) }

// advance lets time pass until t: sessions on their way become ready.
func (p *pool) advance(t float64) {
	for len(p.coming) > 0 && p.coming[0].at <= t {
		next := p.coming.pop()
		p.idle += float64(p.ready) * (next.at - p.now)
		p.now = next.at
		p.ready++
		p.made, p.took = p.made+1, p.took+next.took
	}
	p.idle += float64(p.ready) * (t - p.now)
	p.now = t
}

// launch takes a ready session, and reports whether there was one.
func (p *pool) launch() bool {
	if p.ready == 0 {
		return false
	}
	p.ready--
	p.order()
	return true
}

// resize sets how many sessions the pool wants, and retires ready ones above keep.
func (p *pool) resize(wanted, keep int) {
	p.wanted = wanted
	p.order()
	if more := min(p.sessions()-max(keep, wanted), p.ready); more > 0 {
		p.ready -= more
		p.retired += more
	}
}

// order makes sessions until there are as many as wanted.
func (p *pool) order() {
	for p.sessions() < p.wanted {
		took := p.toReady(p.now)
		p.coming.add(made{at: p.now + took, took: took})
	}
}
