package broker

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/internal/staging"
)

// Of reading events.
const (
	// feedKeep is how many of the newest events are kept in memory: whoever is further
	// behind reads from Redis.
	feedKeep = 4096
	// feedBlock is how long one read waits for an event, feedPause is between two
	// reads of which the first failed.
	feedBlock = time.Second
	feedPause = 250 * time.Millisecond
	// feedLinger is how long the reader goes on when nobody is there any more, so
	// that who comes back finds what happened meanwhile.
	feedLinger = time.Minute
	// eventPage is how many events a consumer is given at once.
	eventPage = 500
)

// feed reads the store's events once for all who wait for some. It has no queues: it
// keeps the newest events, bounded, and says that there are new ones; everybody reads at
// their own pace from where they are, from Redis where they are too far behind. It reads
// only while somebody is there, and for a while after.
type feed struct {
	store Store
	log   *logrus.Entry
	// starting is held while the first to come finds out where to begin.
	starting sync.Mutex

	mu sync.Mutex
	// reading: events holds all of them after begin and up to end.
	reading    bool
	begin, end string
	events     []staging.Event
	// more is closed, and replaced, when there is news.
	more chan struct{}
	// waiting are told of a session's next event, by its id.
	waiting map[string]map[chan struct{}]bool
	// here counts those who wait or follow, left is when the last one went.
	here int
	left time.Time
	wake chan struct{}
}

func newFeed(store Store, log *logrus.Entry) *feed {
	return &feed{store: store, log: log, more: make(chan struct{}), waiting: map[string]map[chan struct{}]bool{}, wake: make(chan struct{}, 1)}
}

// Follow reads the events for all who wait for some, until ctx is done.
func (b *Broker) Follow(ctx context.Context) {
	for ctx.Err() == nil {
		if !b.feed.wanted() {
			select {
			case <-ctx.Done():
			case <-b.feed.wake:
			}
			continue
		}
		if err := b.feed.read(ctx); err != nil && ctx.Err() == nil {
			b.Log.WithError(err).Debug("cannot read what happened from Redis; who waits is answered with what is")
			b.feed.lose()
			select {
			case <-ctx.Done():
			case <-time.After(feedPause):
			}
		}
	}
}

// wanted reports whether to read on. When nobody has been there for a while, what was
// kept is let go.
func (f *feed) wanted() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.reading && f.here == 0 && time.Since(f.left) > feedLinger {
		f.reading, f.events = false, nil
	}
	return f.reading
}

// read takes in what has happened since, waiting a while for it.
func (f *feed) read(ctx context.Context) error {
	f.mu.Lock()
	after := f.end
	f.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, feedBlock+storeTimeout)
	defer cancel()
	events, _, err := f.store.Events(ctx, after, feedBlock)
	if err != nil || len(events) == 0 {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events = append(f.events, events...)
	f.end = events[len(events)-1].ID
	if over := len(f.events) - feedKeep; over > 0 {
		f.begin = f.events[over-1].ID
		f.events = slices.Clone(f.events[over:])
	}
	for _, e := range events {
		f.tell(e.Session)
	}
	f.news()
	return nil
}

// lose forgets what was kept: something may have been missed. All who wait for a session
// are told, since theirs may have changed; the next to come begins anew.
func (f *feed) lose() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reading, f.events = false, nil
	for id := range f.waiting {
		f.tell(id)
	}
	f.news()
}

func (f *feed) tell(session string) {
	for w := range f.waiting[session] {
		select {
		case w <- struct{}{}:
		default:
		}
	}
}

func (f *feed) news() {
	close(f.more)
	f.more = make(chan struct{})
}

// join counts somebody in, and has the events read on from a position where nobody
// reads them yet. Where that one is no longer kept, or "", it is from now on.
func (f *feed) join(ctx context.Context, position string) error {
	f.mu.Lock()
	f.here++
	f.mu.Unlock()
	if err := f.start(ctx, position); err != nil {
		f.leave()
		return err
	}
	return nil
}

func (f *feed) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.here--
	f.left = time.Now()
}

// start has the events read from a position on, unless they are read already.
func (f *feed) start(ctx context.Context, position string) error {
	f.starting.Lock()
	defer f.starting.Unlock()
	f.mu.Lock()
	reading := f.reading
	f.mu.Unlock()
	if reading {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
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

// position is up to where the events have been read, or where they now stand.
func (f *feed) position(ctx context.Context) (string, error) {
	f.mu.Lock()
	reading, end := f.reading, f.end
	f.mu.Unlock()
	if reading {
		return end, nil
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return f.store.LastEvent(ctx)
}

// await gives a channel that is told when something happens to a session after an
// index; at once where that has happened, or cannot be known any more. Whoever asks has
// joined, and calls stop.
func (f *feed) await(session string, index uint64) (changed <-chan struct{}, stop func()) {
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

// origin is the position before all that is kept in memory.
func (f *feed) origin() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.begin
}

// after gives what is kept after a position; known is false where that is before all
// that is kept. more is closed when there is news.
func (f *feed) after(position string) (events []staging.Event, known bool, more <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.reading || staging.CompareEventIDs(position, f.begin) < 0 {
		return nil, false, f.more
	}
	i, found := slices.BinarySearchFunc(f.events, position, func(e staging.Event, p string) int { return staging.CompareEventIDs(e.ID, p) })
	if found {
		i++
	}
	return slices.Clone(f.events[i:min(len(f.events), i+eventPage)]), true, f.more
}
