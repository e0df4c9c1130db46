package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// signal sends a signal to a session's main task, through Nomad.
func (d *devProcess) signal(t *testing.T, session, name string) {
	t.Helper()
	n := d.nomad(t)
	alloc, _, err := n.Allocations().Info(d.alloc(t, session).ID, nil)
	must(t, err)
	must(t, n.Allocations().Signal(alloc, nil, "session", name))
}

// mainTask returns Nomad's state of a session's main task.
func (d *devProcess) mainTask(t *testing.T, session string) *nomadapi.TaskState {
	t.Helper()
	return d.alloc(t, session).TaskStates["session"]
}

// TestAUsersSessionOutlivesItsPagesHiccup: the image has check_restart, and its page does
// not answer for some seconds.
func TestAUsersSessionOutlivesItsPagesHiccup(t *testing.T) {
	d := sharedDev(t)
	image := quickImage("hiccup")
	image.Jobspec = strings.Replace(image.Jobspec, `timeout  = "1s"`, `timeout  = "1s"
        check_restart {
          limit = 2
          grace = "0s"
        }`, 1)
	d.stage(t, image, 1)
	d.untilReady(t, "hiccup", 1)
	var l launched
	d.ask(t, "POST", "/v1/sessions", launch("hiccup", "east", "hilde"), 201, &l)
	if l.Origin != string(staging.Staged) {
		t.Fatalf("%+v", l.Attempts)
	}
	d.signal(t, l.ID, "SIGSTOP")
	until(t, "its check fails in Consul", func() (bool, string) {
		passing := d.passing(t, "hiccup")
		return !slices.Contains(passing, l.ID), fmt.Sprint(passing)
	})
	// Nomad looks at the check every second, and would restart the task at the second failure.
	pace := time.NewTicker(500 * time.Millisecond)
	defer pace.Stop()
	for range 12 {
		<-pace.C
		if s := d.session(t, l.ID); s.State != "assigned" {
			t.Fatalf("it is %s: %s", s.State, s.Reason)
		}
	}
	d.signal(t, l.ID, "SIGCONT")
	until(t, "its check passes again", func() (bool, string) {
		passing := d.passing(t, "hiccup")
		return slices.Contains(passing, l.ID), fmt.Sprint(passing)
	})
	if task := d.mainTask(t, l.ID); task.State != "running" || task.Restarts != 0 {
		t.Errorf("Nomad restarted it: %+v", task)
	}
	if s := d.session(t, l.ID); s.State != "assigned" || s.User.Name != "hilde" {
		t.Errorf("%+v", s)
	}
}
