package launch_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/greenroom/greenroom/broker/launch"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// labelled are three zones with pools of images that have labels: gold-e and gold-w of gold,
// silver-e of silver, whose config has the label, and none of bronze.
func labelled(change ...func(*staging.Resources)) *staging.Resources {
	return threeZones(append([]func(*staging.Resources){func(r *staging.Resources) {
		tier := func(name string) map[string]string { return map[string]string{"tier": name} }
		r.Images = map[string]staging.Image{
			"gold": {Name: "gold", Labels: tier("gold")}, "silver": {Name: "silver"}, "bronze": {Name: "bronze", Labels: tier("bronze")},
		}
		r.Configs = map[string]staging.Config{
			"gold-e":   {Name: "gold-e", Zone: "east", Image: "gold", DesiredSessions: 4},
			"gold-w":   {Name: "gold-w", Zone: "west", Image: "gold", DesiredSessions: 1},
			"silver-e": {Name: "silver-e", Zone: "east", Image: "silver", DesiredSessions: 2, Labels: tier("silver")},
		}
	}}, change...)...)
}

// TestASelectorTriesTheFullestPoolFirst, zone by zone, and then what matches on demand.
func TestASelectorTriesTheFullestPoolFirst(t *testing.T) {
	cases := []struct {
		name, selector string
		world          world
		change         func(*launch.Request)
		want           []string // the beginnings of the attempts
		image          string
		kind           refusal.Kind
	}{
		{
			name: "the larger share, not the larger number", selector: "tier", image: "silver",
			world: world{pools: map[string][]string{"gold-e": {"g1", "g2", "g3"}, "silver-e": {"s1", "s2"}, "gold-w": {"w1"}}},
			want:  []string{"staged east served: staging config silver-e of image silver matches tier; 2 of 2 are ready, number 1 of 3 pools"},
		},
		{
			name: "the zone comes before the others, however full", selector: "tier=gold", image: "gold",
			world: world{pools: map[string][]string{"gold-e": {"g1"}, "gold-w": {"w1"}}},
			want:  []string{"staged east served: staging config gold-e of image gold matches tier=gold; 1 of 4 are ready, number 1 of 2 pools"},
		},
		{
			name: "an empty pool is passed over for the next", selector: "tier=gold", image: "gold",
			world: world{pools: map[string][]string{"gold-w": {"w1"}}},
			want:  []string{"staged east empty: no session of gold-e", "staged west served: staging config gold-w"},
		},
		{
			name: "on demand only images count that match themselves", selector: "tier in (silver, bronze)", image: "bronze",
			want: []string{"staged east empty: no session of silver-e", "on_demand east served: image bronze matches tier in (silver, bronze)"},
		},
		{
			name: "a label of the config alone makes nothing on demand", selector: "tier=silver", kind: refusal.NoCapacity,
			want: []string{"staged east empty: no session of silver-e"},
		},
		{
			name: "a fresh one is made although some are ready", selector: "tier=gold", image: "gold",
			world:  world{pools: map[string][]string{"gold-e": {"g1"}}},
			change: func(r *launch.Request) { r.SkipStaged = true },
			want:   []string{"staged east skipped: the launch has skip_staged", "on_demand east served: image gold matches tier=gold"},
		},
		{
			name: "what is out of the caller's scope is not chosen", selector: "tier", image: "bronze",
			world:  world{pools: map[string][]string{"gold-e": {"g1"}, "silver-e": {"s1"}}},
			change: func(r *launch.Request) { r.Scope = access.Scope{Images: []string{"bronze"}} },
			want:   []string{"staged east skipped: no staging config matches tier", "on_demand east served"},
		},
	}
	for i := range cases {
		c := &cases[i]
		t.Run(c.name, func(t *testing.T) {
			c.world.resources = labelled()
			r, err := launchIn(t, &c.world, "", func(req *launch.Request) {
				req.Selector = c.selector
				if c.change != nil {
					c.change(req)
				}
			})
			attempts := r.Attempts
			var refused *refusal.Error
			if errors.As(err, &refused) {
				attempts = refused.Attempts
			}
			got := lines(attempts)
			if !slices.EqualFunc(got, c.want, strings.HasPrefix) {
				t.Errorf("attempts (-want +got):\n%s", cmp.Diff(c.want, got))
			}
			if (err == nil) != (c.kind == "") || c.kind != "" && (refused == nil || refused.Kind != c.kind) || r.Session.Image != c.image {
				t.Errorf("image %q, %v", r.Session.Image, err)
			}
		})
	}
}

