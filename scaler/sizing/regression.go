package sizing

import "math"

// The forecast is the rate of the time of day, times the other signals, each to a power:
//
//	load = day · (week/day)^w1 · (fine/week)^w2 · step1^w3 · ... · step4^w6 · e^w0
//
// The powers say how far each signal can be trusted: how much the weekday matters, whether
// peaks of five minutes come back, how long a surge lasts. They are learned for each pool
// by a Poisson regression with a logarithmic link, one Newton step an outcome (the online
// form of generalized linear models: McCullagh and Nelder, ch. 2), in which old outcomes
// fade and a prior stays.
const signals = 3 + speeds

var (
	// firstPowers are the powers before anything has been learned, and priorWeight how
	// many expected launches that prior weighs as much as.
	firstPowers = [signals]float64{0, 0.9, 0.2, 0.9, 0.8, 0.5, 0.4}
	priorWeight = [signals]float64{200, 50, 20, 50, 50, 50, 50}
)

const (
	// regressionFade is the time in seconds in which outcomes fade to a third.
	regressionFade     = 14 * 86400.0
	minPower, maxPower = -0.5, 1.3
	// noise is up to how many times its root mean square a step may be noise; at twice that it is
	// none. firstUsual is the root mean square before anything has been learned.
	noise      = 2
	firstUsual = 0.3
	// usualFade is the time in seconds in which what is usual fades to a third.
	usualFade = 4 * 86400.0
)

// regression learns the powers.
type regression struct {
	power [signals]float64
	// information is the curvature of the likelihood.
	information [signals][signals]float64
	// usual is the mean square of each signal.
	usual [signals]float64
}

func newRegression() *regression {
	r := &regression{power: firstPowers}
	for i, w := range priorWeight {
		r.information[i][i] = w
		r.usual[i] = firstUsual * firstUsual
	}
	return r
}

// factor returns by how much the signals, given as logarithms, multiply the rate of the
// time of day.
//
// Where demand has been steady for weeks the levels' steps were noise, and their powers say so. A
// step up that is far larger than those is none, and is taken for what it is, or a first surge would
// be taken for noise as well. A step down only costs idle time, and often comes before a peak.
func (r *regression) factor(x *[signals]float64) float64 {
	sum := 0.0
	for i, v := range x {
		sum += r.power[i] * v
		if i >= signals-speeds && r.power[i] < 1 {
			unusual := clamp(v/math.Sqrt(r.usual[i])/noise-1, 0, 1)
			sum += (1 - r.power[i]) * unusual * v
		}
	}
	return math.Exp(sum)
}

// learn takes an outcome: launches came where expected had been forecast from the signals x.
// seconds is the time since the outcome before, and shape that of the Gamma distribution
// around the forecast: an outlier teaches less.
func (r *regression) learn(x *[signals]float64, launches, expected, shape, seconds float64) {
	keep := math.Exp(-seconds / regressionFade)
	trust := 1 / (1 + expected/shape)
	var step [signals]float64
	for i := range step {
		r.usual[i] += (1 - math.Exp(-seconds/usualFade)) * (x[i]*x[i] - r.usual[i])
		for j := range step {
			r.information[i][j] = r.information[i][j]*keep + x[i]*x[j]*expected*trust
		}
		r.information[i][i] += (1 - keep) * priorWeight[i]
		step[i] = (launches-expected)*trust*x[i] + (1-keep)*priorWeight[i]*(firstPowers[i]-r.power[i])
	}
	solve(r.information, &step)
	for i, s := range step {
		r.power[i] = min(max(r.power[i]+s, minPower), maxPower)
	}
}

// solve replaces v by the solution x of a·x = v. a is symmetric and positive, so that
// elimination needs no pivots.
func solve(a [signals][signals]float64, v *[signals]float64) {
	for i := range v {
		for r := i + 1; r < signals; r++ {
			f := a[r][i] / a[i][i]
			for c := i; c < signals; c++ {
				a[r][c] -= f * a[i][c]
			}
			v[r] -= f * v[i]
		}
	}
	for i := signals - 1; i >= 0; i-- {
		for c := i + 1; c < signals; c++ {
			v[i] -= a[i][c] * v[c]
		}
		v[i] /= a[i][i]
	}
}
