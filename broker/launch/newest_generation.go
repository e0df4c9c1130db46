package launch

import (
	"context"
	"sync"

	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/internal/staging"
)

// newestGenerations reads the newest generation of the sessions that Nomad has in a zone.
// Launches that come while a reading is under way share the next one: a reading that began
// before a launch may lack the sessions that show a restore of Consul.
type newestGenerations struct {
	fleet Fleet
	mu    sync.Mutex
	// next has each namespace of a region in which a reading is under way, with the one after it,
	// for which launches wait; nil while none does.
	next map[string]*generationRead
}

type generationRead struct {
	done  chan struct{}
	value uint64
	err   error
}

func newNewestGenerations(fleet Fleet) *newestGenerations {
	return &newestGenerations{fleet: fleet, next: map[string]*generationRead{}}
}

// in returns the newest generation of a zone's sessions, of a reading that began after the
// call. The reading is not cancelled with ctx, since others wait for it.
func (n *newestGenerations) in(ctx context.Context, zone staging.Zone) (uint64, error) {
	// The jobs of a zone are in one namespace of one region, which its config may change.
	place := zone.Region + "\n" + zone.Namespace
	n.mu.Lock()
	mine, reading := n.next[place]
	if mine == nil {
		mine = &generationRead{done: make(chan struct{})}
		n.next[place] = mine
	}
	if !reading {
		go n.read(place, zone)
	}
	n.mu.Unlock()
	select {
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	case <-mine.done:
		return mine.value, mine.err
	}
}

// read reads until no launch waits any more. Each reading has a deadline, and each launch waits
// for one of the next two.
func (n *newestGenerations) read(place string, zone staging.Zone) {
	for {
		n.mu.Lock()
		now := n.next[place]
		if now == nil {
			delete(n.next, place)
			n.mu.Unlock()
			return
		}
		n.next[place] = nil
		n.mu.Unlock()
		call, cancel := context.WithTimeout(context.Background(), deadline.Nomad)
		now.value, now.err = n.fleet.NewestGeneration(call, zone)
		cancel()
		close(now.done)
	}
}
