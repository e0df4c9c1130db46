package sizing

import "math"

// levels follow by how much demand departs from its season, at four speeds: over a day, two
// hours, 25 minutes and six minutes. Each is the mean of a Gamma-Poisson model whose
// evidence fades (West and Harrison's discounting, as in Bayesian forecasting of counts):
// launches against launches expected, and a prior that is the next slower level.
type levels struct {
	launches, expected [speeds]float64
}

const speeds = 4

// fadeSeconds is the time in which evidence fades to a third; levelPrior is the number of
// expected launches that the slower level weighs as much as.
var (
	fadeSeconds = [speeds]float64{86400, 7200, 1500, 360}
	levelPrior  = [speeds]float64{10, 4, 3, 2}
)

// pass lets time go by, in which the season expected launches at a rate.
func (l *levels) pass(seconds, rate float64) {
	for i, fade := range fadeSeconds {
		keep := math.Exp(-seconds / fade)
		l.launches[i] *= keep
		l.expected[i] = l.expected[i]*keep + rate*fade*(1-keep)
	}
}

// rescale changes the launches that were expected by a factor.
func (l *levels) rescale(factor float64) {
	for i := range l.expected {
		l.expected[i] *= factor
	}
}

// add counts launches.
func (l *levels) add(launches float64) {
	for i := range l.launches {
		l.launches[i] += launches
	}
}

// steps returns the logarithms of each level compared with the slower one; the slowest is
// compared with the season.
func (l *levels) steps() [speeds]float64 {
	var steps [speeds]float64
	slower := 1.0
	for i := range steps {
		level := (levelPrior[i]*slower + l.launches[i]) / (levelPrior[i] + l.expected[i])
		steps[i] = math.Log(level / slower)
		slower = level
	}
	return steps
}
