package nomadfleet

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// TestFitRemovesWhatEndsASession: a template with everything that lets Nomad end, restart or
// move a session keeps what its author named a mode for, and a sidecar's restart.
func TestFitRemovesWhatEndsASession(t *testing.T) {
	restart := &nomadapi.CheckRestart{Limit: 1}
	service := func() *nomadapi.Service {
		return &nomadapi.Service{PortLabel: "http", CheckRestart: restart, Checks: []nomadapi.ServiceCheck{{Type: "tcp", CheckRestart: restart}, {Type: "http"}}}
	}
	job := template()
	g := job.TaskGroups[0]
	job.Migrate, job.Reschedule = &nomadapi.MigrateStrategy{}, &nomadapi.ReschedulePolicy{Unlimited: ptr(true)}
	g.ReschedulePolicy = &nomadapi.ReschedulePolicy{Unlimited: ptr(true)}
	//lint:ignore SA1019 Nomad before 1.10 acts on it
	g.StopAfterClientDisconnect = ptr(time.Minute)
	g.Disconnect = &nomadapi.DisconnectStrategy{StopOnClientAfter: ptr(time.Minute)}
	g.Services = append(g.Services, service())
	main := g.Tasks[1]
	main.Services = []*nomadapi.Service{service()}
	main.Vault = &nomadapi.Vault{}
	main.Templates = []*nomadapi.Template{
		{},
		{ChangeMode: ptr("restart")},
		{ChangeMode: ptr("script"), ChangeScript: &nomadapi.ChangeScript{Command: ptr("/reload"), FailOnError: ptr(true)}},
	}
	sidecar := &nomadapi.Task{Name: "log", Driver: "docker", Lifecycle: &nomadapi.TaskLifecycle{Hook: "poststart", Sidecar: true}, Vault: &nomadapi.Vault{ChangeMode: ptr("signal")}}
	g.Tasks = append(g.Tasks, sidecar)
	Fit(job, staging.Spec{Session: staging.Session{ID: "gr-1", Origin: staging.Staged}, Zone: staging.Zone{Name: "eu"}})

	equal := func(what string, want, got any) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s:\n%s", what, diff)
		}
	}
	for _, s := range append(append([]*nomadapi.Service(nil), g.Services...), main.Services...) {
		equal("check_restart of a service", (*nomadapi.CheckRestart)(nil), s.CheckRestart)
		for _, c := range s.Checks {
			equal("check_restart of a check", (*nomadapi.CheckRestart)(nil), c.CheckRestart)
		}
	}
	equal("checks", 2, len(main.Services[0].Checks))
	equal("reschedule", false, *g.ReschedulePolicy.Unlimited)
	//lint:ignore SA1019 Nomad before 1.10 acts on it
	equal("stop on the client", (*time.Duration)(nil), g.StopAfterClientDisconnect)
	equal("disconnect", (*nomadapi.DisconnectStrategy)(nil), g.Disconnect)
	equal("change mode that the jobspec leaves open", "noop", *main.Templates[0].ChangeMode)
	equal("change mode that the jobspec names", "restart", *main.Templates[1].ChangeMode)
	equal("change script", "script false", *main.Templates[2].ChangeMode+" "+jsonOf(t, main.Templates[2].ChangeScript.FailOnError))
	equal("vault, left open", "noop", *main.Vault.ChangeMode)
	equal("vault, named", "signal", *sidecar.Vault.ChangeMode)
	equal("restart of the main task", "fail 0", *main.RestartPolicy.Mode+" "+jsonOf(t, main.RestartPolicy.Attempts))
	equal("restart of a sidecar", "delay", *sidecar.RestartPolicy.Mode)
	equal("restart of a task that must end", "fail", *g.Tasks[0].RestartPolicy.Mode)
}
