package events_test

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/broker/events"
	"github.com/greenroom/greenroom/broker/sessions"
	"github.com/greenroom/greenroom/internal/staging"
)

// eventLog is a store of sessions and events in memory.
type eventLog struct {
	sessions.Store
	mu      sync.Mutex
	events  []staging.Event
	states  map[string]staging.State
	more    chan struct{}
	readers int
	most    int
	fail    error
	// lost is how many of the oldest are no longer kept.
	lost int
}

func newEventLog() *eventLog {
	return &eventLog{states: map[string]staging.State{}, more: make(chan struct{})}
}

// move moves a session, and keeps the event in the same step.
func (l *eventLog) move(id string, to staging.State) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.states[id] = to
	l.events = append(l.events, staging.Event{ID: fmt.Sprintf("%d-0", 1000+len(l.events)), Type: staging.EventType(to), Session: id})
	close(l.more)
	l.more = make(chan struct{})
}

func (l *eventLog) LastEvent(context.Context) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.events) == 0 {
		return "0-0", l.fail
	}
	return l.events[len(l.events)-1].ID, l.fail
}

func (l *eventLog) since(position string) (found []staging.Event, kept bool) {
	for _, e := range l.events[min(l.lost, len(l.events)):] {
		switch c := staging.CompareEventIDs(e.ID, position); {
		case c == 0:
			kept = true
		case c > 0:
			found = append(found, e)
		}
	}
	return found, kept
}

func (l *eventLog) Events(ctx context.Context, after string, block time.Duration) ([]staging.Event, string, error) {
	l.mu.Lock()
	l.readers++
	l.most = max(l.most, l.readers)
	found, _ := l.since(after)
	more, err := l.more, l.fail
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.readers--
	}()
	if err == nil && len(found) == 0 {
		select {
		case <-more:
		case <-time.After(block):
		case <-ctx.Done():
		}
		l.mu.Lock()
		found, _ = l.since(after)
		l.mu.Unlock()
	}
	return found, after, err
}

func (l *eventLog) EventsFrom(_ context.Context, position string, count int) ([]staging.Event, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	found, kept := l.since(position)
	return found[:min(count, len(found))], kept, l.fail
}

func (l *eventLog) Session(_ context.Context, id string) (staging.Session, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, ok := l.states[id]
	if !ok {
		return staging.Session{}, staging.ErrNoSession
	}
	return staging.Session{ID: id, State: s}, l.fail
}

// room is a feed of the log, which is read, and the sessions that wait on it.
type room struct {
	*events.Feed
	*sessions.Sessions
}

func following(t *testing.T, l *eventLog) room {
	t.Helper()
	logger := logrus.New()
	logger.SetOutput(io.Discard)
	feed := events.New(l, logrus.NewEntry(logger))
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { feed.Run(ctx) })
	t.Cleanup(func() { stop(); wg.Wait() })
	return room{feed, sessions.New(sessions.Servers{Store: l}, feed, nil, logrus.NewEntry(logger))}
}

// TestManyWaitOnOneReader: each is answered with its own session's change, by one reader.
func TestManyWaitOnOneReader(t *testing.T) {
	l := newEventLog()
	b := following(t, l)
	const sessions, each = 20, 10
	for i := range sessions {
		l.move(fmt.Sprint("s", i), staging.Ready)
	}
	_, index, err := b.SessionAfter(t.Context(), "s0", 0, 0)
	if err != nil || index == 0 {
		t.Fatal(index, err)
	}
	var wg sync.WaitGroup
	for i := range sessions {
		for range each {
			wg.Go(func() {
				id := fmt.Sprint("s", i)
				s, next, err := b.SessionAfter(t.Context(), id, index, time.Hour)
				if err != nil || s.State != staging.Assigned || next <= index {
					t.Errorf("%s: %s at %d after %d, %v", id, s.State, next, index, err)
				}
			})
		}
	}
	for i := range sessions {
		l.move(fmt.Sprint("s", i), staging.Assigned)
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(2 * time.Minute):
		t.Fatal("not all waits ended with their session's change")
	}
	if l.most > 1 {
		t.Errorf("%d read the events at once, want 1", l.most)
	}
}

