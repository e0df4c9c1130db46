package nomadfleet

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/greenroom/greenroom/internal/staging"
)

// Register creates the session's job and gives its first evaluation. It is
// create-only and may be repeated: a job that is there already and is this
// session's is success, with an evalID of "" (Placement then finds the
// evaluation itself).
//
// A job that Nomad refuses is a *staging.InvalidError about the jobspec, and so
// is, about its own field, what the task's driver does not know; everything else is ErrUnavailable, after which the job may or may not exist.
func (f *Fleet) Register(ctx context.Context, spec staging.Spec) (evalID string, err error) {
	s, image, z := spec.Session, spec.Image, spec.Zone
	template, err := f.template(ctx, image)
	if err != nil {
		return "", err
	}
	if err := misfits(template, spec); err != nil {
		return "", err
	}
	job := Fit(template, spec)

	call, cancel := f.bounded(ctx)
	defer cancel()
	reply, _, err := f.nomad.Jobs().EnforceRegister(job, 0, f.write(call, z.Namespace, z.Region))
	if err == nil {
		return reply.EvalID, nil
	}
	op := "register " + s.ID
	if _, _, answered := answer(err); !answered {
		return "", unavailable(op, err)
	}
	// Nomad answers a duplicate, a job that it refuses, and troubles of its
	// own alike, with status 500. What is so is better asked than read out of
	// the text.
	s.Namespace, s.Region = z.Namespace, z.Region
	switch there, known := f.exists(ctx, s); {
	case known && there:
		return "", nil
	case !known:
		return "", unavailable(op, err)
	}
	problems, asked := f.validate(ctx, job, z.Namespace, z.Region)
	switch {
	case asked != nil:
		return "", unavailable(op, err)
	case len(problems) > 0:
		return "", refused(image, oneLine(problems))
	}
	return "", unavailable(op, err)
}

// exists reports whether the session's job is there and is this session's;
// known is false when Nomad did not say.
func (f *Fleet) exists(ctx context.Context, s staging.Session) (there, known bool) {
	ctx, cancel := f.bounded(ctx)
	defer cancel()
	job, _, err := f.nomad.Jobs().Info(s.ID, f.of(ctx, s))
	switch {
	case err == nil:
		return job.Meta[metaSession] == s.ID, true
	case notFound(err):
		return false, true
	}
	return false, false
}

// Stop ends the session: Nomad kills its allocation, and keeps the job and its
// last words until they are purged. A job that is not there is success.
func (f *Fleet) Stop(ctx context.Context, s staging.Session) error {
	return f.deregister(ctx, s, false)
}

// Purge ends the session and removes its job from Nomad, allocation included,
// of which no event tells. A job that is not there is success.
func (f *Fleet) Purge(ctx context.Context, s staging.Session) error {
	return f.deregister(ctx, s, true)
}

func (f *Fleet) deregister(ctx context.Context, s staging.Session, purge bool) error {
	if !strings.HasPrefix(s.ID, staging.SessionPrefix) {
		// The one call that destroys: never let a mix-up reach another's job.
		return fmt.Errorf("session %q: %w", s.ID, errNotOurs)
	}
	ctx, cancel := f.bounded(ctx)
	defer cancel()
	if _, _, err := f.nomad.Jobs().Deregister(s.ID, purge, f.write(ctx, s.Namespace, s.Region)); err != nil && !notFound(err) {
		return unavailable("stop "+s.ID, err)
	}
	return nil
}

var errNotOurs = errors.New("not a session's id, so its job is not stopped")
