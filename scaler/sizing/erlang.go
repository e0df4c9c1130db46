package sizing

// ErlangB returns the share of launches that find none of a pool's sessions ready, from 0
// to 1. The pool wants sessions, and load is the mean number of launches during a refill:
// their rate times the mean time from wanted to ready. A launch that finds none is served
// on demand and takes nothing from the pool, so the sessions on their way are Erlang's busy
// lines: the formula needs the mean of the refill times, and nothing else about them.
//
// Erlang, "Solution of some problems in the theory of probabilities of significance in
// automatic telephone exchanges", 1917; the recursion, and its independence of the
// distribution (Sevastyanov, 1957), are in every book on queues.
func ErlangB(sessions int, load float64) float64 {
	if load <= 0 {
		if sessions > 0 {
			return 0
		}
		return 1
	}
	missed := 1.0
	for k := 1; k <= sessions; k++ {
		missed = load * missed / (float64(k) + load*missed)
	}
	return missed
}

// Idle returns how many sessions of a pool are ready on average, waiting for a user.
func Idle(sessions int, load float64) float64 {
	return float64(sessions) - load*(1-ErlangB(sessions, load))
}

// SessionsFor returns the fewest sessions that miss at most the share missed of the
// launches. It counts no further than limit.
func SessionsFor(missed, load float64, limit int) int {
	b := 1.0
	k := 0
	if load <= 0 {
		return k
	}
	for b > missed && k < limit {
		k++
		b = load * b / (float64(k) + load*b)
	}
	return k
}

// SessionsWorth returns how many sessions are worth wanting for a known load, at most limit:
// each avoids at least worth misses for each refill time that it idles.
func SessionsWorth(worth, load float64, limit int) int {
	b, k := 1.0, 0
	for ; k < limit; k++ {
		next := load * b / (float64(k+1) + load*b)
		if avoided := load * (b - next); avoided < worth*(1-avoided) {
			break
		}
		b = next
	}
	return k
}
