package nomadfleet

import (
	"context"
	"fmt"

	"github.com/greenroom/greenroom/internal/staging"
)

// Find reads a session from its job and its first allocation: what it is, where
// it runs, and its ports. The session given names its id, namespace and region.
// staging.ErrNoSession when its job is not there, stopped or over; a session that
// has not been placed comes without an allocation. Other errors are ErrUnavailable.
func (f *Fleet) Find(ctx context.Context, s staging.Session) (staging.Session, error) {
	ctx, cancel := f.bounded(ctx)
	defer cancel()
	op := "find " + s.ID
	job, _, err := f.nomad.Jobs().Info(s.ID, f.of(ctx, s))
	if notFound(err) {
		return s, fmt.Errorf("%w: %s", staging.ErrNoSession, s.ID)
	}
	if err != nil {
		return s, unavailable(op, err)
	}
	facts, ours := jobFacts(s.ID, s.Namespace, s.Region, job.Meta, value(job.Stop), value(job.Status))
	if !ours || facts.Stopped || facts.Dead {
		return s, fmt.Errorf("%w: %s", staging.ErrNoSession, s.ID)
	}
	found := facts.Session
	allocs, _, err := f.nomad.Jobs().Allocations(s.ID, true, f.of(ctx, s))
	if err != nil {
		return s, unavailable(op, err)
	}
	first := firstAlloc(allocs)
	if first == nil {
		return found, nil
	}
	alloc, _, err := f.nomad.Allocations().Info(first.ID, f.of(ctx, s))
	if err != nil {
		return s, unavailable(op, err)
	}
	found.AllocID, found.NodeID = alloc.ID, alloc.NodeID
	found.Address, found.Ports = endpoints(alloc.AllocatedResources)
	return found, nil
}
