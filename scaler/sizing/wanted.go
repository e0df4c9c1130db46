package sizing

// sessions returns how many sessions are worth wanting, at most limit.
//
// One session more avoids g misses a refill and idles for 1-g of the time, since it is used
// up by those whom it serves. It is wanted as long as it avoids at least worth misses for
// each refill time that it idles: so that what idles is spread over the hours where it
// avoids the most misses, rather than for an equal share of misses in all of them. Quiet
// hours would lose by that: no more than the share floor of the launches is expected to
// miss in any of them. Both are expected values over the forecast's distribution, with
// Erlang's formula for each point of it. A session more avoids ever fewer misses (Messerli
// 1972: the formula is convex), so the first that is not worth it ends the search.
func (f Forecast) sessions(worth, floor float64, limit int) int {
	all := f.steps()
	mean := all.mean()
	for wanted := 0; wanted < limit; wanted++ {
		avoided, misses := all.add()
		if avoided < worth*(1-avoided) && misses <= floor*mean {
			return wanted
		}
	}
	return limit
}

// avoided returns, for each session up to the limit, how many misses a refill it avoids.
func (f Forecast) avoided(limit int) []float64 {
	all, values := f.steps(), make([]float64, limit)
	for i := range values {
		values[i], _ = all.add()
	}
	return values
}

// steps counts, session by session, how many launches of a forecast miss.
type steps struct {
	load, missed, weight [shapes * points]float64
	n, sessions          int
}

// steps begins with no session: every launch misses.
func (f Forecast) steps() (s steps) {
	for i, w := range f.weights {
		if w < negligible {
			continue
		}
		for _, p := range gammaPoints[i] {
			s.load[s.n], s.missed[s.n], s.weight[s.n] = min(p*f.Load, f.most), 1, w/points
			s.n++
		}
	}
	return s
}

// mean returns the mean number of launches a refill.
func (s *steps) mean() (sum float64) {
	for i := range s.n {
		sum += s.weight[i] * s.load[i]
	}
	return sum
}

// add adds a session, and returns how many misses it avoids and how many there were without it.
func (s *steps) add() (avoided, misses float64) {
	s.sessions++
	k := float64(s.sessions)
	for i := range s.n {
		next := s.load[i] * s.missed[i] / (k + s.load[i]*s.missed[i])
		avoided += s.weight[i] * s.load[i] * (s.missed[i] - next)
		misses += s.weight[i] * s.load[i] * s.missed[i]
		s.missed[i] = next
	}
	return avoided, misses
}

// negligible is the weight below which a distribution is left out.
const negligible = 0.003

// quantile returns the load that is not exceeded with a probability.
func (f Forecast) quantile(probability float64) float64 {
	low, high := 0.0, max(f.Load, 1e-9)*40
	for range 20 { // to a thousandth of the load and less
		middle := (low + high) / 2
		below := 0.0
		for i, w := range f.weights {
			for _, p := range gammaPoints[i] {
				if min(p*f.Load, f.most) <= middle {
					below += w / points
				}
			}
		}
		if below < probability {
			low = middle
		} else {
			high = middle
		}
	}
	return high
}
