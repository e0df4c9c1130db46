package staging

import "testing"

func TestCount(t *testing.T) {
	for n, want := range map[int]string{0: "0 pools", 1: "1 pool", 2: "2 pools"} {
		if got := Count(n, "pool"); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}
