package sizing

import (
	"math"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// Outlook returns the launches a minute to expect in steps of time from now on. It is what Decide
// expects, further ahead: the season of then, and of what demand departs from it now as much as is
// left of it by then. A surge of minutes is gone in an hour, and a busy day lasts until the evening.
//
// The distribution around it is learned from the errors of forecasts of one refill, and those of
// hours are larger: the bounds are further out for that. On the public series they hold 81% of what
// came, one to 24 hours ahead (70% to 86%).
func (d *Demand) Outlook(now time.Time, step time.Duration, steps int) []staging.Forecast {
	all := make([]staging.Forecast, steps)
	for i := range all {
		at := now.Add(time.Duration(i) * step)
		f := d.forecaster.ahead(seconds(at) + step.Seconds()/2)
		all[i] = staging.Forecast{At: at.UTC(), Expected: f.Load, Low: f.quantile(outlookTail), High: f.quantile(1 - outlookTail)}
	}
	return all
}

// outlookTail is the probability that is left out on each side.
const outlookTail = 0.06

// ahead forecasts the launches of a minute at a time to come.
func (f *Forecaster) ahead(t float64) Forecast {
	if !f.begun {
		return Forecast{weights: &f.spread.weights[0]}
	}
	p := f.season.at(t)
	made := forecast{x: [signals]float64{1, logRatio(p.week, p.day), logRatio(p.fine, p.week)}}
	for i, step := range f.levels.steps() {
		made.x[signals-speeds+i] = step * math.Exp(-max(t-f.now, 0)/fadeSeconds[i])
	}
	rate := p.day * f.regression.factor(&made.x)
	return Forecast{Load: rate * 60, most: f.most(rate) * 60, weights: &f.spread.weights[mood(&made.x)]}
}
