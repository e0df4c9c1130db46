package dev

import (
	"testing"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/internal/staging"
)

// TestWhatIsInTheWayOfTheDemoPools: a pause that was kept with --data-dir would else be waited for in
// silence.
func TestWhatIsInTheWayOfTheDemoPools(t *testing.T) {
	d := dev{devFlags: devFlags{zones: 1}}
	paused := []httpapi.Condition{{Type: staging.Paused, Message: "all pools paused by anybody"}}
	pools := []httpapi.StagingPool{{Name: d.pool(demoZones(1)[0]), Conditions: paused}, {Name: "mine", Conditions: paused}}
	if got, want := d.inTheWay(pools), "Waiting for pool demo-east: Paused: all pools paused by anybody\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := d.inTheWay(nil); got != "" {
		t.Errorf("%q", got)
	}
}
