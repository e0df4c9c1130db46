package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/clitest"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/internal/staging"
)

// crashingImage is an image whose program says why it fails, and fails until a file exists.
func crashingImage(t *testing.T, name string) (image staging.Image, mended string) {
	t.Helper()
	image = quickImage(name)
	image.Jobspec = strings.ReplaceAll(image.Jobspec, "disabled      = true", "disabled      = false")
	dir := t.TempDir()
	script, mended := filepath.Join(dir, name), filepath.Join(dir, "mended")
	must(t, os.WriteFile(script, fmt.Appendf(nil, `#!/bin/sh
[ -e %s ] && exec %s "$@"
echo "reading /etc/display" >&2
echo "no such display: :7" >&2
exit 3
`, mended, image.Variables["command"]), 0o755))
	image.Variables["command"] = script
	return image, mended
}

var inARow = regexp.MustCompile(`\((\d+) in a row\)`)

// untilInARow waits until a pool's sessions have failed a number of times in a row.
func (d *devProcess) untilInARow(t *testing.T, pool string, is func(n int) bool) {
	t.Helper()
	until(t, "its sessions fail", func() (bool, string) {
		s, away := d.statusOf(t, pool)
		for _, c := range s.Conditions {
			n := 0
			if found := inARow.FindStringSubmatch(c.Message); c.Type == staging.CrashLooping && found != nil {
				_, _ = fmt.Sscan(found[1], &n)
				return is(n), c.Message
			}
		}
		return false, fmt.Sprint(s, away)
	})
}

// TestAFailingPoolIsTriedAgainAtOnce by an order and by an edit of its config or its image: the
// count of its failures, which its wait grows with, begins anew.
func TestAFailingPoolIsTriedAgainAtOnce(t *testing.T) {
	d := sharedDev(t)
	t.Setenv("GREENROOM_ADDR", d.Broker)
	t.Setenv("GREENROOM_TOKEN", "")
	c := clitest.Real(t)
	image, mended := crashingImage(t, "fails")
	config := d.stage(t, image, 1)
	several := func(n int) bool { return n >= 3 }
	first := func(n int) bool { return n == 1 }
	for _, change := range []func(){
		func() { c.Want(exit.OK, []string{"staging", "retry", "fails"}, "pool fails is tried again now") },
		func() {
			config.MaxUnavailable = "50%"
			d.ask(t, "PUT", "/v1/staging/fails", config, 200, nil)
		},
		func() {
			image.Variables["version"] = "2"
			d.ask(t, "PUT", "/v1/images/fails", image, 200, nil)
		},
	} {
		d.untilInARow(t, "fails", several)
		change()
		d.untilInARow(t, "fails", first)
	}
	d.untilInARow(t, "fails", several)
	must(t, os.WriteFile(mended, nil, 0o644))
	c.Want(exit.OK, []string{"staging", "retry", "fails"})
	d.untilReady(t, "fails", 1)
	c.Want(exit.OK, []string{"events", "--type", "retried", "--tail", "20"}, "retried by anybody")
}

// stoppedJobs are the ids of an image's jobs that Nomad still has although they are stopped.
func (d *devProcess) stoppedJobs(t *testing.T, image string) (ids []string) {
	t.Helper()
	list, _, err := d.nomad(t).Jobs().ListOptions(&nomadapi.JobListOptions{Fields: &nomadapi.JobListFields{Meta: true}},
		&nomadapi.QueryOptions{Prefix: staging.SessionPrefix})
	must(t, err)
	for _, j := range list {
		if j.Meta["greenroom_image"] == image && j.Stop {
			ids = append(ids, j.ID)
		}
	}
	return ids
}

