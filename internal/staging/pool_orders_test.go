package staging_test

import (
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// TestAnOrderToRecycleIsNotCalledOffByAWeakerOne: of two orders the one that reaches further stands.
func TestAnOrderToRecycleIsNotCalledOffByAWeakerOne(t *testing.T) {
	noon := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	all := staging.Recycle{Before: noon, OrderedBy: "alice"}
	old := staging.Recycle{Before: noon.Add(-24 * time.Hour), OrderedBy: "bob"}
	later := staging.Recycle{Before: noon.Add(time.Minute), OrderedBy: "bob"}
	for name, c := range map[string]struct {
		orders []staging.Recycle
		want   staging.Recycle
	}{
		"one":                       {[]staging.Recycle{old}, old},
		"a weaker one after it":     {[]staging.Recycle{all, old}, all},
		"one that reaches further":  {[]staging.Recycle{old, all}, all},
		"all again, a moment later": {[]staging.Recycle{all, later}, later},
	} {
		var o staging.PoolOrders
		for _, r := range c.orders {
			o.AddRecycle(r)
		}
		if *o.Recycle != c.want {
			t.Errorf("%s: %v, want %v", name, *o.Recycle, c.want)
		}
	}
}
