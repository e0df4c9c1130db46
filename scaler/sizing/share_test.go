package sizing

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestShare(t *testing.T) {
	falling := []float64{8, 4, 2, 1}
	for _, c := range []struct {
		what     string
		sessions int
		pools    []Claimant
		want     []int
	}{
		{"enough for all", 9, []Claimant{{Value: falling}, {Value: falling[:2]}}, []int{4, 2}},
		{"nothing", 0, []Claimant{{Value: falling}}, []int{0}},
		{"alike pools share evenly", 4, []Claimant{{Value: falling}, {Value: falling}}, []int{2, 2}},
		{"the most valuable first", 3, []Claimant{{Value: []float64{100, 50, 25}}, {Value: falling}}, []int{3, 0}},
		{"a minimum comes before others' more", 3, []Claimant{{Value: []float64{100, 50, 25}}, {Value: falling, Min: 1}}, []int{2, 1}},
		{"what is placed is moved for a good reason only", 2, []Claimant{{Value: []float64{9, 8}}, {Value: falling, Placed: 2}}, []int{1, 1}},
		{"and not for a little", 1, []Claimant{{Value: []float64{9}}, {Value: falling, Placed: 1}}, []int{0, 1}},
	} {
		if got := Share(c.sessions, c.pools); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.what, got, c.want)
		}
	}
}

// TestNoOtherShareAvoidsMore compares with every other division between two pools.
func TestNoOtherShareAvoidsMore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := func(name string) []float64 {
			all := rapid.SliceOfN(rapid.Float64Range(0, 100), 0, 8).Draw(t, name)
			slices.SortFunc(all, func(a, b float64) int { return int(b*1e6 - a*1e6) })
			return all
		}
		a, b := values("a"), values("b")
		sessions := rapid.IntRange(0, 18).Draw(t, "sessions")
		sum := func(n, m int) (total float64) {
			for _, v := range a[:n] {
				total += v
			}
			for _, v := range b[:m] {
				total += v
			}
			return total
		}
		got := Share(sessions, []Claimant{{Value: a}, {Value: b}})
		if got[0]+got[1] != min(sessions, len(a)+len(b)) {
			t.Fatalf("%v of %d for %d and %d", got, sessions, len(a), len(b))
		}
		for n := 0; n <= min(sessions, len(a)); n++ {
			if m := min(sessions-n, len(b)); sum(n, m) > sum(got[0], got[1])+1e-6 {
				t.Fatalf("%d and %d avoid %g, %v avoids %g", n, m, sum(n, m), got, sum(got[0], got[1]))
			}
		}
	})
}

// TestTheNextSessionIsWorthLess than the one before it.
func TestTheNextSessionIsWorthLess(t *testing.T) {
	d := newDemand(t, settings())
	for i := range 120 {
		d.Launched(monday.Add(time.Duration(i)*time.Minute), 6, 0)
	}
	values := d.Value(20)
	total := 0.0
	for i, v := range values {
		if total += v; v < 0 || i > 0 && v > values[i-1] {
			t.Fatalf("session %d is worth %g after %g", i+1, v, values[i-1])
		}
	}
	// All of them together keep nearly every launch from missing: six a minute.
	if total < 4 || total > 9 {
		t.Errorf("20 sessions are worth %g launches a minute", total)
	}
}
