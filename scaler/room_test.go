package scaler

import (
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// TestALaunchThatWaitsForRoom: what it waits for is noted, and again when it is something else. It is
// ended when its wait is over, and not before, however long it takes to start once it is placed.
func TestALaunchThatWaitsForRoom(t *testing.T) {
	no := &staging.Failure{Type: staging.CapacityExhausted, Message: "not enough memory"}
	waiting := Unpooled{
		State: staging.Pending, Origin: staging.OnDemand, Fate: staging.VerdictAssigned, HasJob: true, TouchedAt: noon, Refused: no,
		WaitForRoom: staging.Duration(10 * time.Minute), RoomUntil: noon.Add(10 * time.Minute),
	}
	noted := func(x Unpooled) Unpooled { x.RoomNoted = "not enough memory"; return x }
	cases := []struct {
		name   string
		x      Unpooled
		at     time.Time
		kind   Kind
		reason string
		wake   time.Time
	}{
		{"it begins to wait", waiting, noon, NoteRoom, "waiting for room: not enough memory", time.Time{}},
		{"it is noted", noted(waiting), noon.Add(9 * time.Minute), "", "", noon.Add(10 * time.Minute)},
		{"something else is missing", func() Unpooled { x := waiting; x.RoomNoted = "not enough cpu"; return x }(), noon, NoteRoom, "waiting for room: not enough memory", time.Time{}},
		{"its wait is over", noted(waiting), noon.Add(10 * time.Minute), End, "no room came within 10m: not enough memory", time.Time{}},
		{"room came, and it starts", func() Unpooled {
			x := noted(waiting)
			x.Refused, x.PlacedAt = nil, noon.Add(9*time.Minute+59*time.Second)
			return x
		}(), noon.Add(11 * time.Minute), "", "", noon.Add(9*time.Minute + 59*time.Second + DefaultBounds.PlaceTimeout)},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			step, wake := DecideSession(c.x, c.at)
			if step == nil {
				step = &Step{}
			}
			if step.Kind != c.kind || step.Reason != c.reason || !wake.Equal(c.wake) {
				t.Errorf("%s %q, again at %s; want %s %q at %s", step.Kind, step.Reason, wake, c.kind, c.reason, c.wake)
			}
		})
	}
}

// TestPoolsAreHeldBackForALaunch in its zone, for a bounded time, and only if there are nodes that would
// do. What Nomad has queued of them makes way.
func TestPoolsAreHeldBackForALaunch(t *testing.T) {
	v, big := roomView(t, 2)
	high := v.pools["high"]
	high.config.DesiredSessions = 4
	probe := staging.Session{ID: "gr-probe", Origin: staging.Staged, Zone: "east", Image: "small", Staging: "high", CreatedAt: noon, Permits: high.target.permits, Revision: high.target.revision}
	v.observe(staging.Observation{Session: probe.ID, Index: 1, Job: &staging.JobFacts{Session: probe}}, noon)
	v.sessions[probe.ID].s.State = staging.Pending
	v.observe(staging.Observation{Session: probe.ID, Index: 2, Placement: &staging.PlacementFacts{Refused: big.refused}}, noon)
	steps := func(at time.Time) []string {
		var all []string
		for _, s := range Decide(v.poolInput(high, at), DefaultBounds, at).Steps {
			if s.Kind != Publish {
				all = append(all, string(s.Kind)+" "+s.Session)
			}
		}
		return all
	}
	want := func(what string, at time.Time, want ...string) {
		t.Helper()
		if got := steps(at); len(got) != len(want) || len(want) > 0 && got[0] != want[0] {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	want("while it waits", noon, "retire gr-probe")
	if cs := Decide(v.poolInput(high, noon), DefaultBounds, noon).Conditions; len(cs) == 0 || cs[0].Type != staging.CapacityExhausted {
		t.Errorf("the pool does not say why it is short: %+v", cs)
	}
	want("after a while", noon.Add(holdBack))
	v.observe(staging.Observation{Session: big.s.ID, Index: 5, Placement: &staging.PlacementFacts{Refused: &staging.Failure{Type: staging.NoNodesInZone, Message: "no node fits"}}}, noon)
	want("a launch that no node suits", noon)
}
