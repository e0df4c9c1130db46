package nomadfleet

import (
	"context"
	"fmt"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// waitTime bounds one blocking query, which is repeated after it.
const waitTime = 30 * time.Second

const (
	evalComplete  = "complete"
	evalFailed    = "failed"
	evalCancelled = "canceled"

	triggerRegister   = "job-register"
	triggerDeregister = "job-deregister"
)

// Placement waits until the scheduler has decided where the session runs, and returns
// the decision. Refused says why no node was chosen. evalID is the one that Register
// returned; for "" Placement looks up the evaluation of the job's registration.
//
// If ctx is done first, the error is that of ctx, unwrapped. Every other error is
// ErrUnavailable.
func (f *Fleet) Placement(ctx context.Context, s staging.Session, evalID string) (staging.PlacementFacts, error) {
	var index uint64
	for {
		eval, next, err := f.evaluation(ctx, s, evalID, index)
		switch {
		case ctx.Err() != nil:
			return staging.PlacementFacts{}, ctx.Err()
		case err != nil:
			return staging.PlacementFacts{}, err
		case eval == nil:
		case eval.Status == evalComplete:
			if len(eval.FailedTGAllocs) == 0 {
				return staging.PlacementFacts{}, nil
			}
			return staging.PlacementFacts{Refused: refusal(f.locationOf(ctx, s), eval.FailedTGAllocs)}, nil
		case eval.Status == evalFailed, eval.Status == evalCancelled:
			return staging.PlacementFacts{}, unavailable("place job "+s.ID, fmt.Errorf("evaluation %s is %s: %s", eval.ID, eval.Status, eval.StatusDescription))
		}
		index = nextWaitIndex(next)
	}
}

// locationOf returns where the session was to run. Only a message uses it, so if the
// job cannot be read, the message just says less.
func (f *Fleet) locationOf(ctx context.Context, s staging.Session) location {
	ctx, cancel := f.withTimeout(ctx)
	defer cancel()
	if job, _, err := f.nomad.Jobs().Info(s.ID, f.sessionQuery(ctx, s)); err == nil {
		return locationIn(job.Datacenters, job.Meta)
	}
	return location{zone: s.Zone}
}

// evaluation waits until an evaluation is newer than index and returns it. It returns
// nil if the job's registration has no evaluation yet. Errors are ErrUnavailable.
func (f *Fleet) evaluation(ctx context.Context, s staging.Session, evalID string, index uint64) (*nomadapi.Evaluation, uint64, error) {
	q := f.blockingQuery(ctx, s, index)
	if evalID != "" {
		eval, meta, err := f.nomad.Evaluations().Info(evalID, q)
		if err != nil {
			return nil, 0, unavailable("read evaluation "+evalID+" of job "+s.ID, err)
		}
		return eval, meta.LastIndex, nil
	}
	evals, meta, err := f.nomad.Jobs().Evaluations(s.ID, q)
	if err != nil {
		return nil, 0, unavailable("list the evaluations of job "+s.ID, err)
	}
	var first *nomadapi.Evaluation
	for _, e := range evals {
		if e.TriggeredBy == triggerRegister && (first == nil || e.CreateIndex < first.CreateIndex) {
			first = e
		}
	}
	return first, meta.LastIndex, nil
}

// blockingQuery returns options for a read that waits for a change after index.
func (f *Fleet) blockingQuery(ctx context.Context, s staging.Session, index uint64) *nomadapi.QueryOptions {
	q := f.sessionQuery(ctx, s)
	q.WaitIndex, q.WaitTime = index, waitTime
	return q
}

// nextWaitIndex returns the index to wait on next. It may be lower than the last one
// if Nomad restored a snapshot. It is never 0, because such a query would not wait.
func nextWaitIndex(next uint64) uint64 { return max(next, 1) }

// WaitRunning waits until the session's allocation runs or is over. It returns the
// address and ports, or the failure. If ctx is done first, the error is that of ctx,
// unwrapped, and the facts are those known so far.
func (f *Fleet) WaitRunning(ctx context.Context, s staging.Session) (staging.AllocFacts, error) {
	facts, err := f.waitForAlloc(ctx, s, func(a staging.AllocFacts) bool { return a.Running || a.Over })
	if err != nil {
		return facts, err
	}
	return f.withEndpoints(ctx, s, facts)
}

// WaitOver waits until the session's allocation is over, and returns its failure if
// there is one. If ctx is done first, the error is that of ctx, unwrapped.
func (f *Fleet) WaitOver(ctx context.Context, s staging.Session) (staging.AllocFacts, error) {
	return f.waitForAlloc(ctx, s, func(a staging.AllocFacts) bool { return a.Over })
}

// waitForAlloc waits until done holds for the session's first allocation.
func (f *Fleet) waitForAlloc(ctx context.Context, s staging.Session, done func(staging.AllocFacts) bool) (staging.AllocFacts, error) {
	var index uint64
	var facts staging.AllocFacts
	for {
		allocs, meta, err := f.nomad.Jobs().Allocations(s.ID, true, f.blockingQuery(ctx, s, index))
		switch {
		case ctx.Err() != nil:
			return facts, ctx.Err()
		case err != nil:
			return facts, unavailable("list the allocations of job "+s.ID, err)
		}
		if first := firstAlloc(allocs); first != nil {
			facts = *allocFacts(viewOfStub(first))
			if done(facts) {
				return facts, nil
			}
		}
		index = nextWaitIndex(meta.LastIndex)
	}
}

// withEndpoints adds the address and the ports, which the list of a job's allocations
// does not contain.
func (f *Fleet) withEndpoints(ctx context.Context, s staging.Session, facts staging.AllocFacts) (staging.AllocFacts, error) {
	ctx, cancel := f.withTimeout(ctx)
	defer cancel()
	alloc, _, err := f.nomad.Allocations().Info(facts.ID, f.sessionQuery(ctx, s))
	if err != nil {
		return facts, unavailable("read allocation "+facts.ID+" of job "+s.ID, err)
	}
	facts.Address, facts.Ports = endpoints(alloc.AllocatedResources)
	return facts, nil
}