func TestAWaitThatEndsWithoutChangeAnswersWhatIs(t *testing.T) {
	l := newEventLog()
	b := following(t, l)
	l.move("s", staging.Ready)
	l.move("over", staging.Ended)
	_, index, err := b.SessionAfter(t.Context(), "s", 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	s, next, err := b.SessionAfter(t.Context(), "s", index, 20*time.Millisecond)
	if err != nil || s.State != staging.Ready || next != index {
		t.Errorf("%+v at %d after %d, %v", s, next, index, err)
	}
	// A session that has ended, and one that does not exist, are answered at once: a wait
	// this long would time the test out.
	if s, _, err := b.SessionAfter(t.Context(), "over", index, time.Hour); err != nil || s.State != staging.Ended {
		t.Errorf("an ended session: %+v %v", s, err)
	}
	if _, _, err := b.SessionAfter(t.Context(), "none", index, time.Hour); err == nil {
		t.Error("a session that is not there was waited for")
	}
	// An index so old that what happened since is unknown is not waited on either.
	if s, _, err := b.SessionAfter(t.Context(), "s", 1, time.Hour); err != nil || s.State != staging.Ready {
		t.Errorf("an index from long ago: %+v %v", s, err)
	}
	l.move("s", staging.Assigned)
	if s, _, err := b.SessionAfter(t.Context(), "s", index, time.Hour); err != nil || s.State != staging.Assigned {
		t.Errorf("a change from before: %+v %v", s, err)
	}
}

// follow reads n events, and counts the gaps.
func follow(t *testing.T, s events.Stream, n int) (ids []string, gaps int) {
	t.Helper()
	for len(ids) < n {
		events, gap, err := s.Next(t.Context(), time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if gap {
			gaps++
		}
		for _, e := range events {
			ids = append(ids, e.ID)
		}
	}
	return ids, gaps
}

// TestEventsAreFollowedFromWhereverOneWas: from now on; from an id on, whether its event is
// in memory, only in Redis, or no longer kept; and from an id that no event ever had.
func TestEventsAreFollowedFromWhereverOneWas(t *testing.T) {
	l := newEventLog()
	b := following(t, l)
	for range 10 {
		l.move("s", staging.Ready)
	}
	var want []string
	for i := range 6010 {
		want = append(want, fmt.Sprintf("%d-0", 1000+i))
	}
	open := func(after string) events.Stream {
		t.Helper()
		s, err := b.Follow(t.Context(), after)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		return s
	}
	now := open("")
	for range 6000 {
		l.move("s", staging.Ready)
	}
	if got, gaps := follow(t, now, 6000); gaps != 0 || !slices.Equal(got, want[10:]) {
		t.Errorf("from now on: %d events, %d gaps", len(got), gaps)
	}
	if got, gaps := follow(t, open("1003-0"), 6006); gaps != 0 || !slices.Equal(got, want[4:]) {
		t.Errorf("from an id on: %d events, %d gaps", len(got), gaps)
	}
	l.mu.Lock()
	l.lost = 100
	l.mu.Unlock()
	if got, gaps := follow(t, open("1003-0"), 5910); gaps != 1 || !slices.Equal(got, want[100:]) {
		t.Errorf("from one that is not kept: %d events, %d gaps", len(got), gaps)
	}
	ahead := open("99999-0")
	if events, gap, err := ahead.Next(t.Context(), time.Minute); err != nil || !gap || len(events) != 0 {
		t.Errorf("from one that never was: %d events, gap %v, %v", len(events), gap, err)
	}
	l.move("s", staging.Assigned)
	if got, gaps := follow(t, ahead, 1); gaps != 0 || got[0] != "7010-0" {
		t.Errorf("then: %v, %d gaps", got, gaps)
	}
}
