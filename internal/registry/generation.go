package registry

import (
	"context"
	"fmt"

	"github.com/hashicorp/consul/api"

	"github.com/greenroom/greenroom/internal/staging"
)

func (r *Registry) generationKey() string { return r.prefix + "generation" }

// Generation reads the generation of staged sessions; zero if none was begun, and also if
// the record cannot be read: then Restored writes it again, unless a newer greenroom stored it, which is an error.
func (r *Registry) Generation(ctx context.Context) (staging.Generation, error) {
	g, _, err := r.readGeneration(ctx)
	return g, err
}

// WatchGeneration calls emit with the generation, and again after each change, until ctx is done.
// While the record cannot be read, what was emitted last counts.
// It returns the first error; the caller decides when to call it again.
func (r *Registry) WatchGeneration(ctx context.Context, emit func(staging.Generation)) error {
	return follow(ctx, func(q *api.QueryOptions) (uint64, func(), func(), error) {
		p, meta, err := r.kv.Get(r.generationKey(), q)
		if err != nil {
			return 0, nil, nil, callError(err, "watch %s", r.generationKey())
		}
		var g staging.Generation
		if p != nil && decode(p.Value, &g) != nil {
			return meta.LastIndex, func() {}, func() {}, nil
		}
		return meta.LastIndex, func() {}, func() { emit(g) }, nil
	})
}

func (r *Registry) readGeneration(ctx context.Context) (g staging.Generation, index uint64, err error) {
	p, _, err := r.kv.Get(r.generationKey(), query(ctx))
	if err != nil || p == nil {
		return g, 0, callError(err, "read %s", r.generationKey())
	}
	if err := newer(p); err != nil {
		return g, 0, err
	}
	if decode(p.Value, &g) != nil {
		g = staging.Generation{}
	}
	return g, p.ModifyIndex, nil
}

// NextGeneration begins a generation, which is later than known, and returns it. If Consul
// is at an earlier one than known, it was restored from a snapshot, and that is noted, too:
// otherwise the numbers would soon be as high as before, and would hide it.
func (r *Registry) NextGeneration(ctx context.Context, known uint64) (staging.Generation, error) {
	return r.changeGeneration(ctx, func(g *staging.Generation) bool {
		if g.Shows(known) {
			g.RestoredThrough, g.Current = known, known
		}
		g.Current++
		return true
	})
}

// Restored notes that Consul was restored from a snapshot after sessions up to a generation
// were made, and returns the generation, which is later than all of theirs.
func (r *Registry) Restored(ctx context.Context, highest uint64) (staging.Generation, error) {
	return r.changeGeneration(ctx, func(g *staging.Generation) bool {
		if g.Current >= highest {
			return false // another scaler has noted it
		}
		g.Current, g.RestoredThrough = highest+1, highest
		return true
	})
}

// changeGeneration changes the record by compare-and-set. change returns whether there is
// anything to write.
func (r *Registry) changeGeneration(ctx context.Context, change func(*staging.Generation) bool) (staging.Generation, error) {
	for range casTries {
		g, index, err := r.readGeneration(ctx)
		if err != nil || !change(&g) {
			return g, err
		}
		b, err := encode(g)
		if err != nil {
			return g, fmt.Errorf("encode %s: %w", r.generationKey(), err)
		}
		done, _, err := r.kv.CAS(&api.KVPair{Key: r.generationKey(), Value: b, ModifyIndex: index}, write(ctx))
		if err != nil {
			return g, callError(err, "write %s", r.generationKey())
		}
		if done {
			return g, nil
		}
	}
	return staging.Generation{}, callError(ErrConflict, "write %s", r.generationKey())
}
