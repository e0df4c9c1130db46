package e2e

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// TestADisabledImageDrainsItsPool: unassigned sessions end, the assigned one stays.
func TestADisabledImageDrainsItsPool(t *testing.T) {
	d := sharedDev(t)
	image := quickImage("switched")
	d.stage(t, image, 2)
	d.untilReady(t, "switched", 2)
	var kept launched
	d.ask(t, "POST", "/v1/sessions", launch("switched", "east", "mia"), 201, &kept)
	off := false
	image.Enabled = &off
	d.ask(t, "PUT", "/v1/images/switched", image, 200, nil)
	d.untilCondition(t, "switched", staging.ImageDisabled, "switched")
	drained(t, d, "switched", kept)
	var p struct{ Code string }
	d.ask(t, "POST", "/v1/sessions", launch("switched", "east", "mia"), 409, &p)
	if p.Code != "image_disabled" {
		t.Errorf("%+v", p)
	}
	image.Enabled = nil
	d.ask(t, "PUT", "/v1/images/switched", image, 200, nil)
	d.untilReady(t, "switched", 2)
}

// TestADeletedConfigDrainsItsPool likewise.
func TestADeletedConfigDrainsItsPool(t *testing.T) {
	d := sharedDev(t)
	d.store(t, quickImage("deleted"))
	d.ask(t, "PUT", "/v1/staging/deleted", staging.Config{Zone: "east", Image: "deleted", DesiredSessions: 2}, 201, nil)
	d.untilReady(t, "deleted", 2)
	var kept launched
	d.ask(t, "POST", "/v1/sessions", launch("deleted", "east", "noa"), 201, &kept)
	d.ask(t, "DELETE", "/v1/staging/deleted", nil, 204, nil)
	drained(t, d, "deleted", kept)
}

// drained waits until Nomad runs nothing of an image but the assigned session.
func drained(t *testing.T, d *devProcess, image string, kept launched) {
	t.Helper()
	until(t, "only the assigned session is left", func() (bool, string) {
		jobs := d.jobs(t, image)
		return len(jobs) == 1 && jobs[0].id == kept.ID, fmt.Sprint(jobs)
	})
	if got := record(t, kept); len(got) != 1 {
		t.Errorf("the assigned session's own record: %+v", got)
	}
}

// TestAScheduleThatAppliesWinsOverTheBase; of several, the highest counts.
func TestAScheduleThatAppliesWinsOverTheBase(t *testing.T) {
	d := sharedDev(t)
	always := func(n int) staging.Schedule {
		return staging.Schedule{Cron: "* * * * *", TimeZone: "Europe/Berlin", Duration: staging.Duration(2 * time.Minute), DesiredSessions: n}
	}
	c := d.stage(t, quickImage("scheduled"), 1, func(c *staging.Config) { c.Schedule = []staging.Schedule{always(2), always(3)} })
	d.untilReady(t, "scheduled", 3)
	c.Schedule = nil
	d.ask(t, "PUT", "/v1/staging/scheduled", c, 200, nil)
	until(t, "one is left of the base", func() (bool, string) {
		jobs := d.jobs(t, "scheduled")
		return len(jobs) == 1, fmt.Sprint(jobs)
	})
}

// TestAnUnhealthySessionLeavesTheQueueAtOnceAndIsReplaced after its grace time; a session that
// recovers in time is kept.
func TestAnUnhealthySessionLeavesTheQueueAtOnceAndIsReplaced(t *testing.T) {
	d := sharedDev(t)
	d.stage(t, quickImage("ailing"), 2)
	d.untilReady(t, "ailing", 2)
	both := d.passing(t, "ailing")
	comesBack, stays := both[0], both[1]
	ready := func(n int) {
		t.Helper()
		until(t, fmt.Sprintf("%d ready", n), func() (bool, string) {
			var s poolStatus
			d.ask(t, "GET", "/v1/staging/ailing", nil, 200, &s)
			return s.Ready == n, fmt.Sprintf("%+v", s)
		})
	}
	d.inside(t, comesBack, `touch "$NOMAD_TASK_DIR/unhealthy"`)
	ready(1)
	d.inside(t, comesBack, `rm "$NOMAD_TASK_DIR/unhealthy"`)
	ready(2)
	if now := d.passing(t, "ailing"); !slices.Equal(now, both) {
		t.Errorf("passing %v, were %v", now, both)
	}
	d.inside(t, stays, `touch "$NOMAD_TASK_DIR/unhealthy"`)
	ready(1)
	until(t, "it is replaced", func() (bool, string) {
		passing := d.passing(t, "ailing")
		jobs := d.jobs(t, "ailing")
		return len(passing) == 2 && !slices.ContainsFunc(jobs, func(j job) bool { return j.id == stays }), fmt.Sprint(passing, jobs)
	})
	if reason := d.untilEnded(t, stays); reason == "" {
		t.Error("it does not say why it was retired")
	}
}

// TestConditionsSayWhatIsWrong causes each condition, and reads its message.
func TestConditionsSayWhatIsWrong(t *testing.T) {
	d := sharedDev(t)
	t.Run("memory too large for every node", func(t *testing.T) {
		image := quickImage("too-large")
		image.Variables["memory"] = "99999999"
		d.stage(t, image, 2)
		d.untilCondition(t, "too-large", staging.CapacityExhausted, "not enough memory in zone east (1 of 1 node)")
	})
	t.Run("a datacenter with no node", func(t *testing.T) {
		d.zone(t, "empty", "dc9")
		d.stage(t, quickImage("nowhere"), 1, func(c *staging.Config) { c.Zone = "empty" })
		d.untilCondition(t, "nowhere", staging.NoNodesInZone, "no node in datacenter dc9 in zone empty")
	})
	t.Run("a missing image", func(t *testing.T) {
		image := d.dockerImage(t, "missing")
		// A Docker registry on this machine that does not answer.
		image.Variables["image"] = "127.0.0.1:1/none:1"
		d.stage(t, image, 1)
		d.untilCondition(t, "missing", staging.ImageUnavailable, "127.0.0.1:1/none")
	})
	t.Run("a program that exits at once", func(t *testing.T) {
		image := quickImage("exits")
		image.Variables["command"] = "/bin/false"
		d.stage(t, image, 1)
		d.untilCondition(t, "exits", staging.CrashLooping, "exit code 1")
	})
	t.Run("a program that is not there", func(t *testing.T) {
		image := quickImage("absent")
		image.Variables["command"] = filepath.Join(bin, "no-such-program")
		d.stage(t, image, 1)
		d.untilCondition(t, "absent", staging.ImageUnavailable, "no-such-program")
	})
	// Other tests cause ImageDisabled, ZoneNotStageable, ImageNotStageable and HookFailing.
	t.Run("an image that may not run in the zone any more", func(t *testing.T) {
		image := quickImage("moved")
		d.stage(t, image, 1)
		d.untilReady(t, "moved", 1)
		image.RestrictToZones = []string{"west"}
		d.ask(t, "PUT", "/v1/images/moved", image, 200, nil)
		d.untilCondition(t, "moved", staging.ImageRestricted, "west")
		until(t, "its pool is drained", func() (bool, string) {
			jobs := d.jobs(t, "moved")
			return len(jobs) == 0, fmt.Sprint(jobs)
		})
	})
}
