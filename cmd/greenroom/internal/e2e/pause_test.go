package e2e

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/clitest"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/internal/staging"
)

// jobIDs are the ids of an image's jobs, sorted.
func (d *devProcess) jobIDs(t *testing.T, image string) []string {
	t.Helper()
	var ids []string
	for _, j := range d.jobs(t, image) {
		ids = append(ids, j.id)
	}
	slices.Sort(ids)
	return ids
}

// witness waits until a scaler has filled a pool of its own: whatever the scaler would have done
// elsewhere before, it has done.
func (d *devProcess) witness(t *testing.T, name string) {
	t.Helper()
	d.stage(t, quickImage(name), 1)
	d.untilReady(t, name, 1)
}

// TestAPauseHoldsUntilItIsResumed: nothing of a paused pool is made or retired, whatever is edited
// and applied, and whoever is restarted; launches go on. It shows wherever one looks. Resumed, the
// pool becomes what its config says.
func TestAPauseHoldsUntilItIsResumed(t *testing.T) {
	cluster, d := startServers(t, []string{"dc1"})
	scaler := startAgent(t, cluster, "scaler")
	t.Setenv("GREENROOM_ADDR", d.Broker)
	t.Setenv("GREENROOM_TOKEN", "")
	c := clitest.Real(t)
	image := quickImage("held")
	// The servers are this test's own: what is stored goes with them.
	config := staging.Config{Name: "held", Zone: "east", Image: "held", DesiredSessions: 2}
	d.ask(t, "PUT", "/v1/images/held", image, 201, nil)
	d.ask(t, "PUT", "/v1/staging/held", config, 201, nil)
	d.untilReady(t, "held", 2)
	before := d.jobIDs(t, "held")

	c.Want(exit.OK, []string{"pause", "held", "--reason", "works on the rack"}, "staging config held: paused")
	d.untilCondition(t, "held", staging.Paused, "staging config held paused by anybody: works on the rack")
	c.Want(exit.OK, []string{"staging", "show", "held"}, "Paused", "works on the rack")
	c.Want(exit.OK, []string{"staging"}, "Paused")
	c.Want(exit.Unwell, []string{"status"}, "Paused", "works on the rack")
	c.Want(exit.OK, []string{"why", "held"}, "Paused", "next: resume it")
	c.Want(exit.OK, []string{"pause", "--list"}, "staging config held", "anybody", "works on the rack")
	c.Want(exit.OK, []string{"events", "--type", "paused", "--tail", "10"}, "works on the rack")
	if metrics := get(t, "http://"+scaler.Address+"/metrics"); !regexp.MustCompile(`greenroom_\w+\{[^}]*condition="Paused"[^}]*\} 1`).MatchString(metrics) {
		t.Errorf("no metric says that the pool is paused:\n%s", lineWith(metrics, "Paused"))
	}

	// A new revision, more sessions, an apply of a file, a scaler that starts anew.
	image.Variables["version"] = "2"
	d.ask(t, "PUT", "/v1/images/held", image, 200, nil)
	config.DesiredSessions = 3
	d.ask(t, "PUT", "/v1/staging/held", config, 200, nil)
	file := clitest.Dir(t, map[string]string{"held.hcl": `
staging "held" {
  zone             = "east"
  image            = "held"
  desired_sessions = 4
}
`})
	c.Want(exit.OK, []string{"apply", "-f", file}, `staging "held" updated`)
	scaler.End(t, syscall.SIGKILL)
	startAgent(t, cluster, "scaler")
	d.witness(t, "seen")
	if now := d.jobIDs(t, "held"); !slices.Equal(now, before) {
		t.Fatalf("the jobs of a paused pool were %v and are %v", before, now)
	}
	var l launched
	d.ask(t, "POST", "/v1/sessions", launch("held", "east", "alice"), 201, &l)
	if l.Origin != "staged" || !slices.Contains(before, l.ID) {
		t.Errorf("a launch got %+v", l)
	}
	d.witness(t, "seen-again")
	if now := d.jobIDs(t, "held"); !slices.Equal(now, before) {
		t.Fatalf("after a launch the jobs of a paused pool were %v and are %v", before, now)
	}

	// Another pause covers it, too: it ends on its own.
	c.Want(exit.OK, []string{"pause", "east"}, "zone east: paused")
	c.Want(exit.OK, []string{"resume", "held"}, "staging config held: resumed")
	d.untilCondition(t, "held", staging.Paused, "zone east paused by anybody")
	c.Want(exit.OK, []string{"resume", "east"}, "zone east: resumed")
	d.untilReady(t, "held", 4)
	until(t, "the old revision is replaced", func() (bool, string) {
		now := d.jobIDs(t, "held")
		return !slices.ContainsFunc(now, func(id string) bool { return id != l.ID && slices.Contains(before, id) }), fmt.Sprint(now)
	})
	c.Want(exit.NotFound, []string{"resume", "held"}, "is not paused")
	var pauses struct{ Items []staging.Pause }
	if d.ask(t, "GET", "/v1/pauses", nil, 200, &pauses); len(pauses.Items) != 0 {
		t.Errorf("still paused: %+v", pauses.Items)
	}
}

// lineWith returns the lines of a text that have a word.
func lineWith(text, word string) string {
	var found []string
	for line := range strings.Lines(text) {
		if strings.Contains(line, word) {
			found = append(found, line)
		}
	}
	return strings.Join(found, "")
}

// TestARecycledPoolIsReplacedWithoutAnEdit: each session goes once its replacement is ready, and
// what is younger than --older-than stays.
func TestARecycledPoolIsReplacedWithoutAnEdit(t *testing.T) {
	d := sharedDev(t)
	t.Setenv("GREENROOM_ADDR", d.Broker)
	t.Setenv("GREENROOM_TOKEN", "")
	c := clitest.Real(t)
	d.stage(t, quickImage("cycle"), 3)
	d.untilReady(t, "cycle", 3)
	before := d.jobIDs(t, "cycle")
	c.Want(exit.OK, []string{"staging", "recycle", "cycle", "--older-than", "1h"}, "are being replaced")
	d.witness(t, "cycle-witness")
	if now := d.jobIDs(t, "cycle"); !slices.Equal(now, before) {
		t.Fatalf("younger sessions were replaced: %v, then %v", before, now)
	}
	c.Want(exit.OK, []string{"staging", "recycle", "cycle"}, "the sessions of cycle that were made before")
	fewest := 3
	until(t, "all are replaced", func() (bool, string) {
		s, _ := d.statusOf(t, "cycle")
		fewest = min(fewest, s.Ready)
		now := d.jobIDs(t, "cycle")
		return s.Ready == 3 && len(now) == 3 && !slices.ContainsFunc(now, func(id string) bool { return slices.Contains(before, id) }), fmt.Sprint(s, now)
	})
	if fewest < 3 {
		t.Errorf("meanwhile only %d were ready", fewest)
	}
	c.Want(exit.OK, []string{"staging", "show", "cycle"}, "recycled", "by anybody")
	c.Want(exit.OK, []string{"events", "--type", "recycled", "--tail", "20"}, "cycle")
	c.Want(exit.OK, []string{"events", "--type", "audit", "--tail", "200"}, "replacing a pool's sessions")
}
