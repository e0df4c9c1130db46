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

// Keys of a session's job meta. They have underscores because Nomad also makes
// environment variables of them.
const (
	metaPrefix  = "greenroom_"
	metaSession = "greenroom_session"
	// metaSchema is the version of this meta, staging.SchemaVersion. It is in the service's meta,
	// too.
	metaSchema   = "greenroom_schema"
	metaOrigin   = "greenroom_origin"
	metaZone     = "greenroom_zone"
	metaImage    = "greenroom_image"
	metaStaging  = "greenroom_staging"
	metaRevision = "greenroom_revision"
	metaClaim    = "greenroom_claim"
	metaTask     = "greenroom_task"
	metaCreated  = "greenroom_created"
	metaPermits  = "greenroom_permits"
	// metaGeneration is in the service's meta, too: brokers read it in Consul.
	metaGeneration = "greenroom_generation"
	// metaDollar holds a dollar sign, which literal refers to.
	metaDollar = "greenroom_dollar"
	// metaCheckEvery is staging.JobFacts.CheckEvery.
	metaCheckEvery = "greenroom_check_every"
	// metaNarrowed is staging.JobFacts.Narrowed: "true", or missing.
	metaNarrowed = "greenroom_narrowed"
	// metaExcludes is staging.JobFacts.Excludes.
	metaExcludes = "greenroom_excludes"
	// metaWaitForRoom is staging.Session.WaitForRoom.
	metaWaitForRoom = "greenroom_wait_for_room"
	// metaCPU and metaMemory are staging.JobFacts.Needs.
	metaCPU    = "greenroom_cpu"
	metaMemory = "greenroom_memory_mb"
	// metaDrivers are the drivers of the job's tasks, with commas between, for refusals.
	metaDrivers = "greenroom_drivers"
)

const providerConsul = "consul"

// A user waits for an on-demand session, so its job gets a higher priority: Nomad
// schedules it before staged jobs that are registered at the same time. The difference
// is below 10, from which on Nomad would preempt the staged job (1.10.5).
const (
	onDemandPriority = 5
	maxPriority      = 100
)

// Fit turns an image's template into a session's job. It changes the template, so pass
// a copy, and it has no other effect. The template must follow templateProblems' rules,
// and the spec must have passed checkDriver.
func Fit(job *nomadapi.Job, spec staging.Spec) *nomadapi.Job {
	s, z := spec.Session, spec.Zone
	g := job.TaskGroups[0]
	main := mainTasks(g)[0]
	if s.Task == "" {
		s.Task = main.Name
	}
	job.ID, job.Name = &s.ID, &s.ID
	job.Type = ptr(nomadapi.JobTypeBatch)
	job.Region, job.Namespace, job.NodePool = orNil(z.Region), orNil(z.Namespace), orNil(z.NodePool)
	job.Datacenters = z.Datacenters
	job.Meta = ownMeta(job.Meta, jobMeta(s))
	if s.Origin == staging.OnDemand {
		job.Priority = ptr(min(cmp.Or(deref(job.Priority), nomadapi.JobDefaultPriority)+onDemandPriority, maxPriority))
	}

	// A session is one allocation that Nomad neither restarts nor moves: the scaler
	// decides what happens after it.
	g.Count = ptr(1)
	g.Affinities = append(g.Affinities, avoid(spec.Avoid)...)
	g.Constraints = append(g.Constraints, narrow(spec.Placement)...)
	if spec.Placement.Narrowed() {
		job.Meta[metaNarrowed] = "true"
	}
	if n := len(spec.Placement.ExceptNodes); n > 0 {
		job.Meta[metaExcludes] = strconv.Itoa(n)
	}
	fitLifetime(job, g)
	g.Meta = ownMeta(g.Meta, nil)
	for _, t := range g.Tasks {
		t.Meta = ownMeta(t.Meta, nil)
	}
	for _, t := range mainTasks(g) {
		t.Env = taskEnv(t.Env, s, spec.Environment)
	}
	fitConfig(main, spec)
	fitService(g, s)
	job.Meta[metaCheckEvery] = checkEvery(sessionService(g)).String()
	needs := needsOf(g)
	job.Meta[metaCPU], job.Meta[metaMemory] = strconv.Itoa(needs.CPU), strconv.Itoa(needs.MemoryMB)
	job.Meta[metaDrivers] = strings.Join(driversOf(g), ",")
	return job
}

// driversOf returns the drivers of a group's tasks, sorted.
func driversOf(g *nomadapi.TaskGroup) []string {
	var all []string
	for _, t := range g.Tasks {
		all = append(all, t.Driver)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// taskEnv returns a main task's environment: the template's variables, which Nomad
// interpolates, and greenroom's and the launch's, which it must not. What the template sets
// goes over the launch's, and not over greenroom's own.
func taskEnv(template map[string]string, s staging.Session, extra map[string]string) map[string]string {
	out := make(map[string]string, len(template)+len(extra)+3)
	maps.Copy(out, template)
	for k, v := range extra {
		if _, given := template[k]; !given || staging.ReservedVariable(k) {
			out[k] = literal(v)
		}
	}
	out["GREENROOM_SESSION_ID"] = s.ID
	out["GREENROOM_IMAGE"] = s.Image
	out["GREENROOM_ZONE"] = s.Zone
	return out
}

// literal encodes a value so that Nomad's interpolation restores it unchanged. Nomad
// replaces every ${name} whose name it knows, in one pass from the left, and has no
// escape. So literal replaces the dollar sign of every "${" by a reference to a meta
// value that holds a dollar sign.
func literal(v string) string {
	return strings.ReplaceAll(v, "${", "${NOMAD_META_"+metaDollar+"}{")
}

func jobMeta(s staging.Session) map[string]string {
	m := map[string]string{
		metaSession:  s.ID,
		metaSchema:   strconv.Itoa(staging.SchemaVersion),
		metaOrigin:   string(s.Origin),
		metaZone:     s.Zone,
		metaImage:    s.Image,
		metaStaging:  s.Staging,
		metaRevision: s.Revision,
		metaClaim:    s.Claim,
		metaTask:     s.Task,
		metaPermits:  s.Permits,
		metaDollar:   "$",
	}
	if s.Generation > 0 {
		m[metaGeneration] = strconv.FormatUint(s.Generation, 10)
	}
	if s.WaitForRoom > 0 {
		m[metaWaitForRoom] = s.WaitForRoom.String()
	}
	if !s.CreatedAt.IsZero() {
		m[metaCreated] = s.CreatedAt.UTC().Format(time.RFC3339Nano)
	}
	maps.DeleteFunc(m, func(_, v string) bool { return v == "" })
	return m
}

// ownMeta returns a template's meta with greenroom's keys added. It drops keys of the
// template that look like greenroom's.
func ownMeta(template, ours map[string]string) map[string]string {
	out := make(map[string]string, len(template)+len(ours))
	for k, v := range template {
		if !strings.HasPrefix(strings.ToLower(k), metaPrefix) {
			out[k] = v
		}
	}
	maps.Copy(out, ours)
	return out
}
