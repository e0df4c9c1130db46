package events

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/internal/staging"
)

const (
	// keep is how many of the newest events stay in memory; a follower that is further
	// behind reads from Redis.
	keep = 4096
	// block is how long one read waits for an event, pause the time between a failed read
	// and the next.
	block = time.Second
	pause = 250 * time.Millisecond
	// linger is how long the reader goes on after the last caller has left, so that a
	// caller who comes back finds the events of the meantime in memory.
	linger = time.Minute
	// pageSize is how many events a follower gets at once.
	pageSize = 500
)

// Store is what the feed reads from Redis.
type Store interface {
	// LastEvent returns the position of the newest event.
	LastEvent(ctx context.Context) (position string, err error)
	// Events returns what happened after a position, and waits up to block for the first of it.
	Events(ctx context.Context, after string, block time.Duration) (events []staging.Event, position string, err error)
	// EventsFrom returns the same without waiting, and whether Redis still keeps the event
	// at the position.
	EventsFrom(ctx context.Context, position string, count int) (events []staging.Event, kept bool, err error)
}

// Feed reads the store's events once for all callers. It keeps the newest in memory and
// signals that there are new ones; each caller reads at its own pace. It reads only while
// there are callers, and for a while after. It may be used concurrently.
type Feed struct {
	store Store
	log   *logrus.Entry
	// starting is held while the first caller finds the position to begin at.
	starting sync.Mutex

	mu sync.Mutex
	// reading: events holds all of them after begin and up to end.
	reading    bool
	begin, end string
	events     []staging.Event
	// more is closed and replaced when there are new events.
	more chan struct{}
	// waiting are the channels that a session's next event signals, by the session's id.
	waiting map[string]map[chan struct{}]bool
	// callers counts those who wait or follow; left is when the last one went.
	callers int
	left    time.Time
	wake    chan struct{}
}

// New returns a feed of the store's events. Nothing is read until Run runs.
func New(store Store, log *logrus.Entry) *Feed {
	return &Feed{store: store, log: log, more: make(chan struct{}), waiting: map[string]map[chan struct{}]bool{}, wake: make(chan struct{}, 1)}
}

// Run reads the events for all callers until ctx is done.
func (f *Feed) Run(ctx context.Context) {
	for ctx.Err() == nil {
		if !f.wanted() {
			select {
			case <-ctx.Done():
			case <-f.wake:
			}
			continue
		}
		if err := f.read(ctx); err != nil && ctx.Err() == nil {
			f.log.WithError(err).Debug("cannot read events from Redis; callers that wait are answered with the current state")
			f.lose()
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
		}
	}
}

// wanted reports whether to read on. After linger without callers it drops what was kept.
func (f *Feed) wanted() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.reading && f.callers == 0 && time.Since(f.left) > linger {
		f.reading, f.events = false, nil
	}
	return f.reading
}

// read takes in the events since the last read, and waits up to block for the first.
func (f *Feed) read(ctx context.Context) error {
	f.mu.Lock()
	after := f.end
	f.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, block+deadline.Redis)
	defer cancel()
	events, _, err := f.store.Events(ctx, after, block)
	if err != nil || len(events) == 0 {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events = append(f.events, events...)
	f.end = events[len(events)-1].ID
	if over := len(f.events) - keep; over > 0 {
		f.begin = f.events[over-1].ID
		f.events = slices.Clone(f.events[over:])
	}
	for _, e := range events {
		f.signal(e.Session)
	}
	f.signalAll()
	return nil
}

// lose drops what was kept, since some events may have been missed. It wakes everyone who
// waits for a session, because that session may have changed; the next caller starts the
// reading again.
func (f *Feed) lose() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reading, f.events = false, nil
	for id := range f.waiting {
		f.signal(id)
	}
	f.signalAll()
}

// signal wakes those who wait for a session.
func (f *Feed) signal(session string) {
	for w := range f.waiting[session] {
		select {
		case w <- struct{}{}:
		default:
		}
	}
}

// signalAll wakes those who follow all events.
func (f *Feed) signalAll() {
	close(f.more)
	f.more = make(chan struct{})
}

// join counts a caller in, and starts the reading at a position unless the feed is read
// already. Where the position is "", or no longer kept, it starts at the newest event.
func (f *Feed) join(ctx context.Context, position string) error {
	f.mu.Lock()
	f.callers++
	f.mu.Unlock()
	if err := f.start(ctx, position); err != nil {
		f.leave()
		return err
	}
	return nil
}

func (f *Feed) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.callers--
	f.left = time.Now()
}

// start starts the reading at a position, unless the feed is read already.
func (f *Feed) start(ctx context.Context, position string) error {
	f.starting.Lock()
	defer f.starting.Unlock()
	f.mu.Lock()
	reading := f.reading
	f.mu.Unlock()
	if reading {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, deadline.Redis)
	defer cancel()
	newest, err := f.store.LastEvent(ctx)
	if err != nil {
		return err
	}
	if position != "" && position != newest {
		if _, kept, err := f.store.EventsFrom(ctx, position, 1); err != nil {
			return err
		} else if kept {
			newest = position
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reading, f.begin, f.end, f.events = true, newest, newest, nil
	select {
	case f.wake <- struct{}{}:
	default:
	}
	return nil
}

// origin returns the position before all events in memory.
func (f *Feed) origin() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.begin
}

// after returns the events in memory after a position; known is false where the position
// is before all of them. more is closed when there are new ones.
func (f *Feed) after(position string) (events []staging.Event, known bool, more <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.reading || staging.CompareEventIDs(position, f.begin) < 0 {
		return nil, false, f.more
	}
	i, found := slices.BinarySearchFunc(f.events, position, func(e staging.Event, p string) int { return staging.CompareEventIDs(e.ID, p) })
	if found {
		i++
	}
	return slices.Clone(f.events[i:min(len(f.events), i+pageSize)]), true, f.more
}
