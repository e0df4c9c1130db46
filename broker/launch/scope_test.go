package launch_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/greenroom/greenroom/broker/launch"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// TestAScopeBoundsTheImageAndZonesOfALaunch: what is outside is answered as what does not
// exist, and no alternate zone outside serves or is named.
func TestAScopeBoundsTheImageAndZonesOfALaunch(t *testing.T) {
	within := func(s access.Scope) func(*launch.Request) {
		return func(r *launch.Request) { r.Scope = s }
	}
	refusal := func(image, zone string, s access.Scope) string {
		_, err := launchIn(t, &world{resources: threeZones()}, image, within(s), func(r *launch.Request) { r.Zone = zone })
		invalid, ok := errors.AsType[*staging.InvalidError](err)
		if !ok || len(invalid.Fields) != 1 {
			t.Fatalf("%s in %s: %v", image, zone, err)
		}
		return invalid.Fields[0].Field + " " + invalid.Fields[0].Message
	}
	for what, got := range map[string][2]string{
		"an image": {refusal("plain", "east", access.Scope{Images: []string{"other"}}), strings.ReplaceAll(refusal("none", "east", access.Scope{}), "none", "plain")},
		"a zone":   {refusal("plain", "west", access.Scope{Zones: []string{"east"}}), strings.ReplaceAll(refusal("plain", "none", access.Scope{}), "none", "west")},
	} {
		if got[0] != got[1] {
			t.Errorf("%s outside the scope is answered %q, one that does not exist %q", what, got[0], got[1])
		}
	}
	for what, c := range map[string]struct {
		zones []string
		pools map[string][]string
		want  []string
	}{
		"an alternate within serves": {[]string{"east", "north"}, map[string][]string{"pw": {"w1"}, "pn": {"n1"}}, []string{"staged east empty: no session of pe is ready", "staged north served:"}},
		"none is within": {
			[]string{"east"},
			map[string][]string{"pw": {"w1"}, "pn": {"n1"}},
			[]string{"staged east empty: no session of pe is ready", "on_demand east served:"},
		},
	} {
		got, err := launchIn(t, &world{resources: threeZones(), pools: c.pools}, "plain", within(access.Scope{Zones: c.zones}))
		if err != nil || !slices.Equal(lines(got.Attempts), c.want) {
			t.Errorf("%s: %q, %v", what, lines(got.Attempts), err)
		}
	}
}
