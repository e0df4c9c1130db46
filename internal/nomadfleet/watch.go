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
	w.seenJobs, w.seenAllocs = l.jobsIndex, l.allocsIndex
	for _, o := range l.observations() {
		w.places[o.Session] = l.place(o.Session)
		w.emit(o)
	}
	return nil
}

// watcher turns events into observations.
type watcher struct {
	region string
	emit   func(staging.Observation)
	// seenJobs and seenAllocs are the indexes up to which all is emitted.
	seenJobs, seenAllocs uint64
	// places are those of the sessions that there are, for the messages of
	// evaluations, which do not know them.
	places map[string]place
}

func (w *watcher) batch(b batch) error {
	for _, e := range b.Events {
		if err := w.event(e); err != nil {
			return fmt.Errorf("%s event %s at index %d: %w", e.Topic, e.Type, e.Index, err)
		}
	}
	return nil
}

// event emits one event's observation, if it is a session's and news. An
// event that cannot be read is an error: what it said would be missed.
func (w *watcher) event(e event) error {
	switch nomadapi.Topic(e.Topic) {
	case nomadapi.TopicJob:
		if !sessionID(e.Key) || e.Index <= w.seenJobs {
			return nil
		}
	case nomadapi.TopicAllocation:
		if len(e.FilterKeys) == 0 || !sessionID(e.FilterKeys[0]) || e.Index <= w.seenAllocs {
			return nil
		}
	case nomadapi.TopicEvaluation:
		if len(e.FilterKeys) == 0 || !sessionID(e.FilterKeys[0]) || e.Index <= w.seenAllocs {
			return nil
		}
	default:
		return nil
	}
	var p payload
	if err := json.Unmarshal(e.Payload, &p); err != nil {
		return err
	}
	o := staging.Observation{Index: e.Index}
	switch {
	case p.Job != nil:
		o.Session, o.Job = e.Key, w.job(e, p.Job)
	case p.Allocation != nil:
		if p.Allocation.PreviousAllocation != "" {
			// A clone that Nomad made of a lost or stopped allocation.
			return nil
		}
		o.Session, o.Alloc = p.Allocation.JobID, allocFacts(fullView(p.Allocation))
	case p.Evaluation != nil:
		o.Session, o.Placement = p.Evaluation.JobID, w.placement(p.Evaluation)
	}
	if o.Job != nil || o.Alloc != nil || o.Placement != nil {
		w.emit(o)
	}
	return nil
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
