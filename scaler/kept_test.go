package scaler

import (
	"fmt"
	"slices"
	"testing"

	"github.com/greenroom/greenroom/internal/staging"
)

// TestAPoolKeepsTheSessionsThatFailedLast, as many as its config says, and purges the others: what
// expired, what Nomad has removed, and all of them when it keeps fewer or is deleted.
func TestAPoolKeepsTheSessionsThatFailedLast(t *testing.T) {
	v := poolView(staging.Image{})
	keep := func(n int) {
		r := v.resources
		c := r.Configs["p"]
		c.KeepFailed = n
		r.Configs = map[string]staging.Config{"p": c}
		v.setResources(r)
	}
	keep(2)
	ended := func(id, reason string, verdict staging.Verdict) *entry {
		e := runs(v, id)
		e.s.State, e.endedNoticedAt, e.stopped, e.dead = staging.Ended, noon, true, true
		e.setFate(staging.Fate{Session: id, Verdict: verdict, Reason: reason}, noon)
		v.updateMembership(e)
		return e
	}
	for n := range 4 {
		ended(fmt.Sprint("gr-", n), staging.ReasonFailed+"exit code 3", staging.VerdictRetired)
	}
	ended("gr-8", "expired after 1h", staging.VerdictRetired)
	ended("gr-9", staging.ReasonFailed+"its hook", staging.VerdictAssigned)
	purged := func() (ids []string) {
		for id, e := range v.sessions {
			if step, _ := DecideSession(v.unpooledOf(e), noon.Add(2*purgeDelay)); step != nil && step.Kind == Purge {
				ids = append(ids, id)
			}
		}
		slices.Sort(ids)
		return ids
	}
	check := func(when string, kept []string, gone ...string) {
		t.Helper()
		if got := v.pools["p"].keptFailed(); !slices.Equal(got, kept) {
			t.Errorf("%s: kept %v, want %v", when, got, kept)
		}
		if got := purged(); !slices.Equal(got, gone) {
			t.Errorf("%s: purged %v, want %v", when, got, gone)
		}
	}
	check("two", []string{"gr-2", "gr-3"}, "gr-0", "gr-1", "gr-8", "gr-9")
	if in := v.poolInput(v.pools["p"], noon); len(in.Members) != 0 || in.Unrecorded != 0 {
		t.Errorf("they count: %d members", len(in.Members))
	}
	e := v.sessions["gr-3"]
	e.missing, e.hasJob = true, false // Nomad removed it
	v.updateMembership(e)
	check("one was removed", []string{"gr-1", "gr-2"}, "gr-0", "gr-3", "gr-8", "gr-9")
	clear(v.dirtySessions)
	keep(1)
	if !v.dirtySessions["gr-1"] {
		t.Error("what is kept no more is not decided again")
	}
	check("one", []string{"gr-2"}, "gr-0", "gr-1", "gr-3", "gr-8", "gr-9")
	r := v.resources
	r.Configs = nil
	v.setResources(r)
	check("deleted", nil, "gr-0", "gr-1", "gr-2", "gr-3", "gr-8", "gr-9")
}
