package sizing

import (
	"math"

	"gonum.org/v1/gonum/mathext"
)

// spread is how far demand has been from its forecasts: a mixture of Gamma distributions
// around the forecast, from wild (shape 0.4: the standard deviation is 1.6 times the mean)
// to exact. Their weights are learned from outcomes (online expectation-maximization, Cappé
// and Moulines 2009), so that a pool with rare surges has a heavy tail, and a steady one
// none. Launches are then negative binomial.
//
// A forecast that was made in a surge or a lull is less sure than others, and the highest
// demand seldom doubles again: each of these moods has weights of its own.
type spread struct {
	weights [moods][shapes]float64
	seen    [moods]float64
}

const (
	shapes = 6
	moods  = 9
	// points is how many points stand for each Gamma distribution.
	points = 10
	// firstSeen is how many outcomes the first weights count for, mostSeen how many old
	// ones count at most.
	firstSeen, mostSeen = 20, 2000
	// surgeStep is the step of the two fastest levels, as a logarithm, that is a surge or,
	// downwards, a lull.
	surgeStep = 0.35
	// highStep is the step from the season, as a logarithm, that is high demand.
	highStep = 0.5
)

var (
	shapeOf = [shapes]float64{0.4, 1.2, 4, 12, 40, 400}
	// firstWeights are the weights before anything has been learned.
	firstWeights = [shapes]float64{0.02, 0.06, 0.16, 0.26, 0.26, 0.24}
)

// gammaPoints are the points of the Gamma distributions of mean 1: the middles of parts of
// equal probability, scaled to the mean.
var gammaPoints = func() (all [shapes][points]float64) {
	for i, shape := range shapeOf {
		sum := 0.0
		for j := range all[i] {
			all[i][j] = mathext.GammaIncRegInv(shape, (float64(j)+0.5)/points)
			sum += all[i][j]
		}
		for j := range all[i] {
			all[i][j] *= points / sum
		}
	}
	return all
}()

func newSpread() *spread {
	s := &spread{}
	for m := range s.weights {
		s.weights[m] = firstWeights
		s.seen[m] = firstSeen
	}
	return s
}

// mood returns the weights to use for a forecast from these signals: by whether demand is in
// a lull, as usual or in a surge, and whether it is low, usual or high for its season.
func mood(x *[signals]float64) int {
	fast := x[signals-1] + x[signals-2]
	all := fast
	for _, step := range x[signals-speeds : signals-2] {
		all += step
	}
	return 3*third(fast, surgeStep) + third(all, highStep)
}

// third returns 0 for less than -border, 2 for more than border, and else 1.
func third(x, border float64) int {
	switch {
	case x < -border:
		return 0
	case x > border:
		return 2
	}
	return 1
}

// learn takes an outcome, and returns the shape that explains it best.
func (s *spread) learn(mood int, launches, expected float64) float64 {
	weights := &s.weights[mood]
	var likely [shapes]float64
	best := math.Inf(-1)
	for i, shape := range shapeOf {
		likely[i] = math.Log(weights[i]+1e-9) + logNegativeBinomial(launches, expected, shape)
		best = max(best, likely[i])
	}
	sum := 0.0
	for i := range likely {
		likely[i] = math.Exp(likely[i] - best)
		sum += likely[i]
	}
	s.seen[mood] = min(s.seen[mood]+1, mostSeen)
	inverse := 0.0
	for i := range likely {
		likely[i] /= sum
		weights[i] += (likely[i] - weights[i]) / s.seen[mood]
		inverse += likely[i] / shapeOf[i]
	}
	return 1 / inverse
}

// logNegativeBinomial is the logarithm of the probability of so many launches, if their
// mean is Gamma-distributed around expected; without the terms that are the same for all
// shapes.
func logNegativeBinomial(launches, expected, shape float64) float64 {
	a, _ := math.Lgamma(launches + shape)
	b, _ := math.Lgamma(shape)
	return a - b + shape*math.Log(shape/(shape+expected)) + launches*math.Log(expected/(shape+expected))
}
