package scaler

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

func TestTheFewestMakeRoom(t *testing.T) {
	mb := func(n int) staging.Needs { return staging.Needs{CPU: 50, MemoryMB: n} }
	at := func(node, id string, rank, memory int, change ...func(*idler)) idler {
		i := idler{id: id, node: node, rank: rank, ready: true, needs: mb(memory), created: noon}
		for _, f := range change {
			f(&i)
		}
		return i
	}
	starting := func(i *idler) { i.ready = false }
	cases := []struct {
		name   string
		idlers []idler
		made   map[string]staging.Needs
		want   string
	}{
		{"nobody is there", nil, nil, ""},
		{"one of them is enough", []idler{at("n", "a", 10, 100), at("n", "b", 10, 500)}, nil, "b"},
		{"one there instead of two here", []idler{at("n", "a", 1, 200), at("n", "b", 1, 200), at("m", "c", 40, 400)}, nil, "c"},
		{"of as many those with the lowest priority", []idler{at("n", "a", 20, 400), at("m", "b", 10, 400)}, nil, "b"},
		{"of as many those that are not ready", []idler{at("n", "a", 10, 400), at("n", "b", 10, 400, starting)}, nil, "b"},
		{"the node on which it began", []idler{at("n", "a", 10, 200), at("m", "b", 10, 200), at("m", "c", 10, 200)}, map[string]staging.Needs{"n": mb(200)}, "a"},
		{"not the node that does not suit it", []idler{at("n", "a", 10, 400), at("m", "b", 40, 200), at("m", "c", 40, 200)}, map[string]staging.Needs{"n": mb(400)}, "b"},
		{"where none suffices, where most is", []idler{at("n", "a", 10, 100), at("m", "b", 40, 300)}, nil, "b"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, ok := chooseIdler(mb(400), slices.Clone(c.idlers), c.made)
			if got.id != c.want || ok != (c.want != "") {
				t.Errorf("%q makes room, want %q", got.id, c.want)
			}
		})
	}
}

// roomView is a view in which a launch of image big waits in zone east, where the pools low and high
// have each so many ready sessions on one node.
func roomView(t *testing.T, each int) (*view, *entry) {
	t.Helper()
	v := newView()
	v.resourcesKnown, v.fleetKnown, v.storeKnown = true, true, true
	v.acting = map[string]bool{"east": true}
	r := staging.Resources{
		Zones:  map[string]staging.Zone{"east": {Name: "east", Datacenters: []string{"dc1"}, AllowOriginDomain: "example.org", UpstreamAuthAddress: "broker"}},
		Images: map[string]staging.Image{"big": {Name: "big"}, "small": {Name: "small"}},
		Configs: map[string]staging.Config{
			"low":  {Name: "low", Zone: "east", Image: "small", DesiredSessions: each, Priority: 10},
			"high": {Name: "high", Zone: "east", Image: "small", DesiredSessions: each, Priority: 60},
		},
	}
	v.setResources(r)
	v.observeNode(staging.NodeFacts{ID: "n", Name: "n", Eligible: true, Datacenter: "dc1"}, 1, noon)
	session := func(id string, s staging.Session, memory int) *entry {
		s.ID, s.CreatedAt = id, noon
		v.observe(staging.Observation{Session: id, Index: 1, Job: &staging.JobFacts{Session: s, Needs: staging.Needs{CPU: 50, MemoryMB: memory}}}, noon)
		e := v.sessions[id]
		e.s.State = s.State
		v.updateMembership(e)
		return e
	}
	for pool := range r.Configs {
		for n := range each {
			id := fmt.Sprintf("gr-%s%d", pool, n)
			e := session(id, staging.Session{Origin: staging.Staged, Zone: "east", Image: "small", Staging: pool, State: staging.Ready, Permits: r.Configs[pool].Permissions.Permits(), Revision: v.pools[pool].target.revision}, 100)
			v.observe(staging.Observation{Session: id, Index: 2, Alloc: &staging.AllocFacts{ID: "a-" + id, NodeID: "n", Running: true}}, noon)
			e.s.State, e.passing = staging.Ready, true
		}
	}
	big := session("gr-big", staging.Session{Origin: staging.OnDemand, Zone: "east", Image: "big", State: staging.Pending, WaitForRoom: staging.Duration(time.Minute)}, 100*each)
	v.observe(staging.Observation{Session: "gr-big", Index: 3, Placement: &staging.PlacementFacts{Refused: &staging.Failure{Type: staging.CapacityExhausted, Message: "not enough memory"}}}, noon)
	return v, big
}

// madeRoom returns the sessions that Decide has make room, and lets them end.
func (v *view) madeRoom(now time.Time) (all []string) {
	v.makeRoom(now)
	for name, p := range v.pools {
		for _, s := range Decide(v.poolInput(p, now), DefaultBounds, now).Steps {
			if s.Kind == MakeRoom {
				all = append(all, name)
				e := v.sessions[s.Session]
				e.s.State, e.stopped, e.allocOver, e.makesRoom = staging.Ended, true, true, ""
				v.updateMembership(e)
			}
		}
	}
	return all
}

