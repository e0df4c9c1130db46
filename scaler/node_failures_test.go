package scaler

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/greenroom/greenroom/internal/staging"
)

// nodeRuns makes a session of pool p that runs on a node and is healthy.
func nodeRuns(v *view, id, node string, now time.Time) *entry {
	e := runs(v, id)
	e.s.NodeID = node
	p := v.pools["p"]
	p.health[e.s.AllocID] = staging.Health{Session: id, AllocID: e.s.AllocID, Passing: true}
	v.updateHealth(e, now)
	return e
}

// nodeFails makes a session of pool p that exits on a node.
func nodeFails(v *view, id, node string, now time.Time) {
	e := runs(v, id)
	e.s.NodeID = node
	v.observe(staging.Observation{Session: id, Index: 2, Alloc: &staging.AllocFacts{
		ID: "a-" + id, NodeID: node, Over: true, Failure: &staging.Failure{Type: staging.CrashLooping, Message: "exit code 1"},
	}}, now)
}

func named(v *view, ids ...string) {
	for _, id := range ids {
		v.observe(staging.Observation{Index: 1, Node: &staging.NodeFacts{ID: id, Name: "name-" + id, Condition: "ready"}}, noon)
	}
}

// TestANodeWhereAnImageFailsIsAvoided while the image runs on another, and its failures are
// not the image's.
func TestANodeWhereAnImageFailsIsAvoided(t *testing.T) {
	v := poolView(staging.Image{})
	named(v, "bad", "good")
	p := v.pools["p"]
	// Before the image runs anywhere, whose fault it is cannot be known.
	nodeFails(v, "gr-1", "bad", noon)
	if p.backoff.Failures != 1 || len(v.avoid("i", noon)) != 0 {
		t.Fatalf("%+v, avoided %v", p.backoff, v.avoid("i", noon))
	}
	nodeRuns(v, "gr-2", "good", noon)
	if p.backoff.Failures != 0 {
		t.Fatalf("the image runs on another node: %+v", p.backoff)
	}
	nodeFails(v, "gr-3", "bad", noon)
	if got := v.avoid("i", noon); len(got) != 1 || got[0] != "bad" || p.backoff.Failures != 0 {
		t.Fatalf("avoided %v, %+v", got, p.backoff)
	}
	plan := Decide(v.poolInput(p, noon), DefaultBounds, noon)
	if len(plan.Conditions) != 1 || plan.Conditions[0].Type != staging.NodeFailing ||
		!strings.Contains(plan.Conditions[0].Message, "name-bad (bad): exit code 1") {
		t.Errorf("%+v", plan.Conditions)
	}
	if plan.Wake.IsZero() || plan.Wake.After(noon.Add(firstAvoidance)) {
		t.Errorf("wakes at %s", plan.Wake)
	}
	// It is avoided and Nomad places there all the same: that is paced, and the node's.
	nodeFails(v, "gr-4", "bad", noon)
	if p.backoff.Failures != 1 || p.backoff.Last.Type != staging.NodeFailing {
		t.Errorf("%+v", p.backoff)
	}
	later := noon.Add(firstAvoidance)
	if got := v.avoid("i", later); len(got) != 0 {
		t.Errorf("avoided for ever: %v", got)
	}
	nodeFails(v, "gr-5", "bad", later)
	if got := v.avoid("i", later.Add(2*firstAvoidance-1)); len(got) != 1 {
		t.Errorf("a second time it is avoided for twice as long: %v", got)
	}
	nodeFails(v, "gr-6", "good", later)
	if got := v.avoid("i", later); len(got) != 0 || p.backoff.Last.Type != staging.CrashLooping {
		t.Errorf("it fails on all nodes, so it is the image: avoided %v, %+v", got, p.backoff)
	}
}

