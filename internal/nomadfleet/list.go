package nomadfleet

import (
	"context"
	"fmt"
	"slices"
	"strings"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// defaultPageSize bounds one reply of a list. For each page Nomad goes through its table from the
// start up to the page, so the cost of small pages grows with the square of the sessions.
const defaultPageSize = 2000

// sessionsFilter is a filter expression for Nomad's lists that selects sessions' jobs.
const sessionsFilter = `JobID matches "^` + staging.SessionPrefix + `"`

// List returns an observation of every node, then one of every session ordered by
// id. A session of another installation is observed as
// Foreign, without anything else. The observation of a session has its job, its
// allocation if there is one, and its placement once the scheduler has decided.
//
// Errors are ErrUnavailable. List never returns a part of a list that it could have read
// whole, but Nomad leaves out what the token may not list: only Exists can tell that a
// session's job is gone.
func (f *Fleet) List(ctx context.Context) ([]staging.Observation, error) {
	l, err := f.list(ctx)
	if err != nil {
		return nil, unavailable("list sessions", err)
	}
	return l.observations(), nil
}

// listing is what one List read. Nomad has no snapshot across tables, so each table
// was read a little later than the one before. Of each page it keeps what greenroom needs
// alone: the pages of many thousands of sessions would be several times as large as what
// the scaler keeps of them.
type listing struct {
	region string
	owner  owner
	// jobs have the session's id as key.
	jobs  map[string]*listedJob
	nodes []*nomadapi.NodeListStub
	// values are the nodes' values of the properties by which pools are spread.
	values map[string]map[string]string
	// locations are those of the jobs, which many jobs have in common.
	locations map[string]*location
	// The index up to which each table was read.
	jobsIndex, allocsIndex, nodesIndex uint64
}

// listedJob is a job with a session's id, as far as it was read.
type listedJob struct {
	facts staging.JobFacts
	// own: it belongs to the owner. Of another installation's job foreignTo is whose it is.
	own       bool
	foreignTo string
	// index is the job's, running what Nomad says of its status.
	index    uint64
	running  bool
	location *location
	// alloc is its first allocation, nil for none; replaced: it has several.
	alloc                     *staging.AllocFacts
	allocIndex, allocCreation uint64
	replaced                  bool
	// refused is why no node would take it, by the evaluation with evalIndex; 0 for none.
	refused   *staging.Failure
	evalIndex uint64
}

func (f *Fleet) list(ctx context.Context) (listing, error) {
	l := listing{region: f.opts.Region, jobs: map[string]*listedJob{}, locations: map[string]*location{}}
	var err error
	if l.owner, err = f.ownership(); err != nil {
		return l, err
	}
	l.nodesIndex, err = readPages(ctx, f, func(q *nomadapi.QueryOptions) (*nomadapi.QueryMeta, error) {
		q.Params = map[string]string{"resources": "true"}
		nodes, meta, err := f.nomad.Nodes().List(q)
		l.nodes = append(l.nodes, nodes...)
		return meta, err
	})
	if err != nil {
		return l, fmt.Errorf("list nodes: %w", err)
	}
	l.values = f.valuesOf(ctx, l.nodes)
	l.jobsIndex, err = readPages(ctx, f, func(q *nomadapi.QueryOptions) (*nomadapi.QueryMeta, error) {
		q.Prefix = staging.SessionPrefix
		jobs, meta, err := f.nomad.Jobs().ListOptions(&nomadapi.JobListOptions{Fields: &nomadapi.JobListFields{Meta: true}}, q)
		for _, j := range jobs {
			l.addJob(j)
		}
		return meta, err
	})
	if err != nil {
		return l, fmt.Errorf("list jobs: %w", err)
	}
	l.allocsIndex, err = readPages(ctx, f, func(q *nomadapi.QueryOptions) (*nomadapi.QueryMeta, error) {
		q.Filter = sessionsFilter
		q.Params = map[string]string{"resources": "true", "task_states": "true"}
		allocs, meta, err := f.nomad.Allocations().List(q)
		for _, a := range allocs {
			l.addAlloc(a)
		}
		return meta, err
	})
	if err != nil {
		return l, fmt.Errorf("list allocations: %w", err)
	}
	if err := f.refreshJobs(ctx, &l); err != nil {
		return l, err
	}
	if !l.hasUnplaced() {
		return l, nil
	}
	_, err = readPages(ctx, f, func(q *nomadapi.QueryOptions) (*nomadapi.QueryMeta, error) {
		// An evaluation that found no node names the blocked one that follows it. Nomad tests
		// from left to right: what most evaluations fail comes first, and what costs most last.
		q.Filter = `BlockedEval != "" and Status == "` + evalComplete + `" and ` + sessionsFilter
		evals, meta, err := f.nomad.Evaluations().List(q)
		for _, e := range evals {
			l.addEval(e)
		}
		return meta, err
	})
	if err != nil {
		return l, fmt.Errorf("list evaluations: %w", err)
	}
	return l, nil
}

// addJob adds a listed job that is a session's.
func (l *listing) addJob(j *nomadapi.JobListStub) {
	facts, ok := jobFacts(j.ID, j.Namespace, l.region, j.Meta, j.Stop, j.Status)
	if !ok {
		return
	}
	own := l.owner.owns(j.Meta)
	facts.TakenOver = own && l.owner.takenOver(j.Meta)
	l.jobs[j.ID] = &listedJob{
		facts: facts, own: own, foreignTo: foreignTo(j.Meta), index: j.ModifyIndex, running: j.Status == jobStatusRunning,
		location: l.locationOf(j),
	}
}

// locationOf returns where a job was to run.
func (l *listing) locationOf(j *nomadapi.JobListStub) *location {
	key := strings.Join(append([]string{j.Meta[metaZone], j.Meta[metaDrivers]}, j.Datacenters...), "\n")
	at := l.locations[key]
	if at == nil {
		found := locationIn(j.Datacenters, j.Meta)
		at = &found
		l.locations[key] = at
	}
	return at
}

// addAlloc adds a listed allocation to its job. The one that was created first is the session's.
func (l *listing) addAlloc(a *nomadapi.AllocationListStub) {
	j := l.jobs[a.JobID]
	if j == nil {
		return
	}
	j.replaced = j.alloc != nil
	if j.alloc == nil || a.CreateIndex < j.allocCreation {
		j.alloc, j.allocIndex, j.allocCreation = allocFacts(viewOfStub(a)), a.ModifyIndex, a.CreateIndex
	}
}

// addEval adds an evaluation that found no node to its job. The newest counts.
func (l *listing) addEval(e *nomadapi.Evaluation) {
	if j := l.jobs[e.JobID]; j != nil && e.ModifyIndex > j.evalIndex {
		j.evalIndex, j.refused = e.ModifyIndex, refusal(*j.location, e.FailedTGAllocs)
	}
}

// readPages reads all pages of a list and returns the index of the first one. A
// change after that index may or may not be in the list.
func readPages(ctx context.Context, f *Fleet, page func(*nomadapi.QueryOptions) (*nomadapi.QueryMeta, error)) (uint64, error) {
	var index uint64
	token := ""
	for {
		callCtx, cancel := f.withTimeout(ctx)
		q := f.queryOptions(callCtx, f.opts.Namespace, f.opts.Region)
		q.PerPage, q.NextToken = f.pageSize, token
		meta, err := page(q)
		cancel()
		if err != nil {
			return 0, err
		}
		if index == 0 {
			index = meta.LastIndex
		}
		if token = meta.NextToken; token == "" {
			return index, nil
		}
	}
}

// refreshJobs reads those jobs again whose allocation changed after the jobs were
// listed, so that no part of an observation is older than its index. Such jobs are
// always few.
func (f *Fleet) refreshJobs(ctx context.Context, l *listing) error {
	for id, j := range l.jobs {
		if !j.own || j.alloc == nil || j.allocIndex <= l.jobsIndex {
			continue
		}
		callCtx, cancel := f.withTimeout(ctx)
		job, _, err := f.nomad.Jobs().Info(id, f.queryOptions(callCtx, j.facts.Session.Namespace, f.opts.Region))
		cancel()
		switch {
		case notFound(err):
			// The job was purged in between, so its allocation does not matter either.
			delete(l.jobs, id)
		case err != nil:
			return fmt.Errorf("read job %s: %w", id, err)
		default:
			status := deref(job.Status)
			j.facts.Stopped, j.facts.Dead, j.running, j.index = deref(job.Stop), status == jobStatusDead, status == jobStatusRunning, deref(job.ModifyIndex)
		}
	}
	return nil
}

func (l *listing) hasUnplaced() bool {
	for _, j := range l.jobs {
		if j.own && j.alloc == nil {
			return true
		}
	}
	return false
}

func (l *listing) observations() []staging.Observation {
	out := make([]staging.Observation, 0, len(l.nodes)+len(l.jobs))
	for _, n := range l.nodes {
		out = append(out, staging.Observation{Index: n.ModifyIndex, Node: listedNode(n, l.values[n.ID])})
	}
	for id, j := range l.jobs {
		switch {
		case !j.own && (j.facts.Stopped || j.facts.Dead):
		case !j.own:
			out = append(out, staging.Observation{Session: id, Index: j.index, Foreign: j.foreignTo})
		case j.running && j.alloc == nil:
			// A running job has an allocation, so the token may list this job and not read
			// its allocations. Half a session is left out like one that is not listed.
		default:
			out = append(out, j.observation(id))
		}
	}
	slices.SortStableFunc(out, func(a, b staging.Observation) int { return strings.Compare(a.Session, b.Session) })
	return out
}

func (j *listedJob) observation(id string) staging.Observation {
	o := staging.Observation{Session: id, Index: j.index, Job: &j.facts}
	switch {
	case j.alloc != nil:
		o.Alloc, o.Replaced = j.alloc, j.replaced
		o.Placement = &staging.PlacementFacts{}
		// If the allocation is newer than the list of jobs, refreshJobs has read
		// the job again. So this is exactly the index of the newest part.
		o.Index = max(o.Index, j.allocIndex)
	case j.evalIndex > 0:
		o.Placement = &staging.PlacementFacts{Refused: j.refused}
	}
	return o
}
