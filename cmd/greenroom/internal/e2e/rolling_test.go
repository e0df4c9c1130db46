package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// trace has the states of a pool during a roll.
type trace struct {
	at                time.Duration
	ready, old, fresh int
}

// TestANewRevisionRollsOverAPoolWhileUsersLaunch: no launch fails, no session mixes revisions,
// and ready never falls below three quarters of desired while one user after the other
// launches.
func TestANewRevisionRollsOverAPoolWhileUsersLaunch(t *testing.T) {
	const desired, floor = 8, 6
	d := sharedDev(t)
	revision := func(version string) staging.Image {
		i := quickImage("rolling")
		i.Variables["version"], i.Variables["record"], i.Variables["warmup"] = version, "HOOK_VERSION", "1s"
		// The hook is part of the revision, too.
		i.ExecConfig.Assign.Environment = map[string]string{"HOOK_VERSION": version}
		return i
	}
	d.stage(t, revision("1"), desired)
	d.untilReady(t, "rolling", desired)
	first := d.session(t, d.passing(t, "rolling")[0]).Revision

	var served []launched
	serve := func() {
		var l launched
		d.ask(t, "POST", "/v1/sessions", launch("rolling", "east", fmt.Sprintf("caller-%d", len(served))), 201, &l)
		if l.Origin != "staged" {
			t.Errorf("a launch during the roll was served %s", l.Origin)
		}
		served = append(served, l)
	}
	serve()
	serve()
	d.untilReady(t, "rolling", desired)

	began := time.Now()
	d.ask(t, "PUT", "/v1/images/rolling", revision("2"), 200, nil)
	atFirst := len(served)
	var seen []trace
	until(t, "every unassigned session is of the new revision", func() (bool, string) {
		var s poolStatus
		d.ask(t, "GET", "/v1/staging/rolling", nil, 200, &s)
		now := trace{at: time.Since(began).Round(10 * time.Millisecond), ready: s.Ready}
		var list struct{ Items []launched }
		d.ask(t, "GET", "/v1/sessions?limit=1000&staging=rolling", nil, 200, &list)
		for _, x := range list.Items {
			switch {
			case x.Staging != "rolling" || x.State == "assigned" || x.State == "claimed" || x.State == "retiring" || x.State == "ending":
			case x.Revision == first:
				now.old++
			default:
				now.fresh++
			}
		}
		changed := len(seen) == 0
		if !changed {
			last := seen[len(seen)-1]
			changed = last.ready != now.ready || last.old != now.old || last.fresh != now.fresh
		}
		if changed {
			seen = append(seen, now)
		}
		if now.old == 0 && now.ready == desired {
			return true, ""
		}
		// A user launches whenever the pool is full. So at most one of the sessions that
		// are missing was given to a user, however long its replacement takes, and the
		// roll itself accounts for the others.
		if now.ready >= desired {
			serve()
		}
		return false, fmt.Sprintf("%+v", now)
	})
	took := time.Since(began)
	during := len(served) - atFirst
	serve()

	lowest := desired
	for _, x := range seen {
		fmt.Printf("  roll %8s: ready %2d, unassigned of the old revision %2d, of the new %2d\n", x.at, x.ready, x.old, x.fresh)
		lowest = min(lowest, x.ready)
	}
	measured("a revision rolled over a pool of %d in %.1f s, %d launches meanwhile, none failed; ready never under %d\n",
		desired, took.Seconds(), during, lowest)
	if lowest < floor {
		t.Errorf("ready fell to %d, %d is the floor", lowest, floor)
	}
	versions := map[string]string{}
	for _, l := range served {
		version := strings.TrimSpace(get(t, l.page()+"/version"))
		if known, ok := versions[l.Revision]; ok && known != version {
			t.Errorf("revision %s runs version %s and %s", l.Revision, known, version)
		}
		versions[l.Revision] = version
		if got := record(t, l); len(got) != 1 || got[0].Environment["HOOK_VERSION"] != version {
			t.Errorf("session %s of version %s was assigned by a hook of another: %+v", l.ID, version, got)
		}
	}
	if during == 0 || len(versions) != 2 {
		t.Errorf("%d launches during the roll, versions served: %v", during, versions)
	}
}

// TestABrokenRevisionNeverTakesTheOldOneDown.
func TestABrokenRevisionNeverTakesTheOldOneDown(t *testing.T) {
	d := sharedDev(t)
	image := quickImage("broken-roll")
	d.stage(t, image, 4)
	d.untilReady(t, "broken-roll", 4)
	before := d.passing(t, "broken-roll")
	image.Variables["command"] = "/bin/false"
	d.ask(t, "PUT", "/v1/images/broken-roll", image, 200, nil)
	d.untilCondition(t, "broken-roll", staging.CrashLooping, "exit code 1")
	if now := d.passing(t, "broken-roll"); !slices.Equal(now, before) {
		t.Errorf("ready were %v, are %v", before, now)
	}
	var l launched
	d.ask(t, "POST", "/v1/sessions", launch("broken-roll", "east", "lea"), 201, &l)
	if !slices.Contains(before, l.ID) {
		t.Errorf("served %s, which is not one of the old revision", l.ID)
	}
}
