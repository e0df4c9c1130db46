package nomadfleet

import (
	"context"
	"net/http"
	"strings"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// Remains reads what Nomad has of a session, which the argument names by id, namespace and
// region. A job counts as dead as soon as its allocations are to stop, and they may then save
// for a while, so the allocations are read as well.
//
// An allocation that Nomad calls lost has ended: its node is down. Errors are ErrUnavailable.
func (f *Fleet) Remains(ctx context.Context, s staging.Session) (staging.Remains, error) {
	ctx, cancel := f.withTimeout(ctx)
	defer cancel()
	if s.Region == "" {
		s.Region = f.opts.Region
	}
	job, _, err := f.nomad.Jobs().Info(s.ID, f.sessionQuery(ctx, s))
	status, body, answered := responseError(err)
	switch {
	case err == nil:
	case answered && status == http.StatusNotFound && strings.Contains(body, jobNotFound):
		return staging.Remains{}, nil // a purge deletes the allocations as well
	default:
		return staging.Remains{}, unavailable("read job "+s.ID, err)
	}
	if !deref(job.Stop) && deref(job.Status) != jobStatusDead {
		return staging.Remains{Job: true, MayRun: true}, nil
	}
	allocs, _, err := f.nomad.Jobs().Allocations(s.ID, true, f.sessionQuery(ctx, s))
	if err != nil {
		return staging.Remains{}, unavailable("list the allocations of job "+s.ID, err)
	}
	for _, a := range allocs {
		switch a.ClientStatus {
		case nomadapi.AllocClientStatusComplete, nomadapi.AllocClientStatusFailed, nomadapi.AllocClientStatusLost:
		default:
			return staging.Remains{Job: true, MayRun: true}, nil
		}
	}
	return staging.Remains{Job: true}, nil
}
