package launch

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/internal/staging"
)

// newestGenerations remembers, for listingLife, the newest generation of the sessions that
// Nomad has in a zone. Generations only grow, so an older value is too low at most: a launch
// that uses it may miss a restore of Consul to a snapshot that is younger than listingLife.
type newestGenerations struct {
	fleet Fleet
	mu    sync.Mutex
	zones map[string]newestGeneration
	reads singleflight.Group
}

type newestGeneration struct {
	value uint64
	// began is when its reading began.
	began time.Time
}

func newNewestGenerations(fleet Fleet) *newestGenerations {
	return &newestGenerations{fleet: fleet, zones: map[string]newestGeneration{}}
}

// in returns the newest generation of a zone's sessions. Callers share a reading that is under
// way. It is not cancelled with ctx, since others wait for it.
func (n *newestGenerations) in(ctx context.Context, zone staging.Zone) (uint64, error) {
	// The jobs of a zone are in one namespace of one region, which its config may change.
	place := zone.Region + "\n" + zone.Namespace
	n.mu.Lock()
	known, ok := n.zones[place]
	n.mu.Unlock()
	if ok && time.Since(known.began) < listingLife {
		return known.value, nil
	}
	reading := n.reads.DoChan(place, func() (any, error) {
		began := time.Now()
		read, cancel := context.WithTimeout(context.WithoutCancel(ctx), deadline.Nomad)
		defer cancel()
		value, err := n.fleet.NewestGeneration(read, zone)
		if err != nil {
			return uint64(0), err
		}
		n.mu.Lock()
		defer n.mu.Unlock()
		n.zones[place] = newestGeneration{value, began}
		return value, nil
	})
	select {
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	case r := <-reading:
		return r.Val.(uint64), r.Err
	}
}
