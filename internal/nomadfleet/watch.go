package nomadfleet

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"sync"

	nomadapi "github.com/hashicorp/nomad/api"
	"golang.org/x/sync/errgroup"

	"github.com/greenroom/greenroom/internal/staging"
)

// waitingBatches bounds the transactions that wait to be emitted. Beyond that the stream is
// not read, and Nomad drops a reader that falls a hundred transactions behind.
const waitingBatches = 4096

// ListFunc lists all nodes and sessions, as List does.
type ListFunc = func(context.Context) ([]staging.Observation, error)

// Watch emits every change of nodes and sessions in order. It ends when ctx is done, when it
// may have missed an event, or with an error of follow. It returns the error of ctx,
// unwrapped, that of follow, or ErrUnavailable. The caller then watches again, with a
// backoff.
//
// Nomad keeps only about its last hundred transactions, and its stream has gaps without a
// sign of them. So the stream is opened first: then follow is called, once, in a goroutine of
// its own, and gets a function to list everything, at the start and whenever it likes. No
// event is emitted before the first list has been read, and none afterwards that this list
// contains. Beside later lists all events are emitted as they come, and may be older or
// newer than the list: the index of an observation tells. So no event waits for what follow
// does with a list.
//
// emit is called from one goroutine.
func (f *Fleet) Watch(ctx context.Context, emit func(staging.Observation), follow func(context.Context, ListFunc) error) error {
	w := &watcher{region: f.opts.Region, emit: emit, properties: f.spreadProperties, own: map[string]ownJob{}, listed: make(chan struct{})}
	g, within := errgroup.WithContext(ctx)
	batches, opened := make(chan batch, waitingBatches), make(chan struct{})
	g.Go(func() error {
		err := f.stream(within, func() { close(opened) }, func(b batch) error {
			select {
			case batches <- b:
				return nil
			case <-within.Done():
				return within.Err()
			}
		})
		return unavailable("watch sessions", err)
	})
	g.Go(func() error { return w.run(within, batches) })
	g.Go(func() error {
		select {
		case <-opened:
		case <-within.Done():
			return within.Err()
		}
		return follow(within, func(ctx context.Context) ([]staging.Observation, error) {
			l, err := f.list(ctx)
			if err != nil {
				return nil, unavailable("list sessions", err)
			}
			w.take(&l)
			return l.observations(), nil
		})
	})
	err := g.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// watcher turns events into observations.
type watcher struct {
	region string
	emit   func(staging.Observation)
	// properties are those by which pools are spread.
	properties func() []string
	// listed is closed by the first list, once. A Nomad without jobs has no index to tell it by.
	listed chan struct{}
	first  sync.Once

	// mu guards the rest: a list may be taken over between two batches.
	mu    sync.Mutex
	owner owner
	// The index up to which each table was in the first list.
	seenJobs, seenAllocs, seenNodes uint64
	// own has the sessions whose jobs belong to the owner. Events of an allocation or an
	// evaluation do not contain the job's meta. The job's own event comes before them.
	own map[string]ownJob
}

// ownJob is a job of the owner's: the index at which it was last seen, and where it was to
// run. A message about a refused placement needs that, and an evaluation does not contain it.
type ownJob struct {
	index    uint64
	location *location
}

// take takes over a list. Jobs that it lacks were purged, unless they are newer.
func (w *watcher) take(l *listing) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.owner = l.owner
	maps.DeleteFunc(w.own, func(_ string, j ownJob) bool { return j.index <= l.jobsIndex })
	for id, j := range l.jobs {
		if _, newer := w.own[id]; j.own && !newer {
			w.own[id] = ownJob{j.index, j.location}
		}
	}
	w.first.Do(func() {
		w.seenJobs, w.seenAllocs, w.seenNodes = l.jobsIndex, l.allocsIndex, l.nodesIndex
		close(w.listed)
	})
}

