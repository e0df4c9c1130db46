package nomadfleet

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/greenroom/greenroom/internal/staging"
)

// Register creates the session's job and returns the id of its first evaluation. It
// never overwrites a job and may be repeated: if the session's job exists already, it
// succeeds with an evalID of "", and Placement then finds the evaluation itself.
//
// It is the only call that registers a job, and it only creates (EnforceRegister with an
// index of 0). Never register the job of an existing session: Nomad then checks anew
// whether its node fits, and stops the user's allocation if the node's meta, drivers or
// pool have changed since. A test holds this.
//
// If Nomad refuses the job, the error is a *staging.InvalidError about the jobspec. A
// run config or a volume mapping that the task's driver does not support is a
// *staging.InvalidError about that field. Every other error is ErrUnavailable, and
// the job may exist after it.
func (f *Fleet) Register(ctx context.Context, spec staging.Spec) (evalID string, err error) {
	s, image, z := spec.Session, spec.Image, spec.Zone
	template, err := f.template(ctx, image)
	if err != nil {
		return "", err
	}
	if err := checkDriver(template, spec); err != nil {
		return "", err
	}
	job := Fit(template, spec)
	if err := f.mark(job); err != nil {
		return "", unavailable("register job "+s.ID, err)
	}

	callCtx, cancel := f.withTimeout(ctx)
	defer cancel()
	response, _, err := f.nomad.Jobs().EnforceRegister(job, 0, f.writeOptions(callCtx, z.Namespace, z.Region))
	if err == nil {
		return response.EvalID, nil
	}
	op := "register job " + s.ID
	if _, _, hasResponse := responseError(err); !hasResponse {
		return "", unavailable(op, err)
	}
	// Nomad answers with status 500 if the job exists, if it refuses the job, and if
	// it has a problem itself. Two more calls tell these cases apart, since the text
	// of the response is no reliable sign.
	s.Namespace, s.Region = z.Namespace, z.Region
	switch exists, known := f.sessionJobExists(ctx, s); {
	case known && exists:
		return "", nil
	case !known:
		return "", unavailable(op, err)
	}
	problems, validateErr := f.validate(ctx, job, z.Namespace, z.Region)
	switch {
	case validateErr != nil:
		return "", unavailable(op, err)
	case len(problems) > 0:
		return "", invalidJobspec(image, oneLine(problems))
	}
	return "", unavailable(op, err)
}

// sessionJobExists reports whether a job with the session's id exists and belongs to
// the session. known is false if Nomad could not be asked.
func (f *Fleet) sessionJobExists(ctx context.Context, s staging.Session) (exists, known bool) {
	ctx, cancel := f.withTimeout(ctx)
	defer cancel()
	job, _, err := f.nomad.Jobs().Info(s.ID, f.sessionQuery(ctx, s))
	switch {
	case err == nil:
		own, err := f.ownership()
		return job.Meta[metaSession] == s.ID && own.owns(job.Meta), err == nil
	case notFound(err):
		return false, true
	}
	return false, false
}

// Stop ends the session. The job of another installation is left alone, which is an error. Nomad kills its allocation and keeps the job and its logs
// until they are purged. It succeeds if the job does not exist.
func (f *Fleet) Stop(ctx context.Context, s staging.Session) error {
	return f.deregister(ctx, s, false)
}

// Purge ends the session and removes its job and allocation from Nomad. Nomad sends
// no event for the removal. It succeeds if the job does not exist.
func (f *Fleet) Purge(ctx context.Context, s staging.Session) error {
	return f.deregister(ctx, s, true)
}

func (f *Fleet) deregister(ctx context.Context, s staging.Session, purge bool) error {
	if !strings.HasPrefix(s.ID, staging.SessionPrefix) {
		// This is the only call that destroys a job. It must never reach one that is
		// not a session's.
		return fmt.Errorf("nomad: deregister job %q: %w", s.ID, errNotASession)
	}
	ctx, cancel := f.withTimeout(ctx)
	defer cancel()
	if err := f.requireOwn(ctx, s); err != nil {
		return err
	}
	if _, _, err := f.nomad.Jobs().Deregister(s.ID, purge, f.writeOptions(ctx, s.Namespace, s.Region)); err != nil && !notFound(err) {
		return unavailable("deregister job "+s.ID, err)
	}
	return nil
}

var errNotASession = errors.New("this is not a session's id, so the job was left alone")
