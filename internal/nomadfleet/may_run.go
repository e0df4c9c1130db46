package nomadfleet

import (
	"context"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// MayRun reports whether anything of a session runs or may still run: its job is there and
// not stopped, or one of its allocations has not ended on its node. A job counts as dead as
// soon as its allocations are to stop, and they may then save for a while.
func (f *Fleet) MayRun(ctx context.Context, s staging.Session) (bool, error) {
	ctx, cancel := f.withTimeout(ctx)
	defer cancel()
	job, _, err := f.nomad.Jobs().Info(s.ID, f.sessionQuery(ctx, s))
	switch {
	case notFound(err):
	case err != nil:
		return true, unavailable("read job "+s.ID, err)
	case !deref(job.Stop) && deref(job.Status) != jobStatusDead:
		return true, nil
	}
	allocs, _, err := f.nomad.Jobs().Allocations(s.ID, true, f.sessionQuery(ctx, s))
	if err != nil {
		return true, unavailable("list the allocations of job "+s.ID, err)
	}
	for _, a := range allocs {
		switch a.ClientStatus {
		case nomadapi.AllocClientStatusComplete, nomadapi.AllocClientStatusFailed, nomadapi.AllocClientStatusLost:
		default:
			return true, nil
		}
	}
	return false, nil
}
