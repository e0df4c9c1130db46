package scaler

import (
	"testing"
)

func TestEarlierComparesPositions(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"0-0", "1700000000000-0", true},
		{"1700000000000-1", "1700000000000-2", true},
		{"999-9", "1000-0", true},
		{"1700000000000-2", "1700000000000-2", false},
		{"1700000000001-0", "1700000000000-9", false},
	} {
		if got := earlier(c.a, c.b); got != c.want {
			t.Errorf("earlier(%s, %s) = %v", c.a, c.b, got)
		}
	}
}
