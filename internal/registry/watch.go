package registry

import (
	"context"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// watchWait is how long one blocking query stays open at the longest, and
// watchPause how long is waited between two, so that a burst of writes costs a
// few reads and not one each.
const (
	watchWait  = time.Minute
	watchPause = 50 * time.Millisecond
)

// Watch calls emit with the resources as they are, and again whenever they
// change, until ctx is done. It returns the first error; the caller decides
// when to call again.
func (r *Registry) Watch(ctx context.Context, emit func(staging.Resources)) error {
	var index uint64
	for {
		q := query(ctx)
		q.RequireConsistent = false
		q.WaitIndex, q.WaitTime = index, watchWait
		res, err := r.read(q)
		if err != nil {
			return err
		}
		if res.Index < index {
			// The index goes back when Consul's data was restored from a snapshot;
			// its documentation asks for a reset. What it holds now is the truth.
			r.current.Store(&res)
			index = 0
			continue
		}
		if res.Index != index {
			emit(res)
		}
		index = res.Index
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(watchPause):
		}
	}
}
