package nomadfleet

import (
	"context"
	"fmt"
	"slices"
	"strings"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// defaultPageSize bounds one reply of a list.
const defaultPageSize = 500

// sessionsFilter is a filter expression for Nomad's lists that selects sessions' jobs.
const sessionsFilter = `JobID matches "^` + staging.SessionPrefix + `"`

// List returns an observation of every node, then one of every session ordered by
// id, and the index to Watch from. A session of another installation is observed as
// Foreign, without anything else. The observation of a session has its job, its
// allocation if there is one, and its placement once the scheduler has decided.
//
// Errors are ErrUnavailable. List never returns a part of a list that it could have read
// whole, but Nomad leaves out what the token may not list: only Exists can tell that a
// session's job is gone.
func (f *Fleet) List(ctx context.Context) (observations []staging.Observation, index uint64, err error) {
	l, err := f.list(ctx)
	if err != nil {
		return nil, 0, unavailable("list sessions", err)
	}
	return l.observations(), l.index(), nil
}

// listing is what one List read. Nomad has no snapshot across tables, so each table
// was read a little later than the one before.
type listing struct {
	region string
	owner  owner
	// jobs and allocs have the session's id as key.
	jobs   map[string]*nomadapi.JobListStub
	allocs map[string]*nomadapi.AllocationListStub
	// replaced holds the sessions with more than one allocation.
	replaced map[string]bool
	evals    map[string]*nomadapi.Evaluation
	nodes    []*nomadapi.NodeListStub
	// The index up to which each table was read.
	jobsIndex, allocsIndex, nodesIndex uint64
}

func (f *Fleet) list(ctx context.Context) (listing, error) {
	l := listing{
		region:   f.opts.Region,
		jobs:     map[string]*nomadapi.JobListStub{},
		allocs:   map[string]*nomadapi.AllocationListStub{},
		evals:    map[string]*nomadapi.Evaluation{},
		replaced: map[string]bool{},
	}
	var err error
	if l.owner, err = f.ownership(); err != nil {
		return l, err
	}
	l.nodesIndex, err = readPages(ctx, f, func(q *nomadapi.QueryOptions) (*nomadapi.QueryMeta, error) {
		nodes, meta, err := f.nomad.Nodes().List(q)
		l.nodes = append(l.nodes, nodes...)
		return meta, err
	})
	if err != nil {
		return l, fmt.Errorf("list nodes: %w", err)
	}
	l.jobsIndex, err = readPages(ctx, f, func(q *nomadapi.QueryOptions) (*nomadapi.QueryMeta, error) {
		q.Prefix = staging.SessionPrefix
		jobs, meta, err := f.nomad.Jobs().ListOptions(&nomadapi.JobListOptions{Fields: &nomadapi.JobListFields{Meta: true}}, q)
		for _, j := range jobs {
			l.jobs[j.ID] = j
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
			first := l.allocs[a.JobID]
			l.replaced[a.JobID] = first != nil
			if first == nil || a.CreateIndex < first.CreateIndex {
				l.allocs[a.JobID] = a
			}
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
		// An evaluation that found no node names the blocked one that follows it.
		q.Filter = sessionsFilter + ` and Status == "` + evalComplete + `" and BlockedEval != ""`
		evals, meta, err := f.nomad.Evaluations().List(q)
		for _, e := range evals {
			if last := l.evals[e.JobID]; last == nil || e.ModifyIndex > last.ModifyIndex {
				l.evals[e.JobID] = e
			}
		}
		return meta, err
	})
	if err != nil {
		return l, fmt.Errorf("list evaluations: %w", err)
	}
	return l, nil
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
	for id, alloc := range l.allocs {
		old := l.jobs[id]
		if old == nil || alloc.ModifyIndex <= l.jobsIndex || !l.owner.owns(old.Meta) {
			continue
		}
		callCtx, cancel := f.withTimeout(ctx)
		job, _, err := f.nomad.Jobs().Info(id, f.queryOptions(callCtx, alloc.Namespace, f.opts.Region))
		cancel()
		switch {
		case notFound(err):
			// The job was purged in between, so its allocation does not matter either.
			delete(l.jobs, id)
		case err != nil:
			return fmt.Errorf("read job %s: %w", id, err)
		default:
			fresh := *old
			fresh.Stop, fresh.Status, fresh.ModifyIndex = deref(job.Stop), deref(job.Status), deref(job.ModifyIndex)
			l.jobs[id] = &fresh
		}
	}
	return nil
}

func (l listing) locationOf(session string) location {
	job := l.jobs[session]
	return locationIn(job.Datacenters, job.Meta)
}

func (l listing) hasUnplaced() bool {
	for id, job := range l.jobs {
		if l.allocs[id] == nil && l.owner.owns(job.Meta) {
			return true
		}
	}
	return false
}

// index is the index from which Watch must start so that it misses no event.
func (l listing) index() uint64 { return min(l.jobsIndex, l.allocsIndex, l.nodesIndex) }

func (l listing) observations() []staging.Observation {
	out := make([]staging.Observation, 0, len(l.nodes)+len(l.jobs))
	for _, n := range l.nodes {
		out = append(out, staging.Observation{Index: n.ModifyIndex, Node: &staging.NodeFacts{
			ID: n.ID, Name: n.Name, Draining: n.Drain, Condition: conditionOf(n.Status, n.SchedulingEligibility, n.Drivers),
		}})
	}
	for id, job := range l.jobs {
		facts, ok := jobFacts(id, job.Namespace, l.region, job.Meta, job.Stop, job.Status)
		if !ok {
			continue
		}
		if !l.owner.owns(job.Meta) {
			if !facts.Stopped && !facts.Dead {
				out = append(out, staging.Observation{Session: id, Index: job.ModifyIndex, Foreign: foreignTo(job.Meta)})
			}
			continue
		}
		facts.TakenOver = l.owner.takenOver(job.Meta)
		o := staging.Observation{Session: id, Index: job.ModifyIndex, Job: &facts}
		if job.Status == jobStatusRunning && l.allocs[id] == nil {
			// A running job has an allocation, so the token may list this job and not read
			// its allocations. Half a session is left out like one that is not listed.
			continue
		}
		if alloc := l.allocs[id]; alloc != nil {
			o.Alloc, o.Replaced = allocFacts(viewOfStub(alloc)), l.replaced[id]
			o.Placement = &staging.PlacementFacts{}
			// If the allocation is newer than the list of jobs, refreshJobs has read
			// the job again. So this is exactly the index of the newest part.
			o.Index = max(o.Index, alloc.ModifyIndex)
		} else if eval := l.evals[id]; eval != nil {
			o.Placement = &staging.PlacementFacts{Refused: refusal(l.locationOf(id), eval.FailedTGAllocs)}
		}
		out = append(out, o)
	}
	slices.SortStableFunc(out, func(a, b staging.Observation) int { return strings.Compare(a.Session, b.Session) })
	return out
}
