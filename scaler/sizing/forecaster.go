package sizing

import (
	"math"
	"time"
)

// Forecaster learns how many launches a pool gets and forecasts those of the next refill.
// It is told what happened, by the launch or by the minute, and reads no clock. Its state
// has a fixed size of some 70 kB, and can be learned anew from a history by the minute: see
// Observe. It may not be used by two goroutines at a time.
type Forecaster struct {
	refill     float64
	season     *season
	levels     levels
	regression *regression
	spread     *spread

	begun bool
	// highest is the highest rate that there has been, in launches a second; it fades.
	highest float64
	// now is the time of the last observation, in Unix seconds.
	now float64
	// open is a forecast that waits for its outcome.
	open struct {
		forecast
		made, total float64
	}
}

// Forecast is what a pool may expect.
type Forecast struct {
	// Load is the expected number of launches during the next refill.
	Load float64
	// most is the highest load that is thought possible.
	most float64
	// weights are those of the Gamma distributions around it.
	weights *[shapes]float64
}

// forecast is a forecast with what it was made from.
type forecast struct {
	rate float64 // launches a second
	x    [signals]float64
	mood int
}

// unobserved is the time without a call of Observe after which nothing is known about it,
// rather than that there were no launches.
const unobserved = 10 * 60.0

// shortest is the shortest time in seconds over which forecasts are compared with what came.
const shortest = 60.0

// NewForecaster returns a forecaster that has seen nothing. Days and weeks are those of
// zone. refill is the time from wanted to ready.
func NewForecaster(zone *time.Location, refill time.Duration) *Forecaster {
	f := &Forecaster{season: newSeason(zone, 1), regression: newRegression(), spread: newSpread()}
	f.SetRefill(refill)
	return f
}

// SetRefill changes the time from wanted to ready to what has been measured since. At least
// a second is taken.
func (f *Forecaster) SetRefill(refill time.Duration) {
	f.refill = max(refill.Seconds(), 1)
	f.season.refill = f.refill
}

// Observe adds the launches since the last call. It must be called once a minute at least,
// also without launches; from a call to one that comes more than ten minutes later nothing
// is learned. Calls with a time before the last one count as at that time.
func (f *Forecaster) Observe(now time.Time, launches int) {
	t := seconds(now)
	switch {
	case !f.begun:
		f.begun, f.now = true, t
		f.season.begin(t)
		f.openForecast()
	case t-f.now > unobserved:
		f.season.skip(t)
		f.now = t
		f.openForecast()
	}
	for end := f.season.closes(); t >= end; end = f.season.closes() {
		f.pass(end)
		f.season.closeSlot()
		f.revise()
	}
	f.pass(t)
	if launches > 0 {
		f.season.add(float64(launches))
		f.levels.add(float64(launches))
	}
	if f.season.outdated(f.now) {
		f.revise()
	}
	if f.now-f.open.made >= max(f.refill, shortest) {
		f.closeForecast()
		f.openForecast()
	}
}

// revise has the season learn its profiles anew. As far as the season is not known yet, it is the
// rate over all time, which changes with that: launches of before are compared with the new one,
// or the levels would count them twice.
func (f *Forecaster) revise() {
	before := *f.season.profile(f.season.open)
	f.season.revise(f.now)
	f.levels.rescale(math.Pow(f.season.ever/before.ever, before.unknown))
}

// pass lets time go by without launches.
func (f *Forecaster) pass(t float64) {
	if t <= f.now {
		return
	}
	p := f.season.at((f.now + t) / 2)
	x := [signals]float64{1: logRatio(p.week, p.day), 2: logRatio(p.fine, p.week)}
	f.levels.pass(t-f.now, p.day*f.regression.factor(&x))
	f.now = t
}

func (f *Forecaster) openForecast() {
	f.open.forecast = f.forecast(max(f.refill, shortest))
	f.open.made, f.open.total = f.now, f.season.total
	f.highest = max(f.highest, f.open.rate)
}

// closeForecast learns from what came after a forecast.
func (f *Forecaster) closeForecast() {
	o := &f.open
	elapsed := f.now - o.made
	launches, expected := f.season.total-o.total, o.rate*elapsed
	f.highest = max(f.highest*math.Exp(-elapsed/highestFade), (launches-surely*math.Sqrt(launches))/elapsed)
	shape := f.spread.learn(o.mood, launches, expected)
	f.regression.learn(&o.x, launches, expected, shape, elapsed)
}

// forecast forecasts the rate over the next seconds.
func (f *Forecaster) forecast(seconds float64) forecast {
	p := f.season.at(f.now + min(seconds, longest)/2)
	var made forecast
	made.x[0] = 1
	made.x[1] = logRatio(p.week, p.day)
	made.x[2] = logRatio(p.fine, p.week)
	steps := f.levels.steps()
	copy(made.x[3:], steps[:])
	made.mood = mood(&made.x)
	made.rate = p.day * f.regression.factor(&made.x)
	return made
}

// most returns the highest rate that is thought possible: somewhat more than has ever been,
// and much more while there is little history. Without it, a pool in the midst of a surge
// would prepare for one as much higher again.
func (f *Forecaster) most(rate float64) float64 {
	beyond := overHighest + newHighest*math.Exp((f.season.since-f.now)/newFade)
	return max(f.highest, rate) * beyond
}

const (
	// overHighest is how many times the highest rate is thought possible, newHighest how many
	// times more without history; that fades to a third in newFade seconds.
	overHighest = 1.25
	newHighest  = 4
	newFade     = 3 * 86400.0
	// highestFade is the time in seconds in which the highest rate fades to a third.
	highestFade = 28 * 86400.0
	// surely is by how many standard deviations a count is taken for less than it was, when
	// it is compared with the highest rate.
	surely = 2
)

// longest is the longest refill time in seconds for which a forecast looks ahead.
const longest = 7200.0

// Forecast forecasts the launches of the next refill. It is as of the last observation, and
// holds until the next one.
func (f *Forecaster) Forecast() Forecast {
	if !f.begun {
		return Forecast{weights: &f.spread.weights[0]}
	}
	made := f.forecast(f.refill)
	return Forecast{Load: made.rate * f.refill, most: f.most(made.rate) * f.refill, weights: &f.spread.weights[made.mood]}
}

// meanLoad returns the mean number of launches during a refill over all time, as of the last
// observation.
func (f *Forecaster) meanLoad() float64 { return f.season.ever * f.refill }

func seconds(t time.Time) float64 { return float64(t.UnixNano()) / 1e9 }

func logRatio(a, b float64) float64 { return math.Log(a / b) }
