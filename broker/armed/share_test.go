package armed

import (
	"fmt"
	"maps"
	"testing"

	"pgregory.net/rapid"
)

func TestShare(t *testing.T) {
	for _, c := range []struct {
		name         string
		need         map[string]int
		shells, turn int
		want         map[string]int
	}{
		{"enough for all", map[string]int{"a": 3, "b": 2}, 24, 0, map[string]int{"a": 3, "b": 2}},
		{"the first in the alphabet does not get all", map[string]int{"a": 8, "b": 8, "c": 1}, 7, 0, map[string]int{"a": 3, "b": 3, "c": 1}},
		{"an empty pool leaves its share to the others", map[string]int{"a": 0, "b": 8}, 4, 0, map[string]int{"b": 4}},
		{"more pools than shells", map[string]int{"a": 8, "b": 8, "c": 8}, 2, 0, map[string]int{"a": 1, "b": 1}},
		{"the next turn goes on from there", map[string]int{"a": 8, "b": 8, "c": 8}, 2, 1, map[string]int{"a": 1, "c": 1}},
		{"no shells", map[string]int{"a": 8}, 0, 3, map[string]int{}},
	} {
		if got := share(c.need, c.shells, c.turn); !maps.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// TestShareIsFair: no shell is left over where one is needed, no pool has two more than
// another that needs more, and in time every pool has one.
func TestShareIsFair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		need, needed := map[string]int{}, 0
		for i := range rapid.IntRange(0, 30).Draw(t, "pools") {
			n := rapid.IntRange(0, 8).Draw(t, "need")
			need[fmt.Sprintf("p%02d", i)] = n
			needed += n
		}
		shells, turn := rapid.IntRange(1, 24).Draw(t, "shells"), rapid.IntRange(0, 1000).Draw(t, "turn")
		shares, sum := share(need, shells, turn), 0
		for pool, n := range shares {
			sum += n
			for other, m := range need {
				if n > m && n > need[pool] || n > shares[other]+1 && shares[other] < m {
					t.Fatalf("%s has %d, %s has %d and needs %d", pool, n, other, shares[other], m)
				}
			}
		}
		if sum != min(shells, needed) {
			t.Fatalf("%d of %d shells are used; %d are needed", sum, shells, needed)
		}
		had := map[string]bool{}
		for later := range len(need) {
			for pool := range share(need, shells, turn+later) {
				had[pool] = true
			}
		}
		for pool, n := range need {
			if n > 0 && !had[pool] {
				t.Fatalf("%s never has a shell", pool)
			}
		}
	})
}
