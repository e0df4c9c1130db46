package nomadfleet

import (
	"context"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// Running lists the installation's sessions that run or may: those that wait for a node, and
// those that were told to stop and have not yet. It says what limits need: each session's id,
// zone, image, pool and claim.
//
// What the token may not list is not counted. Errors are ErrUnavailable.
func (f *Fleet) Running(ctx context.Context) ([]staging.SessionUse, error) {
	own, err := f.ownership()
	if err != nil {
		return nil, unavailable("count sessions", err)
	}
	var all []staging.SessionUse
	_, err = readPages(ctx, f, func(q *nomadapi.QueryOptions) (*nomadapi.QueryMeta, error) {
		q.Prefix = staging.SessionPrefix
		jobs, meta, err := f.nomad.Jobs().ListOptions(&nomadapi.JobListOptions{Fields: &nomadapi.JobListFields{Meta: true}}, q)
		for _, j := range jobs {
			facts, ok := jobFacts(j.ID, j.Namespace, f.opts.Region, j.Meta, j.Stop, j.Status)
			if !ok || !own.owns(j.Meta) || facts.Dead && !runs(j.JobSummary) {
				continue
			}
			s := facts.Session
			all = append(all, staging.SessionUse{Session: s.ID, Image: s.Image, Zone: s.Zone, Staging: s.Staging, Claim: s.Claim})
		}
		return meta, err
	})
	if err != nil {
		return nil, unavailable("count sessions", err)
	}
	return all, nil
}

// runs reports whether an allocation of a job has not ended on its node: Nomad calls a job
// dead as soon as it is told to stop.
func runs(s *nomadapi.JobSummary) bool {
	if s == nil {
		return false
	}
	for _, g := range s.Summary {
		if g.Running+g.Starting+g.Unknown > 0 {
			return true
		}
	}
	return false
}
