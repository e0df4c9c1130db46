package nomadfleet

import (
	"testing"

	nomadapi "github.com/hashicorp/nomad/api"
)

// TestOnlyANamedChangeModeRestarts: Nomad's parser fills in "restart" where a template or
// vault block names no change_mode.
func TestOnlyANamedChangeModeRestarts(t *testing.T) {
	restart := func() *nomadapi.Template { return &nomadapi.Template{ChangeMode: ptr("restart")} }
	job := &nomadapi.Job{TaskGroups: []*nomadapi.TaskGroup{{Tasks: []*nomadapi.Task{
		{Name: "app", Templates: []*nomadapi.Template{restart(), restart(), {ChangeMode: ptr("signal")}}, Vault: &nomadapi.Vault{ChangeMode: ptr("restart")}},
		{Name: "many", Templates: []*nomadapi.Template{restart(), restart()}, Vault: &nomadapi.Vault{ChangeMode: ptr("restart")}},
	}}}}
	unsetChangeModes(job, `
job "j" {
  group "g" {
    task "app" {
      vault { role = "own" }
      template { data = "a" }
      template {
        data        = "b"
        change_mode = "restart"
      }
      template {
        data        = "c"
        change_mode = "signal"
      }
    }
    task "many" {
      dynamic "template" {
        for_each = ["a", "b"]
        content { data = template.value }
      }
    }
    vault { change_mode = "restart" }
  }
}`)
	app, many := job.TaskGroups[0].Tasks[0].Templates, job.TaskGroups[0].Tasks[1].Templates
	if app[0].ChangeMode != nil || *app[1].ChangeMode != "restart" || *app[2].ChangeMode != "signal" {
		t.Errorf("app: %v, %v, %v", app[0].ChangeMode, app[1].ChangeMode, app[2].ChangeMode)
	}
	if own, group := job.TaskGroups[0].Tasks[0].Vault, job.TaskGroups[0].Tasks[1].Vault; own.ChangeMode != nil || *group.ChangeMode != "restart" {
		t.Errorf("vault: %v, %v", own.ChangeMode, group.ChangeMode)
	}
	if many[0].ChangeMode != nil || many[1].ChangeMode != nil {
		t.Errorf("many: %v, %v", many[0].ChangeMode, many[1].ChangeMode)
	}
}
