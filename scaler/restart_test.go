package scaler

import (
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// restartedTask observes that Nomad has restarted the main task of a session of runs.
func restartedTask(v *view, e *entry, restarts int, at time.Time) {
	e.s.Task = "main"
	v.observe(staging.Observation{Session: e.s.ID, Index: uint64(10 + restarts), Alloc: &staging.AllocFacts{
		ID: "a-" + e.s.ID, Running: true, Restarts: map[string]int{"main": restarts},
	}}, at)
}

// TestARestartedUnassignedSessionStartsOver: it is withdrawn, its first_launch hook runs again
// once its checks have a result of the new start, and it is published.
func TestARestartedUnassignedSessionStartsOver(t *testing.T) {
	v := poolView(staging.Image{ExecConfig: staging.ExecConfig{FirstLaunch: &staging.Hook{Cmd: []string{"x"}}}})
	e := runs(v, "gr-1")
	p := v.pools["p"]
	e.s.Permits, e.s.Revision, e.s.CreatedAt = p.target.permits, p.target.revision, noon
	passing := []staging.Health{{Session: "gr-1", AllocID: "a-gr-1", Passing: true}}
	v.setHealth(p, passing, noon)
	e.checkEvery, e.firstLaunched, e.s.State = 2*time.Second, true, staging.Ready
	step := func(at time.Time) Kind {
		t.Helper()
		v.wakeDue(at)
		for _, s := range Decide(v.poolInput(p, at), DefaultBounds, at).Steps {
			if s.Session == "gr-1" {
				return s.Kind
			}
		}
		return ""
	}
	if k := step(noon); k != "" {
		t.Fatalf("a healthy session gets %s", k)
	}
	restartedTask(v, e, 1, noon)
	if k := step(noon); k != Withdraw {
		t.Fatalf("a restarted session gets %q", k)
	}
	e.s.State = staging.Starting
	v.markDirty(e)
	if k := step(noon.Add(time.Second)); k != "" {
		t.Fatalf("its checks pass, perhaps since before the restart: %s", k)
	}
	fresh := noon.Add(2*time.Second + checkSlack)
	if k := step(fresh); k != FirstLaunch {
		t.Fatalf("its checks pass again: %q", k)
	}
	v.firstLaunchDone(e, result{}, fresh)
	v.markDirty(e)
	if k := step(fresh); k != Publish {
		t.Fatalf("its hook has run again: %q", k)
	}
	// What fails in the first moment of the new start may be the registration before it, and
	// what passes then the old program.
	e.s.State, e.s.Restarts, e.checkEvery = staging.Ready, 1, 10*time.Second
	restartedTask(v, e, 2, fresh)
	e.s.State = staging.Starting
	v.setHealth(p, nil, fresh)
	v.setHealth(p, passing, fresh)
	if k := step(fresh); k != "" {
		t.Errorf("its checks failed and pass again in the first moment: %q", k)
	}
	// A check that fails after it, and passes again, is of the new start.
	v.setHealth(p, nil, fresh)
	step(fresh.Add(checkSlack))
	v.setHealth(p, passing, fresh.Add(checkSlack))
	if k := step(fresh.Add(checkSlack)); k != FirstLaunch {
		t.Errorf("its checks failed and pass again: %q", k)
	}
}

// TestATakeoverLeavesAPreparedSessionAlone: the restarts that Nomad counts are those for which
// the session was last prepared.
func TestATakeoverLeavesAPreparedSessionAlone(t *testing.T) {
	v := poolView(staging.Image{})
	e := runs(v, "gr-1")
	e.allocIndex = 0 // a scaler that has just started observes it for the first time
	restartedTask(v, e, 3, noon)
	v.setHealth(v.pools["p"], []staging.Health{{Session: "gr-1", AllocID: "a-gr-1", Passing: true}}, noon)
	v.resyncStore([]staging.Session{{ID: "gr-1", State: staging.Ready, Origin: staging.Staged, Zone: "z", Image: "i", Staging: "p", Restarts: 3}}, noon)
	if m := v.memberOf(v.pools["p"], e, noon); m.Restarted || !m.Passing {
		t.Errorf("%+v", m)
	}
	v.resyncStore([]staging.Session{{ID: "gr-1", State: staging.Ready, Origin: staging.Staged, Zone: "z", Image: "i", Staging: "p", Restarts: 2}}, noon)
	if m := v.memberOf(v.pools["p"], e, noon); !m.Restarted {
		t.Error("a restart that no scaler saw is not noticed")
	}
}

func TestDecideSessionOfARestart(t *testing.T) {
	x := Unpooled{HasJob: true, State: staging.Assigned, Fate: staging.VerdictAssigned, Origin: staging.Staged, Tagged: true, TouchedAt: noon, Restarted: true}
	want := func(what string, kind Kind) {
		t.Helper()
		step, _ := DecideSession(x, noon)
		if step == nil && kind != "" || step != nil && step.Kind != kind {
			t.Errorf("%s: %+v, want %q", what, step, kind)
		}
	}
	want("restarting", NoteRestart)
	x.RestartNoted = true
	want("noted, and it does not run yet", "")
	x.Running = true
	want("its checks do not pass yet", "")
	x.Passing = true
	want("its checks pass", Reassign)
	x.EndsAt = noon
	want("its time is over", ExpireLimit)
	x.EndsAt, x.State = time.Time{}, staging.Claimed
	x.HookPending, x.Lease = true, noon.Add(time.Minute)
	want("its launch is under way", "")
}

// TestARestartedUsersSessionIsDecidedWhenItsChecksAreFresh, although nothing else happens and
// other steps for it were decided meanwhile.
func TestARestartedUsersSessionIsDecidedWhenItsChecksAreFresh(t *testing.T) {
	v := poolView(staging.Image{})
	e := runs(v, "gr-1")
	v.setHealth(v.pools["p"], []staging.Health{{Session: "gr-1", AllocID: "a-gr-1", Passing: true}}, noon)
	e.checkEvery, e.s.State, e.tagged = 2*time.Second, staging.Assigned, true
	v.updateMembership(e)
	restartedTask(v, e, 1, noon)
	e.restartNoted = true
	s := &Scaler{}
	fresh := noon.Add(2*time.Second + checkSlack)
	v.retryAt(e, noon.Add(time.Second))
	for _, at := range []time.Time{noon, noon.Add(time.Second), fresh} {
		v.wakeDue(at)
		tasks := s.decideSession(v, e, at)
		if at != fresh && len(tasks) != 0 || at == fresh && (len(tasks) != 1 || tasks[0].step.Kind != Reassign) {
			t.Errorf("%s after the restart: %+v", at.Sub(noon), tasks)
		}
	}
}

// TestWhatIsHealthyAgainWaitsForNewsOfARestart: its checks failed and pass again, and Nomad has
// told of no restart. It is published as it was once that news would have come; with the news
// its first_launch hook runs first.
func TestWhatIsHealthyAgainWaitsForNewsOfARestart(t *testing.T) {
	for _, restarts := range []int{0, 1} {
		v := poolView(staging.Image{ExecConfig: staging.ExecConfig{FirstLaunch: &staging.Hook{Cmd: []string{"x"}}}})
		e := runs(v, "gr-1")
		p := v.pools["p"]
		e.s.Permits, e.s.Revision, e.s.CreatedAt = p.target.permits, p.target.revision, noon
		passing := []staging.Health{{Session: "gr-1", AllocID: "a-gr-1", Passing: true}}
		v.setHealth(p, passing, noon)
		e.checkEvery, e.firstLaunched, e.s.State = 2*time.Second, true, staging.Ready
		v.setHealth(p, nil, noon)
		v.setHealth(p, passing, noon)
		e.s.State = staging.Starting
		v.markDirty(e)
		plan := Decide(v.poolInput(p, noon), DefaultBounds, noon)
		if len(plan.Steps) != 0 || !plan.Wake.Equal(noon.Add(restartToldWithin)) {
			t.Fatalf("at once: %+v, decided again at %s", plan.Steps, plan.Wake)
		}
		want, at := Publish, noon.Add(restartToldWithin)
		if restarts > 0 {
			restartedTask(v, e, restarts, noon)
			want, at = FirstLaunch, noon.Add(2*time.Second+checkSlack)
			v.wakeDue(at)
		}
		if steps := Decide(v.poolInput(p, at), DefaultBounds, at).Steps; len(steps) != 1 || steps[0].Kind != want {
			t.Errorf("restarted %d times: %+v, want %s", restarts, steps, want)
		}
	}
}
