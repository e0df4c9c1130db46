package armed

import (
	"maps"
	"slices"
)

// share divides the shells among pools, one at a time in turn, until each has as many as it
// needs or there are no more. If there are more pools that need one than shells, each turn
// serves those that follow the last turn's.
func share(need map[string]int, shells, turn int) map[string]int {
	pools := slices.Sorted(maps.Keys(need))
	pools = slices.DeleteFunc(pools, func(pool string) bool { return need[pool] <= 0 })
	if n := len(pools); n > shells {
		first := turn * shells % n
		pools = slices.Concat(pools[first:], pools[:first])
	}
	shares := map[string]int{}
	for given := true; given; {
		given = false
		for _, pool := range pools {
			if shells > 0 && shares[pool] < need[pool] {
				shares[pool]++
				shells--
				given = true
			}
		}
	}
	return shares
}
