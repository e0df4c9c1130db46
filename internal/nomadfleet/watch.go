package nomadfleet

import (
	"context"
	"encoding/json"
	"fmt"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// Watch emits, in order, how every session stands and then all news of them,
// until ctx is done or it can no longer be sure to miss nothing; it always
// returns an error: ctx's as it is, else an ErrUnavailable. The caller lists
// anew and watches again, with a pause that grows.
//
// index is that of the caller's last List. Nomad's stream itself leaves gaps in
// silence, since it keeps only its last hundred transactions or so. So Watch
// opens the stream first and lists after that, emits the list, and leaves out
// the events that the list includes. What it cannot tell of is a job that was
// purged between the caller's List and its own.
//
// emit is called from one goroutine. Nomad drops a reader that is too slow, so
// it should only take note.
func (f *Fleet) Watch(ctx context.Context, index uint64, emit func(staging.Observation)) error {
	w := watcher{region: f.opts.Region, emit: emit, places: map[string]place{}}
	err := f.stream(ctx, index, func() error { return f.catchUp(ctx, &w) }, w.batch)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return unavailable("watch the sessions", err)
}

// catchUp emits how everything stands, the stream being open.
func (f *Fleet) catchUp(ctx context.Context, w *watcher) error {
	l, err := f.list(ctx)
	if err != nil {
		return err
	}
	w.seenJobs, w.seenAllocs, w.seenNodes = l.jobsIndex, l.allocsIndex, l.nodesIndex
	for _, o := range l.observations() {
		if o.Session != "" {
			w.places[o.Session] = l.place(o.Session)
		}
		w.emit(o)
	}
	return nil
}

// watcher turns events into observations.
type watcher struct {
	region string
	emit   func(staging.Observation)
	// The indexes up to which all is emitted.
	seenJobs, seenAllocs, seenNodes uint64
	// places are those of the sessions that there are, for the messages of
	// evaluations, which do not know them.
	places map[string]place
}

// batch emits one transaction's observations. Those of clones come last: the
// transaction may also say why the session was replaced.
func (w *watcher) batch(b batch) error {
	var clones []staging.Observation
	for _, e := range b.Events {
		o, err := w.event(e)
		switch {
		case err != nil:
			return fmt.Errorf("%s event %s at index %d: %w", e.Topic, e.Type, e.Index, err)
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

// event is one event's observation; the zero one when it is neither a session's
// nor a node's, or no news. An event that cannot be read is an error: what it said
// would be missed.
func (w *watcher) event(e event) (o staging.Observation, err error) {
	switch nomadapi.Topic(e.Topic) {
	case nomadapi.TopicJob:
		if !sessionID(e.Key) || e.Index <= w.seenJobs {
			return o, nil
		}
	case nomadapi.TopicAllocation, nomadapi.TopicEvaluation:
		if len(e.FilterKeys) == 0 || !sessionID(e.FilterKeys[0]) || e.Index <= w.seenAllocs {
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
		o = staging.Observation{Session: p.Allocation.JobID, Index: e.Index, Alloc: allocFacts(fullView(p.Allocation))}
	case p.Evaluation != nil:
		if facts := w.placement(p.Evaluation); facts != nil {
			o = staging.Observation{Session: p.Evaluation.JobID, Index: e.Index, Placement: facts}
		}
	case p.Node != nil:
		o = staging.Observation{Index: e.Index, Node: &staging.NodeFacts{ID: e.Key, Draining: p.Node.DrainStrategy != nil}}
	}
	return o, nil
}

func (w *watcher) job(e event, job *nomadapi.Job) *staging.JobFacts {
	deregistered := e.Type == "JobDeregistered" || e.Type == "JobBatchDeregistered"
	facts, ok := jobFacts(e.Key, value(job.Namespace), w.region, job.Meta, deregistered || value(job.Stop), value(job.Status))
	if !ok {
		return nil
	}
	if facts.Stopped {
		delete(w.places, e.Key)
	} else {
		w.places[e.Key] = place{zone: facts.Session.Zone, datacenters: job.Datacenters}
	}
	return &facts
}

// placement is what an evaluation decided; nil while it has not, or when it
// was about something else.
func (w *watcher) placement(eval *nomadapi.Evaluation) *staging.PlacementFacts {
	if eval.Status != evalComplete || eval.TriggeredBy == triggerDeregister {
		return nil
	}
	return &staging.PlacementFacts{Refused: refusal(w.places[eval.JobID], eval.FailedTGAllocs)}
}
