package scaler

import (
	"fmt"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// TestAPurgedSessionStaysGone, although a read of Nomad that began earlier contains it.
func TestAPurgedSessionStaysGone(t *testing.T) {
	v := poolView(staging.Image{})
	runs(v, "gr-1")
	v.forget("gr-1")
	v.purged["gr-1"] = noon
	late := staging.Observation{Session: "gr-1", Index: 9, Job: &staging.JobFacts{Session: staging.Session{ID: "gr-1", Zone: "z", Staging: "p"}, Dead: true}}
	v.resyncFleet(fleetReading{sessions: []staging.Observation{late}, began: noon}, noon)
	if v.sessions["gr-1"] != nil {
		t.Error("a purged session has an entry again")
	}
	v.resyncFleet(fleetReading{began: noon.Add(time.Hour)}, noon.Add(time.Hour))
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

// TestAFateWithoutItsSessionIsPurged, after a while: the registration of its job may be
// under way.
func TestAFateWithoutItsSessionIsPurged(t *testing.T) {
	v := poolView(staging.Image{})
	fates := map[string]staging.Fate{"gr-9": {Session: "gr-9", Verdict: staging.VerdictAssigned, Zone: "z"}}
	v.resyncFleet(fleetReading{fates: fates, began: noon}, noon)
	e := v.sessions["gr-9"]
	if e == nil || zoneOf(e.s) != "z" {
		t.Fatalf("%+v", e)
	}
	later := fleetReading{fates: fates, began: noon.Add(time.Minute)}
	v.resyncFleet(later, noon.Add(time.Minute))
	if step, _ := DecideSession(v.unpooledOf(e), noon.Add(2*time.Minute)); step != nil {
		t.Errorf("Nomad did not say whether its job exists: %+v", step)
	}
	later.lookups = map[string]lookup{"gr-9": lookupGone}
	v.resyncFleet(later, noon.Add(time.Minute))
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

// TestAStandbyKeepsOnlyTheSessionsThatExist, and so has nothing to purge when it takes over:
// the scaler that acted purged what has ended.
func TestAStandbyKeepsOnlyTheSessionsThatExist(t *testing.T) {
	const ended, left = 5000, 3
	v := poolView(staging.Image{})
	v.resyncStore(nil, noon)
	var listed []staging.Observation
	fates := map[string]staging.Fate{}
	for n := range ended + left {
		id := fmt.Sprintf("gr-%d", n)
		e := runs(v, id)
		v.applyEvent(staging.Event{Type: staging.EventAssigned, Session: id, Pool: "p"}, noon)
		e.verdict = staging.VerdictAssigned
		if n < ended {
			v.applyEvent(staging.Event{Type: staging.EventEnded, Session: id, Pool: "p"}, noon)
			continue
		}
		listed = append(listed, staging.Observation{Session: id, Index: 2, Job: &staging.JobFacts{Session: staging.Session{ID: id, Origin: staging.Staged, Zone: "z", Image: "i", Staging: "p"}}})
		fates[id] = staging.Fate{Session: id, Verdict: staging.VerdictAssigned, Zone: "z"}
	}
	later := noon.Add(time.Hour)
	v.resyncFleet(fleetReading{sessions: listed, fates: fates, began: later}, later)
	if len(v.sessions) != left {
		t.Fatalf("the standby keeps %d sessions, and %d exist", len(v.sessions), left)
	}
	v.heldSince["z"], v.acting["z"], v.resourcesKnown = later, true, true
	for _, p := range v.pools {
		p.stopWatch = func() {}
	}
	v.onDemand["z"] = &pool{health: map[string]staging.Health{}, stopWatch: func() {}}
	s := New(Parts{Meter: quiet{}, Board: noBoard{}, Log: silent()}, Options{})
	for _, task := range s.decide(t.Context(), v, later.Add(purgeDelay)) {
		if task.step.Kind == Purge || task.step.Kind == MarkEnded {
			t.Errorf("the takeover begins with %s of %s", task.step.Kind, task.session.ID)
		}
	}
}

// TestAnEndedSessionIsKeptByTheScalerThatMustPurgeIt.
func TestAnEndedSessionIsKeptByTheScalerThatMustPurgeIt(t *testing.T) {
	v := poolView(staging.Image{})
	v.resyncStore(nil, noon)
	v.heldSince["z"], v.acting["z"] = noon, true
	runs(v, "gr-1")
	v.applyEvent(staging.Event{Type: staging.EventEnded, Session: "gr-1", Pool: "p"}, noon)
	v.resyncFleet(fleetReading{began: noon.Add(time.Minute)}, noon.Add(time.Minute))
	e := v.sessions["gr-1"]
	if e == nil {
		t.Fatal("nobody purges its fate record")
	}
	if step, _ := DecideSession(v.unpooledOf(e), noon.Add(time.Minute+purgeDelay)); kindOf(step) != Purge {
		t.Errorf("%+v", step)
	}
}

// TestResourcesThatVanishAllAtOnceAreNoReading: pools that are deleted one after another are.
func TestResourcesThatVanishAllAtOnceAreNoReading(t *testing.T) {
	v := poolView(staging.Image{})
	if !implausibleResources(v.resources, staging.Resources{}) {
		t.Error("everything is gone, and the pools would be drained")
	}
	left := staging.Resources{Zones: v.resources.Zones}
	if implausibleResources(v.resources, left) || implausibleResources(left, staging.Resources{}) || implausibleResources(staging.Resources{}, staging.Resources{}) {
		t.Error("pools that are deleted before their zone are kept")
	}
}

// TestNoResourceIsNeededForAUsersSession: it goes on without its pool, image, zone and group.
func TestNoResourceIsNeededForAUsersSession(t *testing.T) {
	v := absentView(1)
	v.setResources(staging.Resources{})
	e := v.sessions["gr-0"]
	e.tagged, e.passing = true, true
	if step, wake := DecideSession(v.unpooledOf(e), noon.Add(24*time.Hour)); step != nil || !wake.IsZero() {
		t.Errorf("%+v at %s", step, wake)
	}
}

// TestWhatEventsShowedDuringAReadingIsNewer: a job that was registered after Nomad listed its
// jobs, and a node that joined after it listed its nodes, are not gone.
func TestWhatEventsShowedDuringAReadingIsNewer(t *testing.T) {
	const during = time.Second
	v := absentView(1)
	began := noon.Add(time.Minute)
	r := fleetReading{began: began}
	v.observe(staging.Observation{Session: "gr-0", Index: 9, Job: &staging.JobFacts{Session: v.sessions["gr-0"].s}}, began.Add(during))
	v.observe(staging.Observation{Index: 9, Node: &staging.NodeFacts{ID: "joined"}}, began.Add(during))
	if absent, _ := v.absentFrom(r); len(absent) != 0 {
		t.Errorf("looks for %+v, which an event has just shown", absent)
	}
	v.resyncFleet(r, began.Add(2*during))
	if e := v.sessions["gr-0"]; e == nil || !e.hasJob || e.unlisted || e.missing {
		t.Errorf("a session that was registered meanwhile: %+v", e)
	}
	if _, there := v.nodes["joined"]; !there {
		t.Error("a node that joined meanwhile is gone")
	}
	later := fleetReading{began: noon.Add(time.Hour)}
	if absent, _ := v.absentFrom(later); len(absent) != 1 {
		t.Error("the next list lacks it, and nobody looks for it")
	}
	v.resyncFleet(later, noon.Add(time.Hour))
	if _, there := v.nodes["joined"]; there {
		t.Error("a node that has left stays")
	}
}
