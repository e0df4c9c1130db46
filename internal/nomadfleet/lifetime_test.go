package nomadfleet_test

import (
	"strings"
	"testing"

	nomadapi "github.com/hashicorp/nomad/api"
)

// TestNomadDoesNotEndASessionByItself: a sidecar that fails, a template whose data changes
// and a check with check_restart leave the main task alone on a real Nomad.
func TestNomadDoesNotEndASessionByItself(t *testing.T) {
	r := newRig(t)
	image := app(t, "raw_exec")
	replace := func(old, with string) {
		t.Helper()
		if !strings.Contains(image.Jobspec, old) {
			t.Fatalf("the jobspec has no %q", old)
		}
		image.Jobspec = strings.Replace(image.Jobspec, old, with, 1)
	}
	replace("network {", `
    disconnect {
      stop_on_client_after = "10s"
    }
    network {`)
	replace(`name = "app"`, `name = "app"
      check {
        type     = "http"
        path     = "/there-is-no-such-page"
        interval = "1s"
        timeout  = "1s"
        check_restart {
          limit = 1
          grace = "0s"
        }
      }`)
	replace("resources {", `
      template {
        data        = <<EOT
{{ with nomadVar (printf "nomad/jobs/%s" (env "NOMAD_JOB_ID")) }}{{ .greeting }}{{ end }}
EOT
        destination = "local/greeting"
      }
      resources {`)
	replace(`task "app" {`, `task "aside" {
      driver = "raw_exec"
      lifecycle {
        hook    = "poststart"
        sidecar = true
      }
      config {
        command = "/bin/sh"
        args    = ["-c", "exit 3"]
      }
    }
    task "app" {`)
	if err := r.Check(testContext(t), image); err != nil {
		t.Fatal(err)
	}
	s := r.session(t)
	say := func(greeting string) {
		t.Helper()
		v := &nomadapi.Variable{Path: "nomad/jobs/" + s.ID, Items: nomadapi.VariableItems{"greeting": greeting}}
		if _, _, err := r.nomad.Variables().Update(v, nil); err != nil {
			t.Fatal(err)
		}
	}
	say("first")
	t.Cleanup(func() {
		if _, err := r.nomad.Variables().Delete("nomad/jobs/"+s.ID, nil); err != nil {
			t.Error(err)
		}
	})
	s, _ = r.start(t, s, image, nil)
	tasks := func() map[string]*nomadapi.TaskState {
		t.Helper()
		alloc, _, err := r.nomad.Allocations().Info(s.AllocID, nil)
		if err != nil {
			t.Fatal(err)
		}
		return alloc.TaskStates
	}
	say("second")
	eventually(t, "the template has the new value", func() bool {
		return strings.Contains(r.shell(t, s, "cat $NOMAD_TASK_DIR/greeting"), "second")
	})
	// The sidecar has failed often enough for any policy that gives up at the first failures,
	// and the check with check_restart, once a second, as often.
	eventually(t, "the sidecar is restarted again and again", func() bool { return tasks()["aside"].Restarts >= 3 })
	if app := tasks()["app"]; app.State != "running" || app.Restarts != 0 || app.Failed {
		t.Errorf("the main task: %+v", app)
		for _, e := range app.Events {
			t.Errorf("  %s: %s", e.Type, e.DisplayMessage)
		}
	}
}
