package nomadfleet

import (
	"fmt"
	"strings"

	nomadapi "github.com/hashicorp/nomad/api"
)

// templateProblems says why a job cannot be a session's template; "" if it can.
func templateProblems(job *nomadapi.Job) string {
	var problems []string
	add := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }

	if t := deref(job.Type); t != "" && t != nomadapi.JobTypeBatch && t != nomadapi.JobTypeService {
		add("type must be \"batch\" or \"service\", is %q: a session is one allocation", t)
	}
	if job.Periodic != nil {
		add("must not be periodic: greenroom starts sessions when they are needed")
	}
	if job.ParameterizedJob != nil {
		add("must not be parameterized: use HCL variables, whose values the image sets")
	}
	if job.Multiregion != nil {
		add("must not be multiregion: the zone decides where sessions run")
	}
	if len(job.TaskGroups) != 1 {
		add("must have exactly one group, has %d", len(job.TaskGroups))
		return strings.Join(problems, "; ")
	}
	g := job.TaskGroups[0]
	if g.Count != nil && *g.Count != 1 {
		add("group %q must have count 1, has %d: the staging config says how many sessions there are", deref(g.Name), *g.Count)
	}
	if len(mainTasks(g)) == 0 {
		add("group %q must have a task without a lifecycle block: the session's main task", deref(g.Name))
	}
	for _, t := range g.Tasks {
		if t.Driver == "" {
			add("task %q must name a driver", t.Name)
		}
		if t.Schedule != nil {
			add("task %q must not have a schedule block: Nomad would stop it under its user", t.Name)
		}
		if t.Lifecycle != nil && t.Lifecycle.Hook == nomadapi.TaskLifecycleHookPoststop {
			add("task %q must not be a poststop task: Nomad would never report the session as running", t.Name)
		}
	}
	if s := sessionService(g); s != nil && s.Provider != "" && s.Provider != providerConsul {
		add("service %q must have provider \"consul\", has %q: greenroom reads sessions' health from Consul", s.Name, s.Provider)
	}
	if sessionService(g) == nil && firstPort(g) == "" {
		add("group %q must have a service, or a port in its network block so that greenroom can add one: a session is ready when its service's checks pass", deref(g.Name))
	}
	return strings.Join(problems, "; ")
}

// mainTasks returns the tasks without a lifecycle hook, which run as long as the group.
// The first is the session's main task.
func mainTasks(g *nomadapi.TaskGroup) []*nomadapi.Task {
	var tasks []*nomadapi.Task
	for _, t := range g.Tasks {
		if t.Lifecycle == nil || t.Lifecycle.Hook == "" {
			tasks = append(tasks, t)
		}
	}
	return tasks
}

// sessionService returns the service that becomes the session's: the first of the
// group, else the first of its tasks, else nil.
func sessionService(g *nomadapi.TaskGroup) *nomadapi.Service {
	if len(g.Services) > 0 {
		return g.Services[0]
	}
	for _, t := range g.Tasks {
		if len(t.Services) > 0 {
			return t.Services[0]
		}
	}
	return nil
}

// firstPort returns the label of the group's first port; "" if there is none.
func firstPort(g *nomadapi.TaskGroup) string {
	for _, n := range g.Networks {
		for _, ports := range [][]nomadapi.Port{n.DynamicPorts, n.ReservedPorts} {
			if len(ports) > 0 {
				return ports[0].Label
			}
		}
	}
	return ""
}
