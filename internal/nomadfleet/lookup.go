package nomadfleet

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/greenroom/greenroom/internal/staging"
)

// jobNotFound is what Nomad itself answers, with status 404, about a job that does not
// exist. A 404 with another text comes from something else at Nomad's address.
const jobNotFound = "job not found"

// Exists reports whether Nomad has the job of a session, which the argument names by id,
// namespace and region. A list cannot tell: Nomad silently leaves out of it what the token
// may not list.
//
// exists is false only if Nomad answered that there is no such job. Errors are
// staging.ErrJobDenied if the token may not read the job, else ErrUnavailable.
func (f *Fleet) Exists(ctx context.Context, s staging.Session) (exists bool, err error) {
	ctx, cancel := f.withTimeout(ctx)
	defer cancel()
	if s.Region == "" {
		s.Region = f.opts.Region
	}
	_, _, err = f.nomad.Jobs().Info(s.ID, f.sessionQuery(ctx, s))
	status, body, answered := responseError(err)
	switch {
	case err == nil:
		return true, nil
	case answered && status == http.StatusNotFound && strings.Contains(body, jobNotFound):
		return false, nil
	case answered && status == http.StatusForbidden:
		return false, fmt.Errorf("%w: %w", staging.ErrJobDenied, unavailable("read job "+s.ID, err))
	}
	return false, unavailable("read job "+s.ID, err)
}
