package scaler

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/greenroom/greenroom/internal/staging"
)

// generations begins a generation in Consul for each pass that stages sessions. The first
// of the pass's sessions begins it, the others wait for that.
type generations struct {
	mu sync.Mutex
	// pass is the newest pass with a generation, current that generation.
	pass, current uint64
	// known is the newest generation of all that this scaler has begun or seen in Nomad.
	known atomic.Uint64
}

// of returns the generation for the sessions of a pass, which next begins. next's argument
// is the newest generation that this scaler knows.
func (g *generations) of(ctx context.Context, pass uint64, next func(ctx context.Context, known uint64) (staging.Generation, error)) (uint64, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if pass <= g.pass {
		return g.current, nil
	}
	begun, err := next(ctx, g.known.Load())
	if err != nil {
		return 0, err
	}
	g.pass, g.current = pass, begun.Current
	g.saw(begun.Current)
	return begun.Current, nil
}

// observe notes the generation of a job in Nomad. That of a job that was taken over was
// counted by another installation.
func (g *generations) observe(o staging.Observation) {
	if o.Job != nil && !o.Job.TakenOver {
		g.saw(o.Job.Session.Generation)
	}
}

// saw notes that a generation has begun.
func (g *generations) saw(generation uint64) {
	for {
		known := g.known.Load()
		if generation <= known || g.known.CompareAndSwap(known, generation) {
			return
		}
	}
}
