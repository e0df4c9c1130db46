package events

import (
	"context"
	"time"

	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

// Stream returns events in order to one follower. Close it.
type Stream interface {
	// Next returns some of the events that follow, and waits up to patience for the first;
	// none is no error. gap is true when some before those returned are no longer kept.
	Next(ctx context.Context, patience time.Duration) (events []staging.Event, gap bool, err error)
	Close()
}

// stream reads at its own pace: from memory, or from Redis where it is behind.
type stream struct {
	feed *Feed
	at   string
	// ahead: no event has ever had the position, because Redis was restored from a backup.
	ahead bool
}

// Follow follows what happens after a position, the id of an event; "" means from now on.
// Errors are a *refusal.Error.
func (f *Feed) Follow(ctx context.Context, after string) (Stream, error) {
	if err := f.join(ctx, after); err != nil {
		return nil, refusal.NoRedis(err)
	}
	s := &stream{feed: f, at: after}
	// Redis is read itself, because the feed may be behind by a moment.
	ctx, cancel := context.WithTimeout(ctx, deadline.Redis)
	defer cancel()
	now, err := f.store.LastEvent(ctx)
	if err != nil {
		s.Close()
		return nil, refusal.NoRedis(err)
	}
	if s.ahead = staging.CompareEventIDs(after, now) > 0; s.ahead || after == "" {
		s.at = now
	}
	return s, nil
}

// Close implements Stream.
func (s *stream) Close() { s.feed.leave() }

// noEvent is the position before all events.
const noEvent = "0-0"

// Next implements Stream.
func (s *stream) Next(ctx context.Context, patience time.Duration) (events []staging.Event, gap bool, err error) {
	if s.ahead {
		s.ahead = false
		return nil, true, nil
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		// Where the feed lost what it kept, it is read again from here on.
		if err := s.feed.start(ctx, s.at); err != nil {
			return nil, false, refusal.NoRedis(err)
		}
		events, known, more := s.feed.after(s.at)
		if !known {
			if events, gap, err = s.old(ctx); err != nil {
				return nil, false, err
			}
		}
		if len(events) > 0 {
			s.at = events[len(events)-1].ID
		}
		if len(events) > 0 || gap {
			return events, gap, nil
		}
		if !known {
			continue
		}
		select {
		case <-ctx.Done():
			return nil, false, ctx.Err()
		case <-timer.C:
			return nil, false, nil
		case <-more:
		}
	}
}

// old reads events that are not in memory from Redis. Where there is none, the stream
// goes on with those in memory.
func (s *stream) old(ctx context.Context) (events []staging.Event, gap bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, deadline.Redis)
	defer cancel()
	events, kept, err := s.feed.store.EventsFrom(ctx, s.at, pageSize)
	if err != nil {
		return nil, false, refusal.NoRedis(err)
	}
	gap = !kept && s.at != noEvent
	if len(events) == 0 {
		s.at = s.feed.origin()
	}
	return events, gap, nil
}
