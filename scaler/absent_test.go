package scaler

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/internal/staging"
)

func TestAListThatLacksManySessionsIsImplausible(t *testing.T) {
	for _, c := range []struct {
		known, absent int
		want          bool
	}{
		{0, 0, false}, {1, 1, false}, {5, 5, false}, {6, 6, true}, {1000, 6, false}, {1000, 100, false}, {1000, 101, true},
	} {
		if got := implausible(c.known, c.absent); got != c.want {
			t.Errorf("%d of %d: %t", c.absent, c.known, got)
		}
	}
}

// hidingFleet is a Nomad that lists nothing and answers about each job.
type hidingFleet struct {
	Fleet
	answer func(staging.Session) (bool, error)
	reads  int
}

func (f *hidingFleet) Exists(_ context.Context, s staging.Session) (bool, error) {
	f.reads++
	return f.answer(s)
}

// absentView is a view of so many users' sessions in a zone whose lock this scaler holds.
func absentView(n int) *view {
	v := poolView(staging.Image{})
	v.heldSince["z"], v.acting["z"] = noon, true
	for i := range n {
		e := runs(v, fmt.Sprintf("gr-%d", i))
		e.s.State, e.s.CreatedAt, e.verdict = staging.Assigned, noon.Add(-time.Hour), staging.VerdictAssigned
		v.updateMembership(e)
	}
	return v
}

// confirmAndResync runs confirm on a reading that lists nothing, and takes the reading over.
func confirmAndResync(t *testing.T, v *view, f Fleet) (knownMeanwhile bool, err error) {
	t.Helper()
	s := New(Parts{Fleet: f, Log: logrus.NewEntry(logrus.New())}, Options{})
	s.Log.Logger.SetOutput(t.Output())
	r := fleetReading{began: noon.Add(time.Minute)}
	done := make(chan error, 1)
	go func() { done <- s.confirm(t.Context(), &r) }()
	(<-s.updates)(v)
	knownMeanwhile = v.fleetKnown
	if err = <-done; err != nil {
		(<-s.updates)(v)
		return knownMeanwhile, err
	}
	v.resyncFleet(r, noon.Add(time.Minute))
	return knownMeanwhile, nil
}

// TestASessionIsGoneOnlyWhenNomadSaysSoOfItsJob: whatever else Nomad answers, the user's
// session is left alone.
func TestASessionIsGoneOnlyWhenNomadSaysSoOfItsJob(t *testing.T) {
	denied := fmt.Errorf("403: %w", staging.ErrJobDenied)
	for name, c := range map[string]struct {
		exists bool
		err    error
		want   Kind
		denied int
	}{
		"it does not exist": {false, nil, End, 0},
		"it exists":         {true, nil, "", 0},
		"no permission":     {false, denied, "", 2},
		"no answer":         {false, errors.New("500"), "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			v := absentView(2)
			known, err := confirmAndResync(t, v, &hidingFleet{answer: func(staging.Session) (bool, error) { return c.exists, c.err }})
			if err != nil || !v.fleetKnown || known {
				t.Fatalf("%v, known %t", err, v.fleetKnown)
			}
			(&Scaler{Parts: Parts{Meter: quiet{}, Log: logrus.NewEntry(logrus.New())}}).countDenied(v)
			for id, e := range v.sessions {
				step, _ := DecideSession(v.unpooledOf(e), noon.Add(time.Hour))
				if got := kindOf(step); got != c.want && (c.want != "" || got != "") {
					t.Errorf("%s: %q, want %q", id, got, c.want)
				}
			}
			in := v.poolInput(v.pools["p"], noon)
			if v.denied["z"] != c.denied || (in.Denied != nil) != (c.denied > 0) {
				t.Errorf("%d denied, %v; want %d", v.denied["z"], in.Denied, c.denied)
			}
		})
	}
}

func kindOf(s *Step) Kind {
	if s == nil {
		return ""
	}
	return s.Kind
}

