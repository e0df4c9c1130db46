package nomadfleet

import (
	"time"

	nomadapi "github.com/hashicorp/nomad/api"
)

// The values of change_mode that Fit sets. Each block with a change_mode has "restart" as
// Nomad's default, except identity, whose default is already to do nothing.
const changeModeNoop = "noop"

// changeModeRestart is Nomad's default of template and vault blocks.
const changeModeRestart = "restart"

// fitLifetime removes from a group whatever lets Nomad end, restart or move a session
// while its process and its node are fine. A user's session ends by its user, its terms,
// its process or its node, so this list is complete or a user loses work:
//
//   - restart: a task whose process ends is not started again, except a sidecar, which is.
//     Without that, the failure of a sidecar would end the main task as well.
//   - reschedule, migrate, update, scaling: no second allocation.
//   - disconnect: no replacement, and no end on the client because it cannot reach its
//     servers: that would be an outage of Nomad that ends sessions.
//   - check_restart: a page that hangs for some seconds is no reason to end a session.
//     Together with "restart { attempts = 0 }" it would be one.
//   - change_mode of template and vault: nothing happens at a change, unless the jobspec
//     names a mode. Its author then wants the restart or the signal.
//   - fail_on_error of a template's change_script: a failed script does not end the task.
//
// What ends or interrupts a session by itself and cannot be removed is in
// templateProblems.
func fitLifetime(job *nomadapi.Job, g *nomadapi.TaskGroup) {
	job.Update, job.Migrate, job.Reschedule = nil, nil, nil
	g.Update, g.Migrate, g.Scaling = nil, nil, nil
	g.RestartPolicy = noRestart()
	g.ReschedulePolicy = noReschedule()
	//lint:ignore SA1019 Nomad before 1.10 acts on it
	g.StopAfterClientDisconnect = nil
	fitDisconnect(g)
	withoutCheckRestart(g.Services)
	for _, t := range g.Tasks {
		t.RestartPolicy = noRestart()
		if isSidecar(t) {
			t.RestartPolicy = sidecarRestart()
		}
		t.ScalingPolicies = nil
		withoutCheckRestart(t.Services)
		for _, template := range t.Templates {
			if template.ChangeMode == nil {
				template.ChangeMode = ptr(changeModeNoop)
			}
			if template.ChangeScript != nil {
				template.ChangeScript.FailOnError = ptr(false)
			}
		}
		if t.Vault != nil && t.Vault.ChangeMode == nil {
			t.Vault.ChangeMode = ptr(changeModeNoop)
		}
	}
}

// fitDisconnect keeps of a group's disconnect block that its node may be disconnected for
// a while. It adds no block to a group without it: Nomad would report a dead node as
// disconnected instead of down and the session as unknown, and still make a clone (1.10.5).
func fitDisconnect(g *nomadapi.TaskGroup) {
	if g.Disconnect == nil {
		return
	}
	g.Disconnect.StopOnClientAfter = nil
	if g.Disconnect.LostAfter == nil {
		g.Disconnect = nil
		return
	}
	g.Disconnect.Replace = ptr(false)
}

// withoutCheckRestart removes the check_restart blocks of services and of their checks.
func withoutCheckRestart(services []*nomadapi.Service) {
	for _, s := range services {
		s.CheckRestart = nil
		for i := range s.Checks {
			s.Checks[i].CheckRestart = nil
		}
	}
}

// isSidecar reports whether a task runs beside the main tasks for as long as they do.
func isSidecar(t *nomadapi.Task) bool { return t.Lifecycle != nil && t.Lifecycle.Sidecar }

func noRestart() *nomadapi.RestartPolicy {
	return &nomadapi.RestartPolicy{
		Attempts: ptr(0), Mode: ptr(nomadapi.RestartPolicyModeFail),
		// These have no effect, but Nomad validates them.
		Interval: ptr(24 * time.Hour), Delay: ptr(15 * time.Second), RenderTemplates: ptr(false),
	}
}

// sidecarRestart restarts a sidecar for ever: in mode "delay" a task never fails, which
// would end the others of its group.
func sidecarRestart() *nomadapi.RestartPolicy {
	return &nomadapi.RestartPolicy{
		Attempts: ptr(10), Mode: ptr(nomadapi.RestartPolicyModeDelay),
		Interval: ptr(5 * time.Minute), Delay: ptr(2 * time.Second), RenderTemplates: ptr(false),
	}
}

func noReschedule() *nomadapi.ReschedulePolicy {
	return &nomadapi.ReschedulePolicy{
		Attempts: ptr(0), Unlimited: ptr(false),
		Interval: ptr(24 * time.Hour), Delay: ptr(5 * time.Second),
		DelayFunction: ptr("constant"), MaxDelay: ptr(time.Duration(0)),
	}
}
