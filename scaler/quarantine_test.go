package scaler

import (
	"testing"

	"github.com/greenroom/greenroom/internal/staging"
)

// TestWhatIsQuarantined: what may be a user's and has no readable record, and nothing else.
func TestWhatIsQuarantined(t *testing.T) {
	restored := staging.Generation{Current: 9, RestoredThrough: 8}
	for what, c := range map[string]struct {
		generation staging.Generation
		e          entry
		want       bool
	}{
		"Redis lost it": {staging.Generation{Current: 9}, entry{s: staging.Session{Generation: 3}}, false},
		"it is from before there were generations": {staging.Generation{}, entry{}, false},
		"the same after a restore of Consul":       {restored, entry{}, true},
		"Redis lost it after a restore":            {restored, entry{s: staging.Session{Generation: 8}}, true},
		"it was staged after the restore":          {restored, entry{s: staging.Session{Generation: 9}}, false},
		"Redis has it as ready":                    {restored, entry{s: staging.Session{Generation: 8, State: staging.Ready}}, false},
		"its fate record assigns it":               {restored, entry{s: staging.Session{Generation: 8}, verdict: staging.VerdictAssigned}, false},
		"its fate record cannot be read":           {staging.Generation{}, entry{s: staging.Session{State: staging.Ready}, verdict: staging.VerdictUnreadable, record: &staging.Fate{Reason: "why"}}, true},
		"an administrator ended it":                {staging.Generation{}, entry{s: staging.Session{State: staging.Ending}, verdict: staging.VerdictUnreadable, record: &staging.Fate{Reason: "why"}}, false},
		"on demand, no record":                     {staging.Generation{}, entry{s: staging.Session{Origin: staging.OnDemand}}, true},
		"damaged while it was ready":               {staging.Generation{}, entry{damaged: staging.Ready, damage: "why"}, false},
		"damaged while it was a user's":            {staging.Generation{}, entry{damaged: staging.Assigned, damage: "why"}, true},
		"damaged, and its fate assigns it":         {staging.Generation{}, entry{damaged: staging.Assigned, damage: "why", verdict: staging.VerdictAssigned}, false},
	} {
		v := poolView(staging.Image{})
		v.generation = c.generation
		e := c.e
		e.hasJob, e.jobIndex = true, 1
		v.noteQuarantine(&e)
		if why := e.quarantine(); (why != "") != c.want {
			t.Errorf("%s: %q", what, why)
		}
	}
}

// TestASessionThatIsBeingStagedIsNotQuarantined: it has no generation yet, and a pool whose
// new sessions do not count would stage without end.
func TestASessionThatIsBeingStagedIsNotQuarantined(t *testing.T) {
	v := poolView(staging.Image{})
	v.generation = staging.Generation{Current: 9, RestoredThrough: 8}
	e := entry{s: staging.Session{Origin: staging.Staged}, hasJob: true}
	if v.noteQuarantine(&e); e.quarantine() != "" {
		t.Errorf("while it is being registered: %q", e.quarantine())
	}
	e.jobIndex, e.s.Generation = 5, 9
	if v.noteQuarantine(&e); e.quarantine() != "" {
		t.Errorf("once Nomad has it: %q", e.quarantine())
	}
}

// TestARestoreOfConsulIsNoticed by a scaler that stages at once, before the numbers are as
// high as they were.
func TestARestoreOfConsulIsNoticed(t *testing.T) {
	var g generations
	g.observe(staging.Observation{Job: &staging.JobFacts{Session: staging.Session{Generation: 7}}})
	g.observe(staging.Observation{Job: &staging.JobFacts{Session: staging.Session{Generation: 70}, TakenOver: true}})
	if g.known.Load() != 7 {
		t.Errorf("the newest known is %d", g.known.Load())
	}
	for pass, want := range map[uint64]bool{4: true, 7: false, 8: false} {
		if (staging.Generation{Current: pass}).Shows(g.known.Load()) != want {
			t.Errorf("Consul at %d: want noticed %v", pass, want)
		}
	}
}