// TestWhyAPoolFailsCanBeReadAndLookedAt: the last lines of the standard error and the tasks' events
// are with the event, in the condition, in the API and in greenroom why; and the sessions that
// failed last stay in Nomad, stopped, as many as the config keeps, until it keeps fewer.
func TestWhyAPoolFailsCanBeReadAndLookedAt(t *testing.T) {
	d := sharedDev(t)
	t.Setenv("GREENROOM_ADDR", d.Broker)
	t.Setenv("GREENROOM_TOKEN", "")
	t.Setenv("NOMAD_ADDR", d.Nomad)
	c := clitest.Real(t)
	image, _ := crashingImage(t, "broken")
	config := d.stage(t, image, 1, func(c *staging.Config) { c.KeepFailed = 2 })
	var pool struct {
		poolStatus
		LastFailure staging.PoolFailure `json:"last_failure"`
		Kept        []string            `json:"kept_sessions"`
	}
	until(t, "two sessions that failed are kept", func() (bool, string) {
		d.ask(t, "GET", "/v1/staging/broken", nil, 200, &pool)
		return len(pool.Kept) == 2 && pool.LastFailure.Session != "", fmt.Sprintf("%+v", pool)
	})
	f := pool.LastFailure
	if !slices.Equal(f.Stderr, []string{"reading /etc/display", "no such display: :7"}) || f.Node == "" || f.Task != "session" || !strings.Contains(f.Reason, "exit code 3") ||
		!strings.Contains(strings.Join(f.TaskEvents, "\n"), "session: Terminated: Exit Code: 3") {
		t.Errorf("the last failure is %+v", f)
	}
	words := "reading /etc/display | no such display: :7"
	d.untilCondition(t, "broken", staging.CrashLooping, words)
	c.Want(exit.OK, []string{"why", "broken"}, "! CrashLooping", words, "next: mend the program", "last failure: session gr-",
		"the end of its standard error:\n    reading /etc/display\n    no such display: :7", "session: Terminated: Exit Code: 3", "kept in Nomad, stopped")
	c.Want(exit.OK, []string{"events", "--type", "failed", "--tail", "50", "-o", "json"}, `reading /etc/display\nno such display: :7`, "task_events", "Terminated")

	// What is kept is there to look at, is no session of the pool, and is stopped.
	kept := pool.Kept[0]
	job, _, err := d.nomad(t).Jobs().Info(kept, nil)
	if err != nil || job.Stop == nil || !*job.Stop {
		t.Fatalf("the job of %s: %+v, %v", kept, job, err)
	}
	c.Want(exit.OK, []string{"logs", kept, "--stderr"}, "no such display: :7")
	c.Want(exit.OK, []string{"why", kept}, "ended, of image broken", "exit code 3", "kept in Nomad")
	if row := rowOf(t, c.Want(exit.OK, []string{"sessions", "--state", "ended", "--staging", "broken"}), kept); row["KEPT"] != "kept" {
		t.Errorf("the list says %v", row)
	}
	if out := c.Want(exit.OK, []string{"sessions", "--staging", "broken", "-o", "name"}); strings.Contains(out, kept) {
		t.Errorf("it is listed with those that have not ended:\n%s", out)
	}
	// Others replace it, and it goes.
	until(t, kept+" is purged for newer ones", func() (bool, string) {
		d.ask(t, "GET", "/v1/staging/broken", nil, 200, &pool)
		_, _, err := d.nomad(t).Jobs().Info(kept, nil)
		return len(pool.Kept) == 2 && !slices.Contains(pool.Kept, kept) && err != nil && strings.Contains(err.Error(), "404"), fmt.Sprint(pool.Kept, err)
	})
	config.KeepFailed, config.DesiredSessions = 1, 0
	d.ask(t, "PUT", "/v1/staging/broken", config, 200, nil)
	until(t, "one is left", func() (bool, string) {
		d.ask(t, "GET", "/v1/staging/broken", nil, 200, &pool)
		jobs := d.stoppedJobs(t, "broken")
		return len(pool.Kept) == 1 && slices.Equal(jobs, pool.Kept), fmt.Sprint(pool.Kept, jobs)
	})
}
