package registry

import (
	"context"
	"time"

	"github.com/hashicorp/consul/api"

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
	return follow(ctx, func(q *api.QueryOptions) (uint64, func(), func(), error) {
		res, err := r.read(q)
		return res.Index, func() { r.current.Store(&res) }, func() { emit(res) }, err
	})
}

// WatchTokens keeps the copy of the tokens in memory as they are in Consul, until
// ctx is done. It returns the first error; the caller decides when to call again.
func (r *Registry) WatchTokens(ctx context.Context) error {
	return follow(ctx, func(q *api.QueryOptions) (uint64, func(), func(), error) {
		tokens, err := r.readTokens(q)
		if err != nil {
			return 0, nil, nil, err
		}
		return tokens.Index, func() { r.tokens.Store(tokens) }, func() {}, nil
	})
}

// follow reads a prefix again whenever it changes. A reading gives its index, what
// makes it the copy in memory whatever is there, and what tells of it.
func follow(ctx context.Context, read func(*api.QueryOptions) (index uint64, reset, emit func(), err error)) error {
	var index uint64
	for {
		q := query(ctx)
		q.RequireConsistent = false
		q.WaitIndex, q.WaitTime = index, watchWait
		now, reset, emit, err := read(q)
		if err != nil {
			return err
		}
		if now < index {
			// The index goes back when Consul's data was restored from a snapshot;
			// its documentation asks for a reset. What it holds now is the truth.
			reset()
			index = 0
			continue
		}
		if now != index {
			emit()
		}
		index = now
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(watchPause):
		}
	}
}
