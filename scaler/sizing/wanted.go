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
	var load, missed, weight [shapes * points]float64
	n, mean := 0, 0.0
	for i, w := range f.weights {
		if w < negligible {
			continue
		}
		for _, p := range gammaPoints[i] {
			load[n], missed[n], weight[n] = min(p*f.Load, f.most), 1, w/points
			mean += weight[n] * load[n]
			n++
		}
	}
	for wanted := 0; wanted < limit; wanted++ {
		avoided, misses := 0.0, 0.0
		k := float64(wanted + 1)
		for i := range n {
			next := load[i] * missed[i] / (k + load[i]*missed[i])
			avoided += weight[i] * load[i] * (missed[i] - next)
			misses += weight[i] * load[i] * missed[i]
			missed[i] = next
		}
		if avoided < worth*(1-avoided) && misses <= floor*mean {
			return wanted
		}
	}
	return limit
}

// negligible is the weight below which a distribution is left out.
const negligible = 0.003

// quantile returns the load that is not exceeded with a probability.
func (f Forecast) quantile(probability float64) float64 {
	low, high := 0.0, max(f.Load, 1e-9)*40
	for range 40 {
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
