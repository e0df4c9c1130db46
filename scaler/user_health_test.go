package scaler

import (
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// TestUnhealthyExpirationCountsWhatWasSeenToFail, without a break: not a lost contact, not an
// instance that Consul does not have, and not a time in which nobody watched.
func TestUnhealthyExpirationCountsWhatWasSeenToFail(t *testing.T) {
	v := poolView(staging.Image{})
	e := runs(v, "gr-1")
	p := v.pools["p"]
	e.s.State, e.s.Terms = staging.Assigned, staging.Terms{Unhealthy: staging.Duration(time.Minute)}
	health := func(at time.Duration, h ...staging.Health) { v.setHealth(p, h, noon.Add(at)) }
	want := func(what string, due time.Duration) {
		t.Helper()
		until := v.unpooledOf(e).UnhealthyUntil
		if due == 0 && !until.IsZero() || due != 0 && !until.Equal(noon.Add(due)) {
			t.Errorf("%s: it ends at %v, want %v after noon", what, until, due)
		}
	}
	good := staging.Health{Session: "gr-1", AllocID: "a-gr-1", Passing: true}
	bad := staging.Health{Session: "gr-1", AllocID: "a-gr-1", Failing: true}
	health(0, good)
	want("healthy", 0)
	health(time.Second, bad)
	want("failing", 61*time.Second)
	health(2*time.Second, bad)
	want("still failing", 61*time.Second)
	health(3*time.Second, good)
	want("recovered", 0)
	health(4*time.Second, staging.Health{Session: "gr-1", AllocID: "a-gr-1"})
	want("its node's check fails, or its maintenance mode", 0)
	health(5*time.Second, bad)
	health(6 * time.Second)
	want("its instance is gone from Consul", 0)
	health(7*time.Second, bad)
	want("back and failing", 67*time.Second)
	p.healthKnown = false
	want("the watch is lost", 0)
	health(20*time.Second, bad)
	want("seen again after a gap", 80*time.Second)
	v.observe(staging.Observation{Session: "gr-1", Index: 20, Alloc: &staging.AllocFacts{ID: "a-gr-1"}}, noon.Add(21*time.Second))
	want("Nomad lost contact with its node", 0)
	v.observe(staging.Observation{Session: "gr-1", Index: 21, Alloc: &staging.AllocFacts{ID: "a-gr-1", Running: true}}, noon.Add(22*time.Second))
	want("in contact again", 82*time.Second)
	e.s.Terms.Unhealthy = 0
	want("no such term", 0)
}

func TestDecideSessionOfHealth(t *testing.T) {
	x := Unpooled{
		HasJob: true, State: staging.Assigned, Fate: staging.VerdictAssigned, Origin: staging.Staged, Tagged: true, TouchedAt: noon,
		Running: true, Passing: true, HealthKnown: true,
	}
	want := func(what string, kind Kind, wakes time.Time) {
		t.Helper()
		step, wake := DecideSession(x, noon)
		if step == nil && kind != "" || step != nil && step.Kind != kind || !wake.Equal(wakes) {
			t.Errorf("%s: %+v, wake at %v; want %q and %v", what, step, wake, kind, wakes)
		}
	}
	want("healthy", "", time.Time{})
	x.Passing = false
	want("its checks fail", NoteHealth, time.Time{})
	x.HealthKnown = false
	want("its checks are not known", "", time.Time{})
	x.HealthKnown, x.UnhealthyNoted, x.UnhealthyUntil = true, true, noon.Add(time.Minute)
	want("noted", "", noon.Add(time.Minute))
	x.UnhealthyUntil = noon
	want("for too long", End, time.Time{})
	x.UnhealthyUntil, x.Passing = time.Time{}, true
	want("recovered", NoteHealth, time.Time{})
}

// TestAUsersJobThatRunsIsNotPurged because Redis calls the session ended: a scaler may have
// asked another Nomad, which truly did not have it.
func TestAUsersJobThatRunsIsNotPurged(t *testing.T) {
	x := Unpooled{
		State: staging.Ended, Origin: staging.Staged, HasJob: true, Running: true, Passing: true, Given: true,
		EndedNoticedAt: noon.Add(-time.Hour), TouchedAt: noon.Add(-time.Hour),
	}
	if step, wake := DecideSession(x, noon); step != nil || wake.IsZero() {
		t.Errorf("it runs: %+v, %v", step, wake)
	}
	x.Stopped = true
	if step, _ := DecideSession(x, noon); step == nil || step.Kind != Purge {
		t.Errorf("it was stopped: %+v", step)
	}
	x.Stopped, x.Given = false, false
	if step, _ := DecideSession(x, noon); step == nil || step.Kind != Purge {
		t.Errorf("nobody ever had it: %+v", step)
	}
}
