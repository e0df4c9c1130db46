package nomadfleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// metaInstallation is the key of the installation's id in a job's meta.
const metaInstallation = "greenroom_installation"

// errForeignJob means that a job belongs to another installation, to none, or to a newer greenroom.
var errForeignJob = errors.New("the job belongs to another installation, or was made by a newer greenroom, so it was left alone")

// installation returns the identity whose jobs the fleet manages. ok is false if it
// manages the jobs of every installation.
func (f *Fleet) installation() (i staging.Installation, ok bool, err error) {
	if f.opts.Installation == nil {
		return i, false, nil
	}
	i, err = f.opts.Installation()
	return i, true, err
}

// ownership returns what tells the fleet's own jobs from others, by their meta. The error
// is that of Options.Installation.
func (f *Fleet) ownership() (owner, error) {
	i, ok, err := f.installation()
	return owner{installation: i, all: !ok}, err
}

// owner tells an installation's own jobs from others.
type owner struct {
	installation staging.Installation
	all          bool
}

// owns reports whether a job belongs to the owner. One of a newer greenroom does not: this one
// would misread its meta, and leaves it alone as it does those of other installations.
func (o owner) owns(meta map[string]string) bool {
	return !staging.OfNewerSchema(meta[metaSchema]) && (o.all || o.installation.Owns(meta[metaInstallation]))
}

// takenOver reports whether a job belongs to the owner because it was taken over.
func (o owner) takenOver(meta map[string]string) bool {
	return !o.all && o.installation.TookOver(meta[metaInstallation])
}

// foreignTo returns the installation of another one's job, NoInstallation if the job has no id.
func foreignTo(meta map[string]string) string {
	return cmp.Or(meta[metaInstallation], staging.NoInstallation)
}

// requireOwn returns errForeignJob, wrapped, if the session's job exists and belongs to
// another installation. Call it before a call that changes the job.
func (f *Fleet) requireOwn(ctx context.Context, s staging.Session) error {
	own, err := f.ownership()
	if err != nil {
		return unavailable("deregister job "+s.ID, err)
	}
	if own.all {
		return nil
	}
	job, _, err := f.nomad.Jobs().Info(s.ID, f.sessionQuery(ctx, s))
	switch {
	case notFound(err):
		return nil
	case err != nil:
		return unavailable("read job "+s.ID, err)
	case !own.owns(job.Meta):
		return fmt.Errorf("nomad: deregister job %s: %w: %s", s.ID, errForeignJob, foreignTo(job.Meta))
	}
	return nil
}

// mark makes a job of Fit's the installation's: its meta has the id, and its service the
// installation's name and the id.
func (f *Fleet) mark(job *nomadapi.Job) error {
	service := sessionService(job.TaskGroups[0])
	service.Name = f.opts.Names.Service(service.Name)
	i, ok, err := f.installation()
	if err != nil || !ok {
		return err
	}
	job.Meta[metaInstallation], service.Meta[metaInstallation] = i.ID, i.ID
	return nil
}
