package nomadfleet

import (
	"context"
	"fmt"

	"github.com/greenroom/greenroom/internal/staging"
)

// Find reads a session from its job and its first allocation: its fields, its node,
// its address and its ports. The argument names the session by id, namespace and
// region. A session that is not placed yet is returned without an allocation. Its State is
// staging.Starting until Nomad runs its main task, which may be after its checks pass.
// The error is staging.ErrNoSession if the job does not exist, is stopped, has ended or
// belongs to another installation, if it is stopped or has ended with
// staging.ErrSessionOver; else ErrUnavailable.
func (f *Fleet) Find(ctx context.Context, s staging.Session) (staging.Session, error) {
	ctx, cancel := f.withTimeout(ctx)
	defer cancel()
	job, _, err := f.nomad.Jobs().Info(s.ID, f.sessionQuery(ctx, s))
	if notFound(err) {
		return s, fmt.Errorf("%w: %s", staging.ErrNoSession, s.ID)
	}
	if err != nil {
		return s, unavailable("read job "+s.ID, err)
	}
	own, err := f.ownership()
	if err != nil {
		return s, unavailable("read job "+s.ID, err)
	}
	facts, isSession := jobFacts(s.ID, s.Namespace, s.Region, job.Meta, deref(job.Stop), deref(job.Status))
	switch {
	case !isSession || !own.owns(job.Meta):
		return s, fmt.Errorf("%w: %s", staging.ErrNoSession, s.ID)
	case facts.Stopped || facts.Dead:
		return s, fmt.Errorf("%w: %s: %w", staging.ErrNoSession, s.ID, staging.ErrSessionOver)
	}
	found := facts.Session
	allocs, _, err := f.nomad.Jobs().Allocations(s.ID, true, f.sessionQuery(ctx, s))
	if err != nil {
		return s, unavailable("list the allocations of job "+s.ID, err)
	}
	first := firstAlloc(allocs)
	if first == nil {
		found.State = staging.Starting
		return found, nil
	}
	alloc, _, err := f.nomad.Allocations().Info(first.ID, f.sessionQuery(ctx, s))
	if err != nil {
		return s, unavailable("read allocation "+first.ID+" of job "+s.ID, err)
	}
	found.AllocID, found.NodeID = alloc.ID, alloc.NodeID
	found.Address, found.Ports = endpoints(alloc.AllocatedResources)
	found.Restarts = restarts(alloc.TaskStates)[found.Task]
	if task := alloc.TaskStates[found.Task]; task == nil || task.StartedAt.IsZero() {
		found.State = staging.Starting
	}
	return found, nil
}
