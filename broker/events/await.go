package events

import (
	"context"
	"slices"
	"time"

	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/internal/staging"
)

// Index returns the index of the newest event that was read, or, while nothing is read,
// of the newest in Redis.
func (f *Feed) Index(ctx context.Context) (uint64, error) {
	f.mu.Lock()
	reading, end := f.reading, f.end
	f.mu.Unlock()
	if reading {
		return staging.EventIndex(end), nil
	}
	ctx, cancel := context.WithTimeout(ctx, deadline.Redis)
	defer cancel()
	position, err := f.store.LastEvent(ctx)
	return staging.EventIndex(position), err
}

// Await returns when something has happened to a session after an index, when that can no
// longer be known, when wait is over or ctx is done, or at once when Redis fails. The
// caller reads the session to see what has happened.
func (f *Feed) Await(ctx context.Context, session string, index uint64, wait time.Duration) {
	if err := f.join(ctx, staging.EventIDOf(index)); err != nil {
		return // the caller's read of the session meets the same failure, or succeeds
	}
	defer f.leave()
	changed, stop := f.watch(session, index)
	defer stop()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-changed:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// watch returns a channel that receives when something happens to a session after an
// index; at once where that has happened already or can no longer be known. The caller
// has joined, and calls stop.
func (f *Feed) watch(session string, index uint64) (changed <-chan struct{}, stop func()) {
	w := make(chan struct{}, 1)
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.reading || index < staging.EventIndex(f.begin) ||
		slices.ContainsFunc(f.events, func(e staging.Event) bool { return e.Session == session && staging.EventIndex(e.ID) > index }) {
		w <- struct{}{}
		return w, func() {}
	}
	if f.waiting[session] == nil {
		f.waiting[session] = map[chan struct{}]bool{}
	}
	f.waiting[session][w] = true
	return w, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.waiting[session], w)
		if len(f.waiting[session]) == 0 {
			delete(f.waiting, session)
		}
	}
}
