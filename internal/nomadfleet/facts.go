package nomadfleet

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// Nomad's status of a job that has ended, and of one that has an allocation which has not.
const (
	jobStatusDead    = "dead"
	jobStatusRunning = "running"
)

// jobFacts reads a session from its job's meta. ok is false if the job is not a
// session's.
func jobFacts(id, namespace, region string, meta map[string]string, stopped bool, status string) (staging.JobFacts, bool) {
	if meta[metaSession] == "" || meta[metaSession] != id {
		return staging.JobFacts{}, false
	}
	// A job without a valid creation time gets the zero time. It counts as the oldest,
	// and is replaced first.
	created, _ := time.Parse(time.RFC3339Nano, meta[metaCreated])
	// The job of an older greenroom does not have it: then it is 0.
	every, _ := time.ParseDuration(meta[metaCheckEvery])
	// A session that does not wait for room has none.
	room, _ := time.ParseDuration(meta[metaWaitForRoom])
	generation, _ := strconv.ParseUint(meta[metaGeneration], 10, 64)
	excludes, _ := strconv.Atoi(meta[metaExcludes])
	return staging.JobFacts{
		Session: staging.Session{
			ID: id, Origin: staging.Origin(meta[metaOrigin]),
			Zone: meta[metaZone], Image: meta[metaImage], Staging: meta[metaStaging],
			Revision: meta[metaRevision], Permits: meta[metaPermits], Claim: meta[metaClaim], Task: meta[metaTask],
			Namespace: namespace, Region: region, CreatedAt: created, Generation: generation,
			WaitForRoom: staging.Duration(room),
		},
		Stopped:    stopped,
		Dead:       status == jobStatusDead,
		Narrowed:   meta[metaNarrowed] != "",
		Excludes:   excludes,
		CheckEvery: every,
		Needs:      needsIn(meta),
	}, true
}

// needsIn reads a session's needs from its job's meta. The job of an older greenroom does not
// have them: then they are zero.
func needsIn(meta map[string]string) staging.Needs {
	cpu, _ := strconv.Atoi(meta[metaCPU])
	memory, _ := strconv.Atoi(meta[metaMemory])
	return staging.Needs{CPU: cpu, MemoryMB: memory}
}

// firstAlloc returns the allocation that was created first, which is the session's.
// Later ones are clones that Nomad made of a lost one.
func firstAlloc(allocs []*nomadapi.AllocationListStub) *nomadapi.AllocationListStub {
	var first *nomadapi.AllocationListStub
	for _, a := range allocs {
		if first == nil || a.CreateIndex < first.CreateIndex {
			first = a
		}
	}
	return first
}

// allocView has the fields that a list stub and a full allocation share.
type allocView struct {
	id, nodeID                  string
	desiredStatus, clientStatus string
	clientDescription           string
	desiredDescription          string // why Nomad stops it
	resources                   *nomadapi.AllocatedResources
	tasks                       map[string]*nomadapi.TaskState
	createTime                  int64
}

func viewOfStub(a *nomadapi.AllocationListStub) allocView {
	return allocView{
		id: a.ID, nodeID: a.NodeID, desiredStatus: a.DesiredStatus, clientStatus: a.ClientStatus,
		clientDescription: a.ClientDescription, desiredDescription: a.DesiredDescription, resources: a.AllocatedResources, tasks: a.TaskStates, createTime: a.CreateTime,
	}
}

func viewOfAlloc(a *nomadapi.Allocation) allocView {
	return allocView{
		id: a.ID, nodeID: a.NodeID, desiredStatus: a.DesiredStatus, clientStatus: a.ClientStatus,
		clientDescription: a.ClientDescription, desiredDescription: a.DesiredDescription, resources: a.AllocatedResources, tasks: a.TaskStates, createTime: a.CreateTime,
	}
}

func allocFacts(a allocView) *staging.AllocFacts {
	facts := &staging.AllocFacts{ID: a.id, NodeID: a.nodeID, CreatedAt: time.Unix(0, a.createTime).UTC()}
	facts.Address, facts.Ports = endpoints(a.resources)
	facts.Restarts = restarts(a.tasks)
	switch a.clientStatus {
	case nomadapi.AllocClientStatusRunning:
		facts.Running = a.desiredStatus == nomadapi.AllocDesiredStatusRun && started(a.tasks)
	case nomadapi.AllocClientStatusComplete, nomadapi.AllocClientStatusFailed, nomadapi.AllocClientStatusLost:
		facts.Over = true
	}
	facts.Failure, facts.FailedTask = failure(a, facts.Over)
	if facts.Failure == nil && (facts.Over || a.desiredStatus != nomadapi.AllocDesiredStatusRun || a.clientStatus == nomadapi.AllocClientStatusUnknown) {
		facts.Reason = cmp.Or(a.desiredDescription, a.clientDescription)
	}
	return facts
}

// restarts returns how often each task was restarted; nil if none was.
func restarts(tasks map[string]*nomadapi.TaskState) map[string]int {
	var all map[string]int
	for name, t := range tasks {
		if t.Restarts == 0 {
			continue
		}
		if all == nil {
			all = map[string]int{}
		}
		all[name] = int(t.Restarts)
	}
	return all
}

// started reports whether every task has started. Nomad reports an allocation as
// running as soon as one of its tasks runs, such as a prestart task. A task that waits for
// its next start has started before: a sidecar that fails again and again does not keep the
// session from its users, and the restart of a main task is seen by its number of restarts.
func started(tasks map[string]*nomadapi.TaskState) bool {
	for _, t := range tasks {
		if t.State == "pending" && t.StartedAt.IsZero() {
			return false
		}
	}
	return true
}

// endpoints returns the address of an allocation's ports, and the ports by label.
func endpoints(r *nomadapi.AllocatedResources) (address string, ports map[string]int) {
	if r == nil {
		return "", nil
	}
	add := func(label string, port int, host string) {
		if ports == nil {
			ports = map[string]int{}
		}
		if _, ok := ports[label]; ok || label == "" {
			return
		}
		ports[label] = port
		if address == "" {
			address = host
		}
	}
	for _, p := range r.Shared.Ports {
		add(p.Label, p.Value, p.HostIP)
	}
	networks := r.Shared.Networks
	for _, name := range slices.Sorted(maps.Keys(r.Tasks)) {
		// Older jobspecs have their ports here.
		networks = append(slices.Clip(networks), r.Tasks[name].Networks...)
	}
	for _, n := range networks {
		for _, p := range slices.Concat(n.DynamicPorts, n.ReservedPorts) {
			add(p.Label, p.Value, n.IP)
		}
		if address == "" {
			address = n.IP
		}
	}
	return address, ports
}

// isSessionID reports whether a job's id is a session's.
func isSessionID(job string) bool { return strings.HasPrefix(job, staging.SessionPrefix) }
