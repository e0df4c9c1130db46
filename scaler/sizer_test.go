package scaler

import (
	"testing"

	"github.com/greenroom/greenroom/internal/staging"
)

// TestAPoolThatIsMadeAgainHasItsSizeAtOnce, although its demand asks for what it asked for before:
// it is another pool, of the same name. A pool is decided again only if another number is asked
// for.
func TestAPoolThatIsMadeAgainHasItsSizeAtOnce(t *testing.T) {
	v := poolView(staging.Image{})
	with := v.resources
	config := with.Configs["p"]
	config.Sizing = &staging.Sizing{Mode: staging.SizingDemand, Min: 1, Max: 20}
	with.Configs = map[string]staging.Config{"p": config}
	without := with
	without.Configs = nil
	v.setResources(with)

	sizes := map[string]staging.DemandSize{"p": {Wanted: 7, Keep: 9, Expected: 3, Reason: "first"}, "gone": {Wanted: 3}}
	desired := func() int { return v.poolInput(v.pools["p"], noon).Desired }
	for _, made := range []string{"first", "again"} {
		if desired() != 1 {
			t.Errorf("%s: %d desired of a pool that was not sized", made, desired())
		}
		v.setSizes(sizes)
		if desired() != 7 || !v.dirtyPools["p"] {
			t.Errorf("%s: %d desired, to be decided: %v", made, desired(), v.dirtyPools)
		}
		clear(v.dirtyPools)
		v.setSizes(map[string]staging.DemandSize{"p": {Wanted: 7, Keep: 9, Expected: 4, Reason: "second"}})
		if v.dirtyPools["p"] || v.poolInput(v.pools["p"], noon).DesiredReason != "second" {
			t.Errorf("%s: the same number, to be decided: %v, %+v", made, v.dirtyPools, v.pools["p"].size)
		}
		v.setResources(without)
		delete(v.pools, "p") // as the loop does when its last member is gone
		v.setResources(with)
		clear(v.dirtyPools)
	}
}