// TestRoomIsMadeOneByOne, by the pool of lower priority alone, until the launch is placed, and within
// the bounds.
func TestRoomIsMadeOneByOne(t *testing.T) {
	v, big := roomView(t, 12)
	now := noon
	made := 0
	for range 40 {
		for _, pool := range v.madeRoom(now) {
			if pool != "low" {
				t.Errorf("a session of pool %s makes room", pool)
			}
			made++
		}
		if again := v.madeRoom(now); len(again) > 0 {
			t.Error("more room is made before Nomad could place the launch in what was made")
		}
		now = now.Add(roomSettle)
	}
	if made != maxRoomMade {
		t.Errorf("%d sessions made room for one launch, want %d", made, maxRoomMade)
	}
	for name, p := range v.pools {
		for _, s := range Decide(v.poolInput(p, now), DefaultBounds, now).Steps {
			if s.Kind == Stage {
				t.Errorf("pool %s stages a session while a launch waits for room", name)
			}
		}
	}
	v.observe(staging.Observation{Session: big.s.ID, Index: 9, Alloc: &staging.AllocFacts{ID: "a-big", NodeID: "n"}}, now)
	staged := 0
	for _, s := range Decide(v.poolInput(v.pools["low"], now), DefaultBounds, now).Steps {
		if s.Kind == Stage {
			staged++
		}
	}
	if staged == 0 {
		t.Error("once the launch is placed the pool stages what is missing")
	}
}

// TestWhatALaunchTookMakesNoRoom: it counts as if it had not been chosen.
func TestWhatALaunchTookMakesNoRoom(t *testing.T) {
	v, big := roomView(t, 2)
	v.makeRoom(noon)
	if len(big.roomMade) != 1 {
		t.Fatalf("%+v", big.roomMade)
	}
	taken := v.sessions[big.roomMade[0].id]
	taken.s.State, taken.makesRoom = staging.Claimed, ""
	v.updateMembership(taken)
	v.makeRoom(noon)
	if len(big.roomMade) != 1 || big.roomMade[0].id == taken.s.ID {
		t.Errorf("%+v make room; %s was claimed", big.roomMade, taken.s.ID)
	}
}

// TestAZonesRoomIsBounded: many launches do not empty its pools at once.
func TestAZonesRoomIsBounded(t *testing.T) {
	v, first := roomView(t, 2*maxRoomMadeIn)
	for n := range 2 * maxRoomMadeIn {
		id := fmt.Sprintf("gr-more%d", n)
		s := first.s
		s.ID = id
		v.observe(staging.Observation{Session: id, Index: 1, Job: &staging.JobFacts{Session: s, Needs: first.needs}}, noon)
		v.sessions[id].s.State = staging.Pending
		v.observe(staging.Observation{Session: id, Index: 3, Placement: &staging.PlacementFacts{Refused: first.refused}}, noon)
	}
	made := 0
	for i := range 10 {
		made += len(v.madeRoom(noon.Add(time.Duration(i) * roomSettle)))
	}
	if made != maxRoomMadeIn {
		t.Errorf("%d sessions made room in one zone within %s, want %d", made, 10*roomSettle, maxRoomMadeIn)
	}
}

// TestNoSessionEndsForRoomThatCannotSuffice: users' sessions keep what they have, so where even all
// of the idle ones would make too little room, none is ended.
func TestNoSessionEndsForRoomThatCannotSuffice(t *testing.T) {
	for name, c := range map[string]struct {
		memory int
		ends   bool
	}{
		"not known":                           {0, true},
		"enough without the pool that gives":  {600, true},
		"too little, with the higher pool on": {599, false},
	} {
		t.Run(name, func(t *testing.T) {
			v, _ := roomView(t, 3) // 3 of each pool with 100 MB, and a launch that needs 300
			capacity := staging.Needs{}
			if c.memory > 0 {
				capacity = staging.Needs{CPU: 10000, MemoryMB: c.memory}
			}
			v.observeNode(staging.NodeFacts{ID: "n", Name: "n", Eligible: true, Datacenter: "dc1", Capacity: capacity}, 2, noon)
			if made := v.madeRoom(noon); (len(made) > 0) != c.ends {
				t.Errorf("%d sessions make room, want some: %t", len(made), c.ends)
			}
		})
	}
}

// TestALaunchThatNoNodeCouldHoldHoldsNoPoolBack, and no session is ended for it.
func TestALaunchThatNoNodeCouldHoldHoldsNoPoolBack(t *testing.T) {
	v, big := roomView(t, 3)
	for index, c := range []struct {
		memory int
		held   bool
	}{{299, false}, {300, true}} {
		v.observeNode(staging.NodeFacts{ID: "n", Name: "n", Eligible: true, Datacenter: "dc1", Pool: "default", Capacity: staging.Needs{CPU: 10000, MemoryMB: c.memory}}, uint64(index+2), noon)
		if why, _ := v.heldBack("east", noon); (why != "") != c.held {
			t.Errorf("with %d MB: held back: %q", c.memory, why)
		}
	}
	big.needs.MemoryMB = 301
	if made := v.madeRoom(noon); len(made) > 0 {
		t.Errorf("%v make room", made)
	}
}
