package scaler

import (
	"slices"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// TestNothingActsOnForeignSessions, whatever else is known of them.
func TestNothingActsOnForeignSessions(t *testing.T) {
	states := []staging.State{"", staging.Pending, staging.Starting, staging.Ready, staging.Claimed, staging.Assigned, staging.Retiring, staging.Ending, staging.Ended}
	for _, x := range []Unpooled{{Foreign: true}, {Foreign: true, Quarantine: "why"}} {
		for _, x.State = range states {
			for _, x.Missing = range []bool{false, true} {
				x.HasJob, x.EndedNoticedAt = !x.Missing, noon.Add(-time.Hour)
				if step, wake := DecideSession(x, noon); step != nil || !wake.IsZero() {
					t.Errorf("%+v: %+v at %v", x, step, wake)
				}
			}
		}
	}
}

// TestAForeignJobOfAKnownSession: Redis has the session, and its job carries no id of this
// installation, so that it stays as it is until it is taken over.
func TestAForeignJobOfAKnownSession(t *testing.T) {
	v := poolView(staging.Image{})
	v.acting["z"] = true
	known := staging.Session{ID: "gr-1", Origin: staging.Staged, State: staging.Ready, Zone: "z", Image: "i", Staging: "p"}
	v.resyncStore([]staging.Session{known}, noon)
	foreign := []staging.Observation{{Session: "gr-1", Index: 5, Foreign: staging.NoInstallation}, {Session: "gr-2", Index: 5, Foreign: "gi-other"}}
	later := noon.Add(time.Hour)
	if v.resyncFleet(fleetReading{sessions: foreign, fates: map[string]staging.Fate{"gr-2": {Session: "gr-2", Zone: "z"}}, began: later}, later) {
		t.Error("another complete read of Nomad is requested for a foreign session")
	}
	if v.sessions["gr-2"] != nil {
		t.Error("a foreign session that Redis does not have has an entry")
	}
	e := v.sessions["gr-1"]
	if step, _ := DecideSession(v.unpooledOf(e), later); step != nil || e.pooled() || e.missing {
		t.Errorf("pooled %v, missing %v, step %+v", e.pooled(), e.missing, step)
	}
	if !v.inconsistentZones()["z"] {
		t.Error("claims in Redis may still take the foreign session")
	}
	taken := known
	taken.State = ""
	v.observe(staging.Observation{Session: "gr-1", Index: 5, Job: &staging.JobFacts{Session: taken, TakenOver: true}, Alloc: &staging.AllocFacts{ID: "a", Running: true}}, later)
	if !e.pooled() || e.quarantine() != "" {
		t.Error("a session that Redis has is no member of its pool after the take-over")
	}
	want := []staging.Foreign{{Installation: "gi-other", Sessions: 1}, {Installation: staging.NoInstallation, Sessions: 1}}
	if got := foreignIn(foreign); !slices.Equal(got, want) {
		t.Errorf("counted %v, want %v", got, want)
	}
}

// TestATakenOverSessionWithoutARecordIsQuarantined: it may be in use. It is no member of
// its pool, which stages as if it were not there.
func TestATakenOverSessionWithoutARecordIsQuarantined(t *testing.T) {
	v := poolView(staging.Image{})
	job := staging.Session{ID: "gr-1", Origin: staging.Staged, Zone: "z", Image: "i", Staging: "p"}
	observed := staging.Observation{
		Session: "gr-1", Index: 5, Job: &staging.JobFacts{Session: job, TakenOver: true},
		Alloc: &staging.AllocFacts{ID: "a", Running: true}, Placement: &staging.PlacementFacts{},
	}
	v.resyncFleet(fleetReading{sessions: []staging.Observation{observed}, began: noon}, noon)
	e := v.sessions["gr-1"]
	if step, _ := DecideSession(v.unpooledOf(e), noon.Add(time.Hour)); step == nil || step.Kind != Quarantine || step.Reason != noRecord || e.pooled() || len(v.pools["p"].unrecorded) != 0 {
		t.Errorf("pooled %v, unrecorded %v, step %+v", e.pooled(), v.pools["p"].unrecorded, step)
	}
	observed.Index, observed.Alloc = 6, &staging.AllocFacts{ID: "a", Over: true}
	v.observe(observed, noon)
	if step, _ := DecideSession(v.unpooledOf(e), noon.Add(time.Hour)); step == nil || step.Kind != MarkEnded {
		t.Errorf("after its end: %+v", step)
	}
}
