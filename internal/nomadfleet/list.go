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

// onlySessions is a filter of Nomad's lists.
const onlySessions = `JobID matches "^` + staging.SessionPrefix + `"`

// List gives what Nomad says of every node, then everything that it says of
// every session, ordered by id, and the index to Watch from. Each one of a session carries its job; one
// with an allocation carries that too, and Placement says how the scheduler
// decided, once it has. A session that is not in the list is not in Nomad.
//
// Its errors are ErrUnavailable, and give no part of a list.
func (f *Fleet) List(ctx context.Context) (observations []staging.Observation, index uint64, err error) {
	l, err := f.list(ctx)
	if err != nil {
		return nil, 0, unavailable("list the sessions", err)
	}
	return l.observations(), l.index(), nil
}

// listing is what one List read. Nomad has no snapshot across tables: each
// was read a little later than the one before.
type listing struct {
	region string
	// jobs and allocs are by session.
	jobs   map[string]*nomadapi.JobListStub
	allocs map[string]*nomadapi.AllocationListStub
	// replaced are the sessions whose jobs have more than one allocation.
	replaced map[string]bool
	evals    map[string]*nomadapi.Evaluation
	nodes    []*nomadapi.NodeListStub
	// The indexes up to which each is known.
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
	l.nodesIndex, err = pages(ctx, f, func(q *nomadapi.QueryOptions) (*nomadapi.QueryMeta, error) {
		nodes, meta, err := f.nomad.Nodes().List(q)
		l.nodes = append(l.nodes, nodes...)
		return meta, err
	})
	if err != nil {
		return l, fmt.Errorf("nodes: %w", err)
	}
	l.jobsIndex, err = pages(ctx, f, func(q *nomadapi.QueryOptions) (*nomadapi.QueryMeta, error) {
		q.Prefix = staging.SessionPrefix
		jobs, meta, err := f.nomad.Jobs().ListOptions(&nomadapi.JobListOptions{Fields: &nomadapi.JobListFields{Meta: true}}, q)
		for _, j := range jobs {
			l.jobs[j.ID] = j
		}
		return meta, err
	})
	if err != nil {
		return l, fmt.Errorf("jobs: %w", err)
	}
	l.allocsIndex, err = pages(ctx, f, func(q *nomadapi.QueryOptions) (*nomadapi.QueryMeta, error) {
		q.Filter = onlySessions
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
		return l, fmt.Errorf("allocations: %w", err)
	}
	if err := f.refreshJobs(ctx, &l); err != nil {
		return l, fmt.Errorf("jobs: %w", err)
	}
	if !l.unplaced() {
		return l, nil
	}
	_, err = pages(ctx, f, func(q *nomadapi.QueryOptions) (*nomadapi.QueryMeta, error) {
		// A refused evaluation names the blocked one that follows it.
		q.Filter = onlySessions + ` and Status == "` + evalComplete + `" and BlockedEval != ""`
		evals, meta, err := f.nomad.Evaluations().List(q)
		for _, e := range evals {
			if last := l.evals[e.JobID]; last == nil || e.ModifyIndex > last.ModifyIndex {
				l.evals[e.JobID] = e
			}
		}
		return meta, err
	})
	if err != nil {
		return l, fmt.Errorf("evaluations: %w", err)
	}
	return l, nil
}

// pages reads a list to its end and gives the index of its first page: what
// happened after that may or may not be in the list.
func pages(ctx context.Context, f *Fleet, page func(*nomadapi.QueryOptions) (*nomadapi.QueryMeta, error)) (uint64, error) {
	var index uint64
	token := ""
	for {
		call, cancel := f.bounded(ctx)
		q := f.query(call, f.opts.Namespace, f.opts.Region)
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

// refreshJobs reads again the jobs whose allocation changed after the jobs
// were read, so that within one observation neither part is older than the
// observation's index: there are only ever a few.
func (f *Fleet) refreshJobs(ctx context.Context, l *listing) error {
	for id, alloc := range l.allocs {
		old := l.jobs[id]
		if old == nil || alloc.ModifyIndex <= l.jobsIndex {
			continue
		}
		call, cancel := f.bounded(ctx)
		job, _, err := f.nomad.Jobs().Info(id, f.query(call, alloc.Namespace, f.opts.Region))
		cancel()
		switch {
		case notFound(err):
			// Purged in between. Its allocation says nothing any more either.
			delete(l.jobs, id)
		case err != nil:
			return err
		default:
			fresh := *old
			fresh.Stop, fresh.Status, fresh.ModifyIndex = value(job.Stop), value(job.Status), value(job.ModifyIndex)
			l.jobs[id] = &fresh
		}
	}
	return nil
}

func (l listing) place(session string) place {
	job := l.jobs[session]
	return place{zone: job.Meta[metaZone], datacenters: job.Datacenters}
}

func (l listing) unplaced() bool {
	for id := range l.jobs {
		if l.allocs[id] == nil {
			return true
		}
	}
	return false
}

// index is the one after which Watch must begin to miss nothing.
func (l listing) index() uint64 { return min(l.jobsIndex, l.allocsIndex, l.nodesIndex) }

func (l listing) observations() []staging.Observation {
	out := make([]staging.Observation, 0, len(l.nodes)+len(l.jobs))
	for _, n := range l.nodes {
		out = append(out, staging.Observation{Index: n.ModifyIndex, Node: &staging.NodeFacts{ID: n.ID, Draining: n.Drain}})
	}
	for id, job := range l.jobs {
		facts, ok := jobFacts(id, job.Namespace, l.region, job.Meta, job.Stop, job.Status)
		if !ok {
			continue
		}
		o := staging.Observation{Session: id, Index: job.ModifyIndex, Job: &facts}
		if alloc := l.allocs[id]; alloc != nil {
			o.Alloc, o.Replaced = allocFacts(stubView(alloc)), l.replaced[id]
			o.Placement = &staging.PlacementFacts{}
			// The job was read again if the allocation is news to it, so this
			// index is that of the newest thing told here, and no newer.
			o.Index = max(o.Index, alloc.ModifyIndex)
		} else if eval := l.evals[id]; eval != nil {
			o.Placement = &staging.PlacementFacts{Refused: refusal(l.place(id), eval.FailedTGAllocs)}
		}
		out = append(out, o)
	}
	slices.SortStableFunc(out, func(a, b staging.Observation) int { return strings.Compare(a.Session, b.Session) })
	return out
}
