package registry

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// watchWait is the longest time that one blocking query stays open. watchPause is the
// pause between two, so that a burst of writes costs a few reads and not one per write.
const (
	watchWait  = time.Minute
	watchPause = 50 * time.Millisecond
)

// Watch calls emit with the current resources, and again after each change, until ctx is
// done. It returns the first error; the caller decides when to call it again.
func (r *Registry) Watch(ctx context.Context, emit func(staging.Resources)) error {
	return follow(ctx, func(q *api.QueryOptions) (uint64, func(), func(), error) {
		res, err := r.read(q)
		return res.Index, func() { r.current.Store(&res) }, func() { emit(res) }, err
	})
}

// keepNewest makes a reading the cache unless a later one is there.
func keepNewest[T any](cache *atomic.Pointer[T], read *T, index func(*T) uint64) {
	for {
		old := cache.Load()
		if old != nil && index(old) > index(read) || cache.CompareAndSwap(old, read) {
			return
		}
	}
}

// WatchTokens keeps the cache of the tokens up to date until ctx is done. It returns the
// first error; the caller decides when to call it again.
func (r *Registry) WatchTokens(ctx context.Context) error {
	return follow(ctx, func(q *api.QueryOptions) (uint64, func(), func(), error) {
		tokens, err := r.readTokens(q)
		if err != nil {
			return 0, nil, nil, err
		}
		return tokens.Index, func() { r.tokens.Store(tokens) }, func() {}, nil
	})
}

// follow reads a prefix again after each change. read returns the index of what it read, a
// function that makes that the cache even if the cache is newer, and one that reports it
// to the watcher.
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
			// The index goes back when Consul was restored from a snapshot; Consul's
			// documentation says to start again from 0 then. Its current data counts.
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
