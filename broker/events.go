package broker

import (
	"context"
	"time"

	"github.com/greenroom/greenroom/broker/launch"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

// SessionAfter reads a session once something has happened to it after an index, or when
// wait is over, and gives the index to wait with next. Index 0 reads it at once, and so
// does one from so long ago that it is not known what happened since. A session that
// has ended changes no more and is not waited for.
//
// What counts as a change is a move of the session and what is noted of it, not a
// keepalive.
func (b *Broker) SessionAfter(ctx context.Context, id string, index uint64, wait time.Duration) (staging.Session, uint64, error) {
	if index > 0 && wait > 0 {
		// Who asks for what is not there is told so at once.
		s, err := b.Session(ctx, id)
		if err != nil {
			return s, 0, err
		}
		if s.State != staging.Ended {
			b.awaitChange(ctx, id, index, min(wait, launch.MaxWait))
		}
	}
	// The position comes first: what happens from then on is after it.
	position, err := b.feed.position(context.WithoutCancel(ctx))
	if err != nil {
		return staging.Session{}, 0, refusal.NoRedis(err)
	}
	s, err := b.Session(context.WithoutCancel(ctx), id)
	// 0 would not wait.
	return s, max(1, staging.EventIndex(position)), err
}

// awaitChange waits for something to happen to a session after an index.
func (b *Broker) awaitChange(ctx context.Context, id string, index uint64, wait time.Duration) {
	if err := b.feed.join(ctx, staging.EventIDOf(index)); err != nil {
		return // the answer says that Redis is away, or what is
	}
	defer b.feed.leave()
	changed, stop := b.feed.await(id, index)
	defer stop()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-changed:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// EventStream gives what happens, in order, to one who follows it. Close it.
type EventStream interface {
	// Next gives some of the events that follow, waiting a while for the first; none is
	// no error. gap is true when some before those given are not kept any more.
	Next(ctx context.Context, patience time.Duration) (events []staging.Event, gap bool, err error)
	Close()
}

// eventStream reads at its own pace: from memory, or from Redis where it is behind.
type eventStream struct {
	b  *Broker
	at string
	// ahead: the position was of no event that there has been; Redis was put back.
	ahead bool
}

// Events follows what happens after a position, the id of an event; "" is from now on.
func (b *Broker) Events(ctx context.Context, after string) (EventStream, error) {
	if err := b.feed.join(ctx, after); err != nil {
		return nil, refusal.NoRedis(err)
	}
	s := &eventStream{b: b, at: after}
	// By Redis's own word: the reader may be behind by a moment.
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	now, err := b.Store.LastEvent(ctx)
	if err != nil {
		s.Close()
		return nil, refusal.NoRedis(err)
	}
	if s.ahead = staging.CompareEventIDs(after, now) > 0; s.ahead || after == "" {
		s.at = now
	}
	return s, nil
}

// Close implements EventStream.
func (s *eventStream) Close() { s.b.feed.leave() }

// noEvent is the position before all events.
const noEvent = "0-0"

// Next implements EventStream.
func (s *eventStream) Next(ctx context.Context, patience time.Duration) (events []staging.Event, gap bool, err error) {
	if s.ahead {
		s.ahead = false
		return nil, true, nil
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		// Should what was kept have been lost, it is read from here on.
		if err := s.b.feed.start(ctx, s.at); err != nil {
			return nil, false, refusal.NoRedis(err)
		}
		events, known, more := s.b.feed.after(s.at)
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

// old reads events that are not in memory. Where there is none, following goes on with
// what is.
func (s *eventStream) old(ctx context.Context) (events []staging.Event, gap bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	events, kept, err := s.b.Store.EventsFrom(ctx, s.at, eventPage)
	if err != nil {
		return nil, false, refusal.NoRedis(err)
	}
	gap = !kept && s.at != noEvent
	if len(events) == 0 {
		s.at = s.b.feed.origin()
	}
	return events, gap, nil
}
