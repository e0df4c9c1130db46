package nomadfleet

import (
	"context"
	"fmt"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// waitTime is how long one blocking query may hang before it is asked anew.
const waitTime = 30 * time.Second

const (
	evalComplete  = "complete"
	evalFailed    = "failed"
	evalCancelled = "canceled"

	triggerRegister   = "job-register"
	triggerDeregister = "job-deregister"
)

// Placement waits until the scheduler has decided where the session runs, and
// gives its decision: a Refused one says why no node would do. evalID is what
// Register gave; with "" the evaluation of the job's registration is looked up.
//
// When ctx is done first its error is returned as it is. Anything else that
// keeps the decision from being known is ErrUnavailable.
func (f *Fleet) Placement(ctx context.Context, s staging.Session, evalID string) (staging.PlacementFacts, error) {
	op := "place " + s.ID
	var index uint64
	for {
		eval, next, err := f.evaluation(ctx, s, evalID, index)
		switch {
		case ctx.Err() != nil:
			return staging.PlacementFacts{}, ctx.Err()
		case err != nil:
			return staging.PlacementFacts{}, unavailable(op, err)
		case eval == nil:
		case eval.Status == evalComplete:
			if len(eval.FailedTGAllocs) == 0 {
				return staging.PlacementFacts{}, nil
			}
			return staging.PlacementFacts{Refused: refusal(f.place(ctx, s), eval.FailedTGAllocs)}, nil
		case eval.Status == evalFailed, eval.Status == evalCancelled:
			return staging.PlacementFacts{}, unavailable(op, fmt.Errorf("its evaluation is %s: %s", eval.Status, eval.StatusDescription))
		}
		index = advance(next)
	}
}

// place is where the session was to run. It is for a message alone, which is
// poorer without it, so a job that cannot be read is no error.
func (f *Fleet) place(ctx context.Context, s staging.Session) place {
	ctx, cancel := f.bounded(ctx)
	defer cancel()
	at := place{zone: s.Zone}
	if job, _, err := f.nomad.Jobs().Info(s.ID, f.of(ctx, s)); err == nil {
		at.datacenters = job.Datacenters
	}
	return at
}

// evaluation reads an evaluation once it is newer than index; nil when the job
// has none of its registration yet.
func (f *Fleet) evaluation(ctx context.Context, s staging.Session, evalID string, index uint64) (*nomadapi.Evaluation, uint64, error) {
	q := f.waiting(ctx, s, index)
	if evalID != "" {
		eval, meta, err := f.nomad.Evaluations().Info(evalID, q)
		if err != nil {
			return nil, 0, err
		}
		return eval, meta.LastIndex, nil
	}
	evals, meta, err := f.nomad.Jobs().Evaluations(s.ID, q)
	if err != nil {
		return nil, 0, err
	}
	var first *nomadapi.Evaluation
	for _, e := range evals {
		if e.TriggeredBy == triggerRegister && (first == nil || e.CreateIndex < first.CreateIndex) {
			first = e
		}
	}
	return first, meta.LastIndex, nil
}

// waiting gives options for a read that hangs until there is news after index.
func (f *Fleet) waiting(ctx context.Context, s staging.Session, index uint64) *nomadapi.QueryOptions {
	q := f.of(ctx, s)
	q.WaitIndex, q.WaitTime = index, waitTime
	return q
}

// advance is the index to wait on next. One that went backwards, after a
// snapshot was restored, is followed; and none is ever 0, which would not wait.
func advance(next uint64) uint64 { return max(next, 1) }

// WaitRunning waits until the session's allocation runs, with its address and
// ports, or is over, with its failure. When ctx is done first its error is
// returned as it is, with what was known until then.
func (f *Fleet) WaitRunning(ctx context.Context, s staging.Session) (staging.AllocFacts, error) {
	facts, err := f.await(ctx, s, func(a staging.AllocFacts) bool { return a.Running || a.Over })
	if err != nil {
		return facts, err
	}
	return f.withEndpoints(ctx, s, facts)
}

// WaitOver waits until the session's allocation is over, with its failure.
// When ctx is done first its error is returned as it is.
func (f *Fleet) WaitOver(ctx context.Context, s staging.Session) (staging.AllocFacts, error) {
	return f.await(ctx, s, func(a staging.AllocFacts) bool { return a.Over })
}

// await waits until the session's first allocation is as wanted.
func (f *Fleet) await(ctx context.Context, s staging.Session, wanted func(staging.AllocFacts) bool) (staging.AllocFacts, error) {
	op := "wait for " + s.ID
	var index uint64
	var facts staging.AllocFacts
	for {
		allocs, meta, err := f.nomad.Jobs().Allocations(s.ID, true, f.waiting(ctx, s, index))
		switch {
		case ctx.Err() != nil:
			return facts, ctx.Err()
		case err != nil:
			return facts, unavailable(op, err)
		}
		if first := firstAlloc(allocs); first != nil {
			facts = *allocFacts(stubView(first))
			if wanted(facts) {
				return facts, nil
			}
		}
		index = advance(meta.LastIndex)
	}
}

// withEndpoints adds the address and ports, which the list of a job's
// allocations leaves out.
func (f *Fleet) withEndpoints(ctx context.Context, s staging.Session, facts staging.AllocFacts) (staging.AllocFacts, error) {
	ctx, cancel := f.bounded(ctx)
	defer cancel()
	alloc, _, err := f.nomad.Allocations().Info(facts.ID, f.of(ctx, s))
	if err != nil {
		return facts, unavailable("show the allocation of "+s.ID, err)
	}
	facts.Address, facts.Ports = endpoints(alloc.AllocatedResources)
	return facts, nil
}
