package sizing

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// TestErlangB compares with the formula's definition and with published tables.
func TestErlangB(t *testing.T) {
	for _, c := range []struct {
		sessions int
		load     float64
		want     float64
	}{
		{0, 3, 1},
		{1, 1, 0.5},
		{2, 1, 0.2},
		{5, 3, 0.110054},
		{10, 5, 0.018385},
		{20, 12.031, 0.01},  // tables of traffic engineering: 20 lines, 1% lost
		{100, 84.064, 0.01}, // 100 lines, 1% lost
		{0, 0, 1},
		{3, 0, 0},
	} {
		if got := ErlangB(c.sessions, c.load); math.Abs(got-c.want) > 2e-5 {
			t.Errorf("ErlangB(%d, %g) = %g, want %g", c.sessions, c.load, got, c.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 30).Draw(t, "sessions")
		load := rapid.Float64Range(0.01, 40).Draw(t, "load")
		term, sum := 1.0, 1.0
		for k := 1; k <= n; k++ {
			term *= load / float64(k)
			sum += term
		}
		got := ErlangB(n, load)
		if math.Abs(got-term/sum) > 1e-9 {
			t.Fatalf("%g, by its definition %g", got, term/sum)
		}
		if more := ErlangB(n+1, load); more >= got {
			t.Fatalf("one session more misses %g, not less than %g", more, got)
		}
		if idle := Idle(n, load); idle < -1e-9 || idle > float64(n) {
			t.Fatalf("%g of %d sessions are idle", idle, n)
		}
	})
}

func TestSessionsForIsTheLeastThatKeepsTheShare(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		load := rapid.Float64Range(0, 60).Draw(t, "load")
		missed := rapid.Float64Range(1e-4, 0.5).Draw(t, "missed")
		n := SessionsFor(missed, load, 1000)
		if load > 0 && ErlangB(n, load) > missed {
			t.Fatalf("%d sessions miss %g", n, ErlangB(n, load))
		}
		if n > 0 && ErlangB(n-1, load) <= missed {
			t.Fatalf("%d sessions would do", n-1)
		}
		if low := SessionsFor(missed, load/2, 1000); low > n {
			t.Fatalf("half the load wants %d, all of it %d", low, n)
		}
	})
}