// TestAnEditThatBreaksAnImageIsNoFaultOfANode: that older sessions run on other nodes says nothing
// of what is made now, also where a scaler that was started since finds them.
func TestAnEditThatBreaksAnImageIsNoFaultOfANode(t *testing.T) {
	v := poolView(staging.Image{Jobspec: "j"})
	named(v, "one", "two")
	p := v.pools["p"]
	nodeRuns(v, "gr-1", "two", noon)
	r := v.resources
	r.Images = map[string]staging.Image{"i": {Jobspec: "j", Variables: map[string]string{"a": "b"}}}
	v.setResources(r)
	e := runs(v, "gr-2")
	e.s.Revision = "older"
	e.s.NodeID = "two"
	p.health[e.s.AllocID] = staging.Health{Session: "gr-2", AllocID: e.s.AllocID, Passing: true}
	v.updateHealth(e, noon)
	nodeFails(v, "gr-3", "one", noon)
	nodeFails(v, "gr-4", "one", noon)
	if got := v.avoid("i", noon); len(got) != 0 || p.backoff.Failures == 0 || p.backoff.Last.Type != staging.CrashLooping {
		t.Errorf("avoided %v, %+v", got, p.backoff)
	}
}

// TestAnAvoidedNodeIsForgiven when the image runs there, when the node changes, and when it
// is gone.
func TestAnAvoidedNodeIsForgiven(t *testing.T) {
	for name, forgive := range map[string]func(v *view){
		"the image runs there": func(v *view) { nodeRuns(v, "gr-9", "bad", noon) },
		"its drivers change": func(v *view) {
			v.observe(staging.Observation{Index: 9, Node: &staging.NodeFacts{ID: "bad", Condition: "ready docker:true"}}, noon)
		},
		"it is gone": func(v *view) {
			v.resyncFleet(fleetReading{sessions: []staging.Observation{{Index: 9, Node: &staging.NodeFacts{ID: "good"}}}, began: noon}, noon)
		},
	} {
		v := poolView(staging.Image{})
		named(v, "bad", "good")
		nodeRuns(v, "gr-1", "good", noon)
		nodeFails(v, "gr-2", "bad", noon)
		nodeFails(v, "gr-3", "bad", noon)
		if len(v.avoid("i", noon)) != 1 {
			t.Fatal("not avoided")
		}
		forgive(v)
		if got := v.avoid("i", noon); len(got) != 0 {
			t.Errorf("%s: still avoided: %v", name, got)
		}
	}
}

// TestANodeIsBlamedOnlyWhileTheImageRunsElsewhere, whatever happened before, and what is
// remembered is bounded.
func TestANodeIsBlamedOnlyWhileTheImageRunsElsewhere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v, now := newView(), noon
		last := map[nodeImage]bool{}
		for range rapid.IntRange(0, 60).Draw(t, "outcomes") {
			k := nodeImage{rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "node"), rapid.SampledFrom([]string{"i", "j"}).Draw(t, "image")}
			now = now.Add(time.Duration(rapid.IntRange(0, 30).Draw(t, "minutes")) * time.Minute)
			if last[k] = rapid.Bool().Draw(t, "healthy"); last[k] {
				v.outcomes.succeeded(k, now)
			} else {
				v.outcomes.failed(k, &staging.Failure{}, now)
			}
			for _, n := range v.failingNodes(k.image, now) {
				elsewhere := false
				for other, healthy := range last {
					elsewhere = elsewhere || other.image == k.image && other.node != n.ID && healthy
				}
				if !elsewhere || last[nodeImage{n.ID, k.image}] || n.Failures < blameAfter || n.Until.Sub(now) > longestAvoidance {
					t.Fatalf("avoids %+v after %v", n, last)
				}
			}
		}
	})
	o := newOutcomes()
	for i := range maxOutcomes + 10 {
		o.succeeded(nodeImage{fmt.Sprint(i), "i"}, noon.Add(time.Duration(i)))
	}
	if _, oldest := o.of[nodeImage{"0", "i"}]; len(o.of) != maxOutcomes || oldest {
		t.Errorf("%d are remembered; the oldest: %t", len(o.of), oldest)
	}
}
