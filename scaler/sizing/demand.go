package sizing

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// DemandSettings are those of a pool that is sized by its demand.
type DemandSettings struct {
	// ServedWarm is the share of launches that shall find a ready session, from 0.5 to
	// 0.9999.
	ServedWarm float64
	// Min and Max bound how many sessions are wanted.
	Min, Max int
	// Refill is the time from wanted to ready, as far as it is known; SetRefill changes it.
	Refill time.Duration
	// Zone is the time zone of days and weeks; nil means UTC.
	Zone *time.Location
}

// Validate returns an error that names the setting that is not valid.
func (s DemandSettings) Validate() error {
	switch {
	case !(s.ServedWarm >= 0.5 && s.ServedWarm <= 0.9999):
		return fmt.Errorf("served_warm: must be between 0.5 and 0.9999, is %g", s.ServedWarm)
	case s.Min < 0:
		return fmt.Errorf("min: must not be negative, is %d", s.Min)
	case s.Max < max(s.Min, 1):
		return fmt.Errorf("max: must be at least 1 and at least min (%d), is %d", s.Min, s.Max)
	case s.Refill <= 0:
		return fmt.Errorf("refill: must be more than 0s, is %s", s.Refill)
	}
	return nil
}

// Demand sizes one pool by its demand: the fewest idle sessions that serve the wanted share
// of launches warm. It is told what happened and reads no clock. It may not be used by two
// goroutines at a time.
type Demand struct {
	settings   DemandSettings
	forecaster *Forecaster
	loop       closedLoop
	recent     recentMax
}

// NewDemand returns the sizing of a pool without history.
func NewDemand(s DemandSettings) (*Demand, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	if s.Zone == nil {
		s.Zone = time.UTC
	}
	return &Demand{settings: s, forecaster: NewForecaster(s.Zone, s.Refill), loop: newClosedLoop(s.ServedWarm)}, nil
}

// SetRefill changes the time from wanted to ready to what has been measured since.
func (d *Demand) SetRefill(refill time.Duration) {
	d.settings.Refill = refill
	d.forecaster.SetRefill(refill)
}

// Launched takes launches since the last call, and how many of them found no ready session.
// See Forecaster.Observe: it must be called once a minute at least, with 0 launches if
// there were none. A history by the minute is learned by calling it for each minute.
func (d *Demand) Launched(now time.Time, launches, misses int) {
	d.forecaster.Observe(now, launches)
	if launches > 0 {
		d.loop.launched(d.hour(now), launches, misses)
	}
}

func (d *Demand) hour(now time.Time) int {
	if d.settings.Zone != time.UTC {
		return now.In(d.settings.Zone).Hour()
	}
	return int(now.Unix() % 86400 / 3600)
}

// Decision is how many sessions a pool wants, and why.
type Decision struct {
	// Wanted is how many sessions shall be ready or on their way.
	Wanted int
	// Keep is above how many the ready ones are retired; those between Wanted and Keep are
	// used up without being refilled. It is never less than Wanted.
	Keep int
	// Expected is the forecast in launches a minute; with a probability of 80% it is
	// between Low and High.
	Expected, Low, High float64
	// Refill and ServedWarm are what the decision was made for, and Max is the most that could be
	// wanted: where that is reached, fewer launches than ServedWarm may be served warm. 0 is no
	// bound.
	Refill     time.Duration
	ServedWarm float64
	Max        int
}

// String is the reason in words.
func (d Decision) String() string {
	text := fmt.Sprintf("%d wanted: %s launches a minute expected (%s to %s), %s s to ready, %g%% served warm",
		d.Wanted, brief(d.Expected), brief(d.Low), brief(d.High), brief(d.Refill.Seconds()), math.Round(d.ServedWarm*1e4)/100)
	if d.Max > 0 && d.Wanted >= d.Max {
		text += fmt.Sprintf("; max is %d", d.Max)
	}
	return text
}

// brief is a number with one decimal, from 10 on without.
func brief(x float64) string {
	if x < 9.95 {
		return strconv.FormatFloat(x, 'f', 1, 64)
	}
	return strconv.FormatFloat(x, 'f', 0, 64)
}

// Decide returns how many sessions the pool wants now: see Size, with the reason.
func (d *Demand) Decide(now time.Time) Decision {
	wanted, keep := d.Size(now)
	f := d.forecaster.Forecast()
	minute := 60 / d.forecaster.refill
	return Decision{
		Wanted: wanted, Keep: keep,
		Expected: f.Load * minute, Low: f.quantile(0.1) * minute, High: f.quantile(0.9) * minute,
		Refill: d.settings.Refill, ServedWarm: d.settings.ServedWarm, Max: d.settings.Max,
	}
}

// Size returns how many sessions the pool wants now, and above how many ready ones are
// retired. A pool follows its demand up at once. Down it goes by not refilling: a session
// is retired when it has been more than wanted for as long as a refill takes, since the
// idle time that this saves from then on is all that a new one in its place would cost
// (the ski-rental rule, never worse than twice the best: Karlin and others, 1988).
func (d *Demand) Size(now time.Time) (wanted, keep int) {
	hour := d.hour(now)
	worth := d.loop.worth(hour) * forLoad(d.forecaster.meanLoad())
	wanted = d.forecaster.Forecast().sessions(worth, d.loop.floor(hour), d.settings.Max)
	wanted = max(wanted, d.settings.Min)
	return wanted, d.recent.add(seconds(now), max(d.forecaster.refill, leastKept), wanted)
}

// leastKept is for how many seconds a session is more than wanted before it is retired, however
// fast another would be made: each one made costs the servers some writes.
const leastKept = 30

// recentMax is the highest number in the last while.
type recentMax struct {
	parts [recentParts]int
	began float64
}

// recentParts is in how many parts the while is remembered, one of them the present.
const recentParts = 5

// add returns the highest number, with this one, in the last seconds and up to a quarter
// more.
func (r *recentMax) add(now, seconds float64, number int) int {
	part := seconds / (recentParts - 1)
	for passed := 0; now >= r.began+part; passed++ {
		if passed == recentParts {
			r.began = now
			break
		}
		r.began += part
		copy(r.parts[1:], r.parts[:recentParts-1])
		r.parts[0] = 0
	}
	r.parts[0] = max(r.parts[0], number)
	highest := 0
	for _, n := range r.parts {
		highest = max(highest, n)
	}
	return highest
}