// run emits the batches that come, after the first list.
func (w *watcher) run(ctx context.Context, batches <-chan batch) error {
	select {
	case <-w.listed:
	case <-ctx.Done():
		return ctx.Err()
	}
	for {
		select {
		case b := <-batches:
			if err := w.batch(b); err != nil {
				return unavailable("watch sessions", err)
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// batch emits the observations of one transaction. It emits clones last, because the
// same transaction may contain the reason why the session was replaced.
func (w *watcher) batch(b batch) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var clones []staging.Observation
	for _, e := range b.Events {
		o, err := w.event(e)
		switch {
		case err != nil:
			return fmt.Errorf("decode %s event %s at index %d: %w", e.Topic, e.Type, e.Index, err)
		case o.Replaced:
			clones = append(clones, o)
		case o != (staging.Observation{}):
			w.emit(o)
		}
	}
	for _, o := range clones {
		w.emit(o)
	}
	return nil
}

// event returns the observation of one event. It is zero if the event concerns neither
// a session nor a node, or if it was emitted before. An event that cannot be decoded is
// an error, because its change would be missed.
func (w *watcher) event(e event) (o staging.Observation, err error) {
	switch nomadapi.Topic(e.Topic) {
	case nomadapi.TopicJob:
		if !isSessionID(e.Key) || e.Index <= w.seenJobs {
			return o, nil
		}
	case nomadapi.TopicAllocation, nomadapi.TopicEvaluation:
		if len(e.FilterKeys) == 0 || e.Index <= w.seenAllocs {
			return o, nil
		}
		if _, own := w.own[e.FilterKeys[0]]; !own {
			return o, nil
		}
	case nomadapi.TopicNode:
		if e.Index <= w.seenNodes {
			return o, nil
		}
	default:
		return o, nil
	}
	var p payload
	if err := json.Unmarshal(e.Payload, &p); err != nil {
		return o, err
	}
	switch {
	case p.Job != nil:
		if facts := w.job(e, p.Job); facts != nil {
			o = staging.Observation{Session: e.Key, Index: e.Index, Job: facts}
		}
	case p.Allocation != nil && p.Allocation.PreviousAllocation != "":
		o = staging.Observation{Session: p.Allocation.JobID, Index: e.Index, Replaced: true}
	case p.Allocation != nil:
		o = staging.Observation{Session: p.Allocation.JobID, Index: e.Index, Alloc: allocFacts(viewOfAlloc(p.Allocation))}
	case p.Evaluation != nil:
		if facts := w.placement(p.Evaluation); facts != nil {
			o = staging.Observation{Session: p.Evaluation.JobID, Index: e.Index, Placement: facts}
		}
	case p.Node != nil:
		o = staging.Observation{Index: e.Index, Node: changedNode(e.Key, p.Node, w.properties())}
	}
	return o, nil
}

func (w *watcher) job(e event, job *nomadapi.Job) *staging.JobFacts {
	deregistered := e.Type == "JobDeregistered" || e.Type == "JobBatchDeregistered"
	facts, ok := jobFacts(e.Key, deref(job.Namespace), w.region, job.Meta, deregistered || deref(job.Stop), deref(job.Status))
	if !ok || !w.owner.owns(job.Meta) {
		return nil
	}
	facts.TakenOver = w.owner.takenOver(job.Meta)
	at := w.own[e.Key].location
	if at == nil {
		found := locationIn(job.Datacenters, job.Meta)
		at = &found
	}
	w.own[e.Key] = ownJob{e.Index, at}
	return &facts
}

// placement returns the decision of an evaluation. It returns nil if there is none yet,
// or if the evaluation is not about a placement.
func (w *watcher) placement(eval *nomadapi.Evaluation) *staging.PlacementFacts {
	if eval.Status != evalComplete || eval.TriggeredBy == triggerDeregister {
		return nil
	}
	var at location
	if job := w.own[eval.JobID]; job.location != nil {
		at = *job.location
	}
	return &staging.PlacementFacts{Refused: refusal(at, eval.FailedTGAllocs)}
}
