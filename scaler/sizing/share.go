package sizing

// Claimant is a pool that wants sessions in a zone that cannot hold all that its pools want.
type Claimant struct {
	// Value is, for each session from the first on, how many launches a minute it keeps from
	// missing, times the pool's weight: see Demand.Value. It does not increase.
	Value []float64
	// Min is how many the pool is given before any pool is given more than its own.
	Min int
	// Placed is how many the pool has.
	Placed int
}

// moveGain is by how many times a session must be worth more in another pool for one of this pool
// to make room for it: the room is idle while the other session is made.
const moveGain = 1.25

// Share divides a number of sessions among pools, the most valuable session first, and returns
// how many each is given: at most len(Value). The value of a pool's next session falls with each
// that it has, so that no other division avoids more misses. Of equals the first is served.
func Share(sessions int, pools []Claimant) []int {
	given := make([]int, len(pools))
	for range sessions {
		best, most := -1, 0.0
		for i, p := range pools {
			k := given[i]
			if k == len(p.Value) {
				continue
			}
			value := p.Value[k]
			if k < p.Placed {
				value *= moveGain
			}
			if k < p.Min {
				value += beforeOthers
			}
			if best < 0 || value > most {
				best, most = i, value
			}
		}
		if best < 0 {
			break
		}
		given[best]++
	}
	return given
}

// beforeOthers is more than any session is worth.
const beforeOthers = 1e12

// Value returns, for each session from the first to the one numbered sessions, how many launches a
// minute it is expected to keep from missing, as of the last launches.
func (d *Demand) Value(sessions int) []float64 {
	values := d.forecaster.Forecast().avoided(sessions)
	minute := 60 / d.forecaster.refill
	for i := range values {
		values[i] *= minute
	}
	return values
}