// TestWhatAUserMayNotHaveIsNotChosen, and the refusal does not tell it from what is not there.
func TestWhatAUserMayNotHaveIsNotChosen(t *testing.T) {
	choose := func(selector string, change func(*staging.Resources)) error {
		w := &world{resources: labelled(change), pools: map[string][]string{"gold-e": {"g1"}}}
		_, err := launchIn(t, w, "", func(req *launch.Request) { req.Selector = selector })
		return err
	}
	of := func(change func(*staging.Image)) func(*staging.Resources) {
		return func(r *staging.Resources) {
			i := r.Images["gold"]
			change(&i)
			r.Images["gold"] = i
			r.Groups["vip"] = staging.Group{Name: "vip"}
		}
	}
	nothing := func(*staging.Resources) {}
	if err := choose("tier=gold", nothing); err != nil {
		t.Error(err)
	}
	no := false
	hidden, disabled, absent := choose("tier=gold", of(func(i *staging.Image) { i.AllowedGroups = []string{"vip"} })),
		choose("tier=gold", of(func(i *staging.Image) { i.Enabled = &no })), choose("tier=gold,tier!=gold", nothing)
	for _, err := range []error{hidden, disabled, absent} {
		var invalid *staging.InvalidError
		if !errors.As(err, &invalid) || invalid.Fields[0].Field != "selector" || !strings.Contains(err.Error(), "chooses no image") {
			t.Errorf("%v", err)
		}
	}
	if hidden.Error() != disabled.Error() {
		t.Errorf("%v is told from %v", hidden, disabled)
	}
}

// TestAnImageAtItsLimitIsPassedOverForAnotherThatMatches, and a named one is refused with the
// limit, and with where sessions wait that nobody has.
func TestAnImageAtItsLimitIsPassedOverForAnotherThatMatches(t *testing.T) {
	limited := func(r *staging.Resources) {
		i := r.Images["bronze"]
		i.MaxSessions = 1
		r.Images["bronze"] = i
	}
	w := &world{resources: labelled(limited), existing: []staging.SessionUse{{Session: "gr-1", Image: "bronze", Zone: "west", Staging: "bronze-w"}}}
	r, err := launchIn(t, w, "", func(req *launch.Request) { req.Selector, req.SkipStaged = "tier in (bronze, gold)", true })
	if err != nil || r.Session.Image != "gold" {
		t.Errorf("%+v, %v", r, err)
	}
	_, err = launchIn(t, w, "bronze")
	var refused *refusal.Error
	if !errors.As(err, &refused) || refused.Kind != refusal.SessionLimit || refused.Limit == nil || refused.Limit.Name != "bronze" || refused.Limit.InUse != 1 ||
		!strings.Contains(refused.Detail, "max_sessions of image bronze allows 1 at once, staged and assigned together, and 1 are in use, of which no user has 1 of bronze-w in zone west") {
		t.Errorf("%v", err)
	}
	if len(w.reservations.Held) != 0 {
		t.Errorf("places are still held: %+v", w.reservations.Held)
	}
}

// TestAZoneAtItsLimitIsPassedOverForTheNext.
func TestAZoneAtItsLimitIsPassedOverForTheNext(t *testing.T) {
	w := &world{
		resources: threeZones(func(r *staging.Resources) {
			z := r.Zones["east"]
			z.MaxSessions = 1
			r.Zones["east"] = z
			r.Configs = nil
		}),
		existing: []staging.SessionUse{{Session: "gr-1", Image: "another", Zone: "east"}},
	}
	r, err := launchIn(t, w, "plain")
	if err != nil || r.Session.Zone != "west" || !slices.ContainsFunc(lines(r.Attempts), func(a string) bool {
		return strings.HasPrefix(a, "on_demand east skipped: max_sessions of zone east allows 1 at once")
	}) {
		t.Errorf("%v, %v", lines(r.Attempts), err)
	}
}
