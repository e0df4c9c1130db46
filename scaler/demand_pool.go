package scaler

import (
	"time"

	"github.com/greenroom/greenroom/internal/staging"
	"github.com/greenroom/greenroom/scaler/sizing"
)

// demandPool is a pool with sizing, as the sizer knows it: what its demand has been, and what
// that asks for. It is pure, and belongs to one goroutine.
type demandPool struct {
	settings staging.Sizing
	demand   *sizing.Demand
	refill   sizing.RefillTime
	// counted is what has been counted of the newest minutes, by their Unix time.
	counted map[int64]staging.Minute
	size    staging.DemandSize
	// announced is the number that the last event had, announcedAt when that was.
	announced   int
	announcedAt time.Time
	// forecastAt is when its coming hours were last forecast.
	forecastAt time.Time
}

// newDemandPool returns a pool that has learned the history before now. The minutes that
// RecentDemand returns are left to observe.
func newDemandPool(s staging.Sizing, history []staging.Minute, now time.Time) (*demandPool, error) {
	d := &demandPool{settings: s, counted: map[int64]staging.Minute{}, announced: -1}
	for _, m := range history {
		d.refill.Add(m.Made, seconds(m.ToReadySeconds))
	}
	zone, err := s.Location()
	if err != nil {
		return nil, err
	}
	d.demand, err = sizing.NewDemand(sizing.DemandSettings{
		ServedWarm: s.Share(), Min: s.Min, Max: max(s.Max, s.Min, 1), Refill: d.refill.Mean(), Zone: zone,
	})
	if err != nil {
		return nil, err
	}
	recent := now.Add(-recentMinutes * time.Minute)
	for _, m := range history {
		if m.At.Before(recent) {
			d.demand.Launched(m.At.Add(time.Minute), m.Launches(), m.Misses)
		}
	}
	return d, nil
}

// recentMinutes is how long ago the oldest minute of RecentDemand begins at most.
const recentMinutes = 3

func seconds(x float64) time.Duration { return time.Duration(x * float64(time.Second)) }

// observe counts what is new in the newest minutes of a pool, and decides what its demand asks
// for.
func (d *demandPool) observe(recent []staging.Minute, now time.Time) {
	launches, misses := 0, 0
	counted := make(map[int64]staging.Minute, len(recent))
	for _, m := range recent {
		before := d.counted[m.At.Unix()]
		// Where Redis was wiped the counters begin anew.
		launches += max(0, m.Launches()-before.Launches())
		misses += max(0, m.Misses-before.Misses)
		if made := m.Made - before.Made; made > 0 {
			took := m.ToReadySeconds*float64(m.Made) - before.ToReadySeconds*float64(before.Made)
			d.refill.Add(made, seconds(took/float64(made)))
		}
		counted[m.At.Unix()] = m
	}
	d.counted = counted
	d.demand.SetRefill(d.refill.Mean())
	d.demand.Launched(now, launches, min(misses, launches))
	decision := d.demand.Decide(now)
	d.size = staging.DemandSize{
		At: now, Wanted: decision.Wanted, Keep: decision.Keep,
		Expected: decision.Expected, Low: decision.Low, High: decision.High, Reason: decision.String(),
	}
}

// announcePause is how long after an event about a pool's size the next one comes at the
// soonest: where launches come and go the size changes often.
const announcePause = time.Minute

// announce reports whether the size is worth an event now, and notes that it has one.
func (d *demandPool) announce() bool {
	if d.size.Wanted == d.announced || d.size.At.Before(d.announcedAt.Add(announcePause)) {
		return false
	}
	d.announced, d.announcedAt = d.size.Wanted, d.size.At
	return true
}
