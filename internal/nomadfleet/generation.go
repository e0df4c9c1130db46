package nomadfleet

import (
	"context"
	"strconv"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// newestJobs is how many of a namespace's newest sessions NewestGeneration reads. Sessions
// that were made on demand are among them, and have no generation.
const newestJobs = 50

// NewestGeneration returns the latest generation of the newest sessions in a zone's
// namespace; 0 for none. Ids are sorted by the time of creation.
func (f *Fleet) NewestGeneration(ctx context.Context, zone staging.Zone) (newest uint64, err error) {
	ctx, cancel := f.withTimeout(ctx)
	defer cancel()
	own, err := f.ownership()
	if err != nil {
		return 0, unavailable("list the newest jobs of zone "+zone.Name, err)
	}
	q := f.sessionQuery(ctx, staging.Session{Namespace: zone.Namespace, Region: zone.Region})
	q.Prefix, q.Reverse, q.PerPage = staging.SessionPrefix, true, newestJobs
	jobs, _, err := f.nomad.Jobs().ListOptions(&nomadapi.JobListOptions{Fields: &nomadapi.JobListFields{Meta: true}}, q)
	if err != nil {
		return 0, unavailable("list the newest jobs of zone "+zone.Name, err)
	}
	for _, j := range jobs {
		if own.owns(j.Meta) && !own.takenOver(j.Meta) {
			generation, _ := strconv.ParseUint(j.Meta[metaGeneration], 10, 64)
			newest = max(newest, generation)
		}
	}
	return newest, nil
}
