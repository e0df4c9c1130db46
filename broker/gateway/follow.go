package gateway

import (
	"context"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/greenroom/greenroom/broker/events"
)

// Events follows what happens to sessions; "" means from now on.
type Events interface {
	Follow(ctx context.Context, after string) (events.Stream, error)
}

const (
	// followPause is the time between two tries to follow the events, and between two looks for
	// sessions to read again.
	followPause = time.Second
	// patience bounds one wait for events.
	patience = 5 * time.Second
	// readsAtOnce bounds the readings that no request waits for.
	readsAtOnce = 8
)

// follower keeps a table up to date.
type follower struct {
	table  *table
	events Events
	report func(error)
	// following: events come, so that nothing is missed.
	following atomic.Bool
}

// run keeps the table up to date until ctx is done.
func (f *follower) run(ctx context.Context) {
	var group errgroup.Group
	group.Go(func() error { f.followAll(ctx); return nil })
	group.Go(func() error { f.confirmAll(ctx); return nil })
	_ = group.Wait() // neither returns an error
}

// followAll follows the events until ctx is done.
func (f *follower) followAll(ctx context.Context) {
	failed := false
	for ctx.Err() == nil {
		err := f.follow(ctx)
		f.following.Store(false)
		if err != nil && !failed && ctx.Err() == nil {
			f.report(err)
		}
		failed = err != nil
		pause(ctx, followPause)
	}
}

// follow follows the events until an error.
func (f *follower) follow(ctx context.Context) error {
	stream, err := f.events.Follow(ctx, "")
	if err != nil {
		return err
	}
	defer stream.Close()
	// What happened before is not among the events.
	f.table.happened("")
	for {
		happened, gap, err := stream.Next(ctx, patience)
		if err != nil {
			return err
		}
		f.following.Store(true)
		if gap {
			f.table.happened("")
		}
		for _, e := range happened {
			if state, isMove := e.Type.State(); isMove && state.Over() {
				f.table.over(e.Session)
			} else if e.Session != "" {
				f.table.happened(e.Session)
			}
		}
	}
}

// confirmAll reads sessions again when something has happened to them, and from time to time,
// until ctx is done: sooner while no events come.
func (f *follower) confirmAll(ctx context.Context) {
	for ctx.Err() == nil {
		pause(ctx, followPause)
		age := confirmEvery
		if !f.following.Load() {
			age = confirmBlind
		}
		f.readAll(ctx, f.table.due(age))
	}
}

// readAll reads sessions again. A reading that fails leaves its session as it was.
func (f *follower) readAll(ctx context.Context, ids []string) {
	var group errgroup.Group
	group.SetLimit(readsAtOnce)
	for _, id := range ids {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error {
			_, err := f.table.read(ctx, id)
			return err
		})
	}
	_ = group.Wait()
}

// pause waits, or returns when ctx is done.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
