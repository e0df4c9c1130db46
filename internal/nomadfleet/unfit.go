package nomadfleet

import (
	"fmt"
	"strings"

	nomadapi "github.com/hashicorp/nomad/api"
)

// unfit says why a job cannot be a session's template; "" when it can.
func unfit(job *nomadapi.Job) string {
	var problems []string
	add := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }

	if t := value(job.Type); t != "" && t != nomadapi.JobTypeBatch && t != nomadapi.JobTypeService {
		add("type must be \"batch\" or \"service\", is %q: a session is one allocation", t)
	}
	if job.Periodic != nil {
		add("must not be periodic: sessions are started when they are wanted")
	}
	if job.ParameterizedJob != nil {
		add("must not be parameterized: use HCL variables, which an image gives values to")
	}
	if job.Multiregion != nil {
		add("must not be multiregion: zones say where sessions run")
	}
	if len(job.TaskGroups) != 1 {
		add("must have exactly one group, has %d", len(job.TaskGroups))
		return strings.Join(problems, "; ")
	}
	g := job.TaskGroups[0]
	if g.Count != nil && *g.Count != 1 {
		add("group %q must have count 1, has %d: the staging config says how many sessions there are", value(g.Name), *g.Count)
	}
	if len(mainTasks(g)) == 0 {
		add("group %q must have a task without a lifecycle block: the one that is the session", value(g.Name))
	}
	for _, t := range g.Tasks {
		if t.Driver == "" {
			add("task %q must name a driver", t.Name)
		}
		if t.Lifecycle != nil && t.Lifecycle.Hook == nomadapi.TaskLifecycleHookPoststop {
			add("task %q must not be a poststop task: a session with one never counts as running", t.Name)
		}
	}
	if s := sessionService(g); s != nil && s.Provider != "" && s.Provider != providerConsul {
		add("service %q must have provider \"consul\", has %q: Consul checks sessions' health", s.Name, s.Provider)
	}
	if sessionService(g) == nil && firstPort(g) == "" {
		add("group %q must have a service, or a port in its network block to make one from: a session is ready when its service's checks pass", value(g.Name))
	}
	return strings.Join(problems, "; ")
}

// mainTasks are the tasks that run for as long as the group does; the first is
// the session's main task.
func mainTasks(g *nomadapi.TaskGroup) []*nomadapi.Task {
	var tasks []*nomadapi.Task
	for _, t := range g.Tasks {
		if t.Lifecycle == nil || t.Lifecycle.Hook == "" {
			tasks = append(tasks, t)
		}
	}
	return tasks
}

// sessionService is the service that becomes the session's: the first of the
// group, or else of its tasks; nil when there is none.
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

// firstPort is the label of the group's first port; "" when it has none.
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

// value is *p, or the zero value for nil.
func value[T any](p *T) T {
	var zero T
	if p == nil {
		return zero
	}
	return *p
}
