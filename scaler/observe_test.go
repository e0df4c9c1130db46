package scaler

import (
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

func TestASessionWhoseChecksFailIsUnhealthySinceThen(t *testing.T) {
	v := poolView(staging.Image{})
	e, p := runs(v, "gr-1"), v.pools["p"]
	passes := func(yes bool, at time.Time) {
		v.setHealth(p, []staging.Health{{Session: "gr-1", AllocID: "a-gr-1", Passing: yes}}, at)
	}
	passes(false, noon)
	if !e.unhealthySince.IsZero() {
		t.Error("a session that was never healthy counts as unhealthy")
	}
	passes(true, noon)
	passes(false, noon.Add(time.Second))
	passes(false, noon.Add(time.Minute))
	if !e.unhealthySince.Equal(noon.Add(time.Second)) {
		t.Errorf("unhealthy since %s", e.unhealthySince)
	}
	passes(true, noon.Add(2*time.Minute))
	if !e.unhealthySince.IsZero() {
		t.Error("healthy again, and still unhealthy")
	}
}

// TestADisconnectedSessionIsUnhealthySinceThen, although its checks still pass.
func TestADisconnectedSessionIsUnhealthySinceThen(t *testing.T) {
	v := poolView(staging.Image{})
	e, p := runs(v, "gr-1"), v.pools["p"]
	v.setHealth(p, []staging.Health{{Session: "gr-1", AllocID: "a-gr-1", Passing: true}}, noon)
	reports := func(running bool, index uint64, at time.Time) {
		v.observe(staging.Observation{Session: "gr-1", Index: index, Alloc: &staging.AllocFacts{ID: "a-gr-1", Running: running}}, at)
	}
	reports(false, 2, noon.Add(time.Second))
	if !e.unhealthySince.Equal(noon.Add(time.Second)) || e.failed() != nil || p.backoff.Failures != 0 {
		t.Errorf("disconnected since %s, failed %v, %+v", e.unhealthySince, e.failed(), p.backoff)
	}
	reports(true, 3, noon.Add(2*time.Second))
	if !e.unhealthySince.IsZero() {
		t.Error("connected again, and still unhealthy")
	}
}

// TestSessionsLostWithTheirNodeAreNoFailuresOfTheImage. Also, sessions that fail together
// count as one try.
func TestSessionsLostWithTheirNodeAreNoFailuresOfTheImage(t *testing.T) {
	v := poolView(staging.Image{})
	p := v.pools["p"]
	for _, id := range []string{"gr-1", "gr-2"} {
		runs(v, id)
		v.observe(staging.Observation{Session: id, Index: 2, Alloc: &staging.AllocFacts{ID: "a-" + id, Over: true, Reason: "alloc is lost"}}, noon)
	}
	if p.backoff.Failures != 0 {
		t.Errorf("lost with their node: %+v", p.backoff)
	}
	for _, m := range v.poolInput(p, noon).Members {
		if !m.Over || m.EndReason != "alloc is lost" {
			t.Errorf("%+v", m)
		}
	}
	for _, id := range []string{"gr-3", "gr-4", "gr-5"} {
		runs(v, id)
		v.observe(staging.Observation{
			Session: id, Index: 2, Alloc: &staging.AllocFacts{ID: "a-" + id, Over: true, Failure: &staging.Failure{Type: staging.CrashLooping, Message: id}},
		}, noon)
	}
	if p.backoff.Failures != 1 || p.backoff.Last.Message != "gr-5" {
		t.Errorf("three that failed at once: %+v", p.backoff)
	}
}

// TestAClonedSessionIsOver, although its first allocation may still run on a node that is
// disconnected: Nomad has replaced it.
func TestAClonedSessionIsOver(t *testing.T) {
	for name, replaced := range map[string]staging.Observation{
		"another allocation's event": {Alloc: &staging.AllocFacts{ID: "clone", Running: true, Address: "10.0.0.9"}},
		"a list":                     {Alloc: &staging.AllocFacts{ID: "a-gr-1", Running: true}, Replaced: true},
	} {
		v := poolView(staging.Image{})
		e := runs(v, "gr-1")
		v.observe(staging.Observation{Session: "gr-1", Index: 2, Alloc: &staging.AllocFacts{ID: "a-gr-1", Running: true, Reason: "alloc is unknown"}}, noon)
		replaced.Session, replaced.Index = "gr-1", 3
		v.observe(replaced, noon)
		if !e.over() || e.s.AllocID != "a-gr-1" || e.s.Address != "" {
			t.Errorf("%s: over %t, %+v", name, e.over(), e.s)
		}
		e.s.State = staging.Assigned
		if step, _ := DecideSession(v.unpooledOf(e), noon); step == nil || step.Kind != End {
			t.Errorf("%s: %+v", name, step)
		}
	}
}

func TestADrainedNodesSessionsAreToBeReplaced(t *testing.T) {
	v := poolView(staging.Image{})
	runs(v, "gr-1").s.NodeID = "n"
	drains := func(yes bool, index uint64) bool {
		clear(v.dirtyPools)
		v.observe(staging.Observation{Index: index, Node: &staging.NodeFacts{ID: "n", Draining: yes}}, noon)
		return v.dirtyPools["p"]
	}
	if drains(false, 1) {
		t.Error("an unchanged node marks its pools dirty")
	}
	if !drains(true, 3) || !v.poolInput(v.pools["p"], noon).Members[0].Draining {
		t.Error("the drain of a node did not mark its pool dirty, or its member draining")
	}
	if drains(false, 2) {
		t.Error("a stale observation was applied")
	}
	if !drains(false, 4) || v.poolInput(v.pools["p"], noon).Members[0].Draining {
		t.Error("the end of the drain did not mark its pool dirty, or its member is still draining")
	}
}