// TestAnImplausibleListIsNoObservationUntilItIsConfirmed.
func TestAnImplausibleListIsNoObservationUntilItIsConfirmed(t *testing.T) {
	v := absentView(20)
	v.fleetKnown = true
	f := &hidingFleet{answer: func(s staging.Session) (bool, error) { return s.ID == "gr-7", nil }}
	known, err := confirmAndResync(t, v, f)
	if err != nil || known || !v.fleetKnown || f.reads != 20 {
		t.Fatalf("%v; known meanwhile %t, afterwards %t; %d reads", err, known, v.fleetKnown, f.reads)
	}
	for id, e := range v.sessions {
		if e.missing != (id != "gr-7") {
			t.Errorf("%s: missing %t", id, e.missing)
		}
	}
}

// TestADeniedNamespaceIsReadOnce, not once for each of its sessions.
func TestADeniedNamespaceIsReadOnce(t *testing.T) {
	v := absentView(50)
	f := &hidingFleet{answer: func(staging.Session) (bool, error) { return false, staging.ErrJobDenied }}
	if _, err := confirmAndResync(t, v, f); err != nil || f.reads != 1 {
		t.Errorf("%v after %d reads", err, f.reads)
	}
}

// TestAStandbyLooksNothingUp, and takes no session for gone.
func TestAStandbyLooksNothingUp(t *testing.T) {
	v := absentView(3)
	clear(v.heldSince)
	f := &hidingFleet{answer: func(staging.Session) (bool, error) { return false, nil }}
	if _, err := confirmAndResync(t, v, f); err != nil || f.reads != 0 {
		t.Errorf("%v after %d reads", err, f.reads)
	}
	for id, e := range v.sessions {
		if e.missing || !e.unlisted {
			t.Errorf("%s: %+v", id, e)
		}
	}
}

// TestTheJobOfABareFateIsLookedUpWhereverAZoneMayHaveIt: in a wrong namespace Nomad would
// answer that it does not exist.
func TestTheJobOfABareFateIsLookedUpWhereverAZoneMayHaveIt(t *testing.T) {
	v := absentView(0)
	z := v.resources.Zones["z"]
	z.Region, z.Namespace = "global", "desks"
	v.resources.Zones["z"] = z
	v.entry("gr-9", noon).s.Zone = "z"
	f := &hidingFleet{answer: func(s staging.Session) (bool, error) { return s.Namespace == "desks" && s.Region == "global", nil }}
	if _, err := confirmAndResync(t, v, f); err != nil || f.reads != 2 || v.sessions["gr-9"].missing {
		t.Errorf("%v after %d reads: %+v", err, f.reads, v.sessions["gr-9"])
	}
}

// TestAFatesOwnNamespaceIsWhereItsJobIs, also when no zone names it any more.
func TestAFatesOwnNamespaceIsWhereItsJobIs(t *testing.T) {
	v := absentView(0)
	e := v.entry("gr-9", noon)
	e.setFate(staging.Fate{Session: "gr-9", Verdict: staging.VerdictAssigned, Namespace: "gone"}, noon)
	f := &hidingFleet{answer: func(s staging.Session) (bool, error) { return s.Namespace == "gone", nil }}
	if _, err := confirmAndResync(t, v, f); err != nil || v.sessions["gr-9"].missing {
		t.Errorf("%v: %+v", err, v.sessions["gr-9"])
	}
}

// TestMembersThatNomadHidesCountAndStay: neither are they replaced nor retired.
func TestMembersThatNomadHidesCountAndStay(t *testing.T) {
	v := absentView(0)
	e := runs(v, "gr-1")
	v.resyncFleet(fleetReading{began: noon.Add(time.Minute)}, noon.Add(time.Minute))
	in := v.poolInput(v.pools["p"], noon.Add(time.Hour))
	in.HealthKnown = true
	if plan := Decide(in, DefaultBounds, noon.Add(time.Hour)); len(in.Members) != 1 || len(plan.Steps) != 0 {
		t.Errorf("%+v: %+v", in.Members, plan.Steps)
	}
	e.s.State, e.hasJob = staging.Ready, false
	if !v.inconsistentZones()["z"] {
		t.Error("Redis is trusted about a ready session that Nomad does not confirm")
	}
}
