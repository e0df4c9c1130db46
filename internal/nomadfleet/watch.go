package nomadfleet

import (
	"context"
	"encoding/json"
	"fmt"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// Watch emits the current observation of every node and session, and then every
// change in order. It ends when ctx is done or when it may have missed an event. It
// always returns an error: that of ctx, unwrapped, or ErrUnavailable. The caller then
// lists and watches again, with a backoff.
//
// index is that of the caller's last List. Nomad keeps only about its last hundred
// transactions, and its stream has gaps without a sign of them. So Watch opens the
// stream first, lists after that, emits the list and drops the events that the list
// contains. It does not notice a job that was purged between the caller's List and
// its own.
//
// emit is called from one goroutine. It must return quickly, because Nomad drops a
// reader that is too slow.
func (f *Fleet) Watch(ctx context.Context, index uint64, emit func(staging.Observation)) error {
	w := watcher{region: f.opts.Region, emit: emit, own: map[string]bool{}, locations: map[string]location{}}
	err := f.stream(ctx, index, func() error { return f.catchUp(ctx, &w) }, w.batch)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return unavailable("watch sessions", err)
}

// catchUp emits a list of everything. The stream must be open before it lists.
func (f *Fleet) catchUp(ctx context.Context, w *watcher) error {
	l, err := f.list(ctx)
	if err != nil {
		return err
	}
	w.seenJobs, w.seenAllocs, w.seenNodes, w.owner = l.jobsIndex, l.allocsIndex, l.nodesIndex, l.owner
	for _, o := range l.observations() {
		if o.Session != "" && o.Foreign == "" {
			w.own[o.Session], w.locations[o.Session] = true, l.locationOf(o.Session)
		}
		w.emit(o)
	}
	return nil
}

// watcher turns events into observations.
type watcher struct {
	region string
	owner  owner
	emit   func(staging.Observation)
	// The index up to which each table was emitted.
	seenJobs, seenAllocs, seenNodes uint64
	// own has the sessions whose jobs belong to the owner. Events of an allocation or an
	// evaluation do not contain the job's meta. The job's own event comes before them.
	own map[string]bool
	// locations has the location of each existing session. A message about a refused
	// placement needs it, and an evaluation does not contain it.
	locations map[string]location
}

// batch emits the observations of one transaction. It emits clones last, because the
// same transaction may contain the reason why the session was replaced.
func (w *watcher) batch(b batch) error {
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
		if len(e.FilterKeys) == 0 || !w.own[e.FilterKeys[0]] || e.Index <= w.seenAllocs {
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
		o = staging.Observation{Index: e.Index, Node: &staging.NodeFacts{
			ID: e.Key, Name: p.Node.Name, Draining: p.Node.DrainStrategy != nil,
			Condition: conditionOf(p.Node.Status, p.Node.SchedulingEligibility, p.Node.Drivers),
		}}
	}
	return o, nil
}

func (w *watcher) job(e event, job *nomadapi.Job) *staging.JobFacts {
	deregistered := e.Type == "JobDeregistered" || e.Type == "JobBatchDeregistered"
	facts, ok := jobFacts(e.Key, deref(job.Namespace), w.region, job.Meta, deregistered || deref(job.Stop), deref(job.Status))
	if !ok || !w.owner.owns(job.Meta) {
		return nil
	}
	w.own[e.Key], facts.TakenOver = true, w.owner.takenOver(job.Meta)
	if facts.Stopped {
		delete(w.locations, e.Key)
	} else {
		w.locations[e.Key] = locationIn(job.Datacenters, job.Meta)
	}
	return &facts
}

// placement returns the decision of an evaluation. It returns nil if there is none yet,
// or if the evaluation is not about a placement.
func (w *watcher) placement(eval *nomadapi.Evaluation) *staging.PlacementFacts {
	if eval.Status != evalComplete || eval.TriggeredBy == triggerDeregister {
		return nil
	}
	return &staging.PlacementFacts{Refused: refusal(w.locations[eval.JobID], eval.FailedTGAllocs)}
}
