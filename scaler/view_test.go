package scaler

import (
	"errors"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// poolView returns a view with one pool, its image and its zone.
func poolView(image staging.Image) *view {
	v := newView()
	image.Name = "i"
	v.setResources(staging.Resources{
		Zones:   map[string]staging.Zone{"z": {Name: "z", Datacenters: []string{"dc1"}, AllowOriginDomain: "a", UpstreamAuthAddress: "b"}},
		Images:  map[string]staging.Image{"i": image},
		Configs: map[string]staging.Config{"p": {Name: "p", Zone: "z", Image: "i", DesiredSessions: 1}},
	})
	return v
}

// runs adds a running session of the pool.
func runs(v *view, id string) *entry {
	v.observe(staging.Observation{
		Session: id, Index: 1, Job: &staging.JobFacts{Session: staging.Session{ID: id, Origin: staging.Staged, Zone: "z", Image: "i", Staging: "p"}},
		Alloc: &staging.AllocFacts{ID: "a-" + id, Running: true},
	}, noon)
	e := v.sessions[id]
	e.s.State = staging.Starting
	v.updateMembership(e)
	return e
}

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
	for _, m := range v.viewOf(p, noon).Members {
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

// TestAPurgedSessionStaysGone, although a read of Nomad that began earlier contains it.
func TestAPurgedSessionStaysGone(t *testing.T) {
	v := poolView(staging.Image{})
	runs(v, "gr-1")
	v.forget("gr-1")
	v.purged["gr-1"] = noon
	late := staging.Observation{Session: "gr-1", Index: 9, Job: &staging.JobFacts{Session: staging.Session{ID: "gr-1", Zone: "z", Staging: "p"}, Dead: true}}
	v.resyncFleet([]staging.Observation{late}, nil, noon, noon)
	if v.sessions["gr-1"] != nil {
		t.Error("a purged session has an entry again")
	}
	v.resyncFleet(nil, nil, noon.Add(time.Hour), noon.Add(time.Hour))
	if len(v.purged) != 0 {
		t.Error("the purged session is remembered forever")
	}
}

// TestASessionOnlyInRedisRequestsAFleetResync: Redis may have been restored.
func TestASessionOnlyInRedisRequestsAFleetResync(t *testing.T) {
	v := poolView(staging.Image{})
	runs(v, "gr-1")
	known, old := staging.Session{ID: "gr-1", State: staging.Ready}, staging.Session{ID: "gr-old", State: staging.Ready, Staging: "p", Zone: "z"}
	if v.resyncStore([]staging.Session{known}, noon) {
		t.Error("a resync was requested for a session that Nomad has")
	}
	if !v.resyncStore([]staging.Session{known, old}, noon) {
		t.Error("no resync was requested for a session that only Redis has")
	}
	if v.resyncStore([]staging.Session{known, old}, noon) {
		t.Error("a resync was requested again for the same session")
	}
}

// TestOnlyASessionMadeAfterAFailureEndsThePause: an older session does not show that new
// ones succeed.
func TestOnlyASessionMadeAfterAFailureEndsThePause(t *testing.T) {
	v := poolView(staging.Image{})
	p := v.pools["p"]
	runs(v, "gr-1").s.CreatedAt = noon
	p.failed(&staging.Failure{Type: staging.CrashLooping}, noon.Add(time.Second))
	v.applyEvent(staging.Event{Type: staging.EventReady, Session: "gr-1", Pool: "p"}, noon.Add(2*time.Second))
	if !p.backoff.paused() {
		t.Error("a session that was made before the failure ended the pause")
	}
	runs(v, "gr-2").s.CreatedAt = noon.Add(2 * time.Second)
	v.applyEvent(staging.Event{Type: staging.EventReady, Session: "gr-2", Pool: "p"}, noon.Add(3*time.Second))
	if p.backoff.paused() {
		t.Error("a session that was made after the failure did not end the pause")
	}
}

// TestAZoneIsConsistentWhenRedisIsRight: not while Redis calls a session ready that is gone
// or a user's, nor before Nomad was read; Nomad may be unreachable since.
func TestAZoneIsConsistentWhenRedisIsRight(t *testing.T) {
	v := poolView(staging.Image{})
	v.acting["z"] = true
	want := func(why string, zones int) {
		t.Helper()
		if got := v.trustState().consistent; len(got) != zones {
			t.Errorf("%s: %v", why, got)
		}
	}
	old := staging.Session{ID: "gr-old", State: staging.Ready, Origin: staging.Staged, Zone: "z", Image: "i", Staging: "p", CreatedAt: noon}
	v.resyncStore([]staging.Session{old}, noon)
	want("Nomad has not been read", 0)
	v.resyncFleet(nil, nil, noon, noon)
	want("Redis calls a session ready that Nomad does not have", 0)
	v.resyncStore(nil, noon)
	v.forget("gr-old")
	want("Redis is right", 1)
	v.fleetKnown = false
	want("Nomad is unreachable since", 1)
	v.storeKnown = false
	want("Redis is not known", 0)
	v.resyncStore([]staging.Session{old}, noon)
	want("Redis was restored", 0)
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
	if !drains(true, 3) || !v.viewOf(v.pools["p"], noon).Members[0].Draining {
		t.Error("the drain of a node did not mark its pool dirty, or its member draining")
	}
	if drains(false, 2) {
		t.Error("a stale observation was applied")
	}
	if !drains(false, 4) || v.viewOf(v.pools["p"], noon).Members[0].Draining {
		t.Error("the end of the drain did not mark its pool dirty, or its member is still draining")
	}
}

func TestAssignHooksThatFailInARowAreCounted(t *testing.T) {
	v := poolView(staging.Image{})
	failed := staging.Event{Type: staging.EventHookFailed, Pool: "p", Session: "gr-1", Hook: staging.HookAssign, Reason: "exit code 7"}
	for range 3 {
		v.applyEvent(failed, noon)
	}
	v.applyEvent(staging.Event{Type: staging.EventViolation, Session: "gr-9"}, noon)
	if p := v.pools["p"]; p.assignHook.Failures != 3 || p.assignHook.Last.Message != "exit code 7" {
		t.Errorf("%+v", p.assignHook)
	}
	if len(v.sessions) != 0 {
		t.Error("an event that is no transition created an entry")
	}
	v.applyEvent(staging.Event{Type: staging.EventAssigned, Pool: "p", Session: "gr-2"}, noon)
	if n := v.pools["p"].assignHook.Failures; n != 0 {
		t.Errorf("%d after one succeeded", n)
	}
}

func TestAFirstLaunchIsRetriedOnlyIfItNeverStarted(t *testing.T) {
	v := poolView(staging.Image{ExecConfig: staging.ExecConfig{FirstLaunch: &staging.Hook{Cmd: []string{"x"}}}})
	e := runs(v, "gr-1")
	if v.firstLaunchHook(e) == nil {
		t.Fatal("the session has no hook to run")
	}
	unreachable := result{err: errors.New("nomad is unreachable")}
	for range maxFirstLaunchTries {
		v.firstLaunchDone(e, unreachable, noon)
		if e.failed() != nil {
			t.Fatal("a hook that never started failed its session")
		}
	}
	v.firstLaunchDone(e, unreachable, noon)
	if e.failed() == nil {
		t.Error("a session in which no hook can start is retried forever")
	}
	e = runs(v, "gr-2")
	v.firstLaunchDone(e, result{err: errors.New("exit code 9"), failure: &staging.Failure{Type: staging.HookFailing, Message: "exit code 9"}}, noon.Add(time.Minute))
	if f := e.failed(); f == nil || f.Type != staging.HookFailing || v.pools["p"].backoff.Failures != 2 {
		t.Errorf("%+v, backoff %+v", f, v.pools["p"].backoff)
	}
	e = runs(v, "gr-3")
	v.firstLaunchDone(e, result{}, noon)
	if e.failed() != nil || v.firstLaunchHook(e) != nil {
		t.Error("a hook that has run is to run again")
	}
	// The hooks are those of its own revision, not the image's current ones.
	e = runs(v, "gr-4")
	e.s.Hooks = &staging.ExecConfig{}
	if v.firstLaunchHook(e) != nil {
		t.Error("a session is to run a hook that its revision does not have")
	}
}

// TestAFateWithoutItsSessionIsPurged, after a while: the registration of its job may be
// under way.
func TestAFateWithoutItsSessionIsPurged(t *testing.T) {
	v := poolView(staging.Image{})
	fates := map[string]staging.Fate{"gr-9": {Session: "gr-9", Verdict: staging.VerdictAssigned, Zone: "z"}}
	v.resyncFleet(nil, fates, noon, noon)
	e := v.sessions["gr-9"]
	if e == nil || zoneOf(e.s) != "z" {
		t.Fatalf("%+v", e)
	}
	v.resyncFleet(nil, fates, noon.Add(time.Minute), noon.Add(time.Minute))
	if step, _ := DecideSession(v.unpooledOf(e), noon.Add(time.Second)); step != nil {
		t.Errorf("at once: %+v", step)
	}
	step, _ := DecideSession(v.unpooledOf(e), noon.Add(2*time.Minute))
	if step == nil || step.Kind != MarkEnded {
		t.Fatalf("after a while: %+v", step)
	}
	e.s.State, e.endedNoticedAt = staging.Ended, noon
	if step, _ := DecideSession(v.unpooledOf(e), noon.Add(5*time.Minute)); step == nil || step.Kind != Purge {
		t.Errorf("in the end: %+v", step)
	}
}

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
