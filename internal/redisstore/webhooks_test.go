package redisstore

import (
	"errors"
	"fmt"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/internal/staging"
)

// noteMany appends n events that are no move of a session, some at a time.
func (s *Store) noteMany(t *testing.T, n int) {
	t.Helper()
	must(t, noteScript.Load(t.Context(), s.rdb).Err())
	const some = 500
	for ; n > 0; n -= some {
		_, err := s.rdb.Pipelined(t.Context(), func(p redis.Pipeliner) error {
			for range min(n, some) {
				noteScript.EvalSha(t.Context(), p, []string{s.eventsKey()}, "violation", "", "")
			}
			return nil
		})
		must(t, err)
	}
}

func (s *Store) length(t *testing.T) int {
	t.Helper()
	n, err := s.rdb.XLen(t.Context(), s.eventsKey()).Result()
	must(t, err)
	return int(n)
}

// TestEventsAreKeptUntilAllWebhooksHaveTakenThem: the slowest of them decides, and without one
// the stream has its usual bound.
func TestEventsAreKeptUntilAllWebhooksHaveTakenThem(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	s.noteMany(t, 12_000)
	if n := s.length(t); n > 10_500 {
		t.Errorf("without a webhook %d events are kept", n)
	}
	slow, err := s.OpenWebhook(ctx, "slow")
	must(t, err)
	fast, err := s.OpenWebhook(ctx, "fast")
	must(t, err)
	begin := s.length(t)
	s.noteMany(t, 15_000)
	if n := s.length(t); n != begin+15_000 {
		t.Errorf("with webhooks %d events are kept of %d", n, begin+15_000)
	}
	newest, err := s.LastEvent(ctx)
	must(t, err)
	must(t, s.TakeEvents(ctx, "fast", fast, newest, nil))
	must(t, s.TrimEvents(ctx))
	if n := s.length(t); n != begin+15_000 {
		t.Errorf("%d events are left, and one webhook has not taken them", n)
	}
	if _, kept, err := s.EventsFrom(ctx, slow, 1); err != nil || !kept {
		t.Errorf("the event at the slow one's cursor is gone: %v", err)
	}
	must(t, s.TakeEvents(ctx, "slow", slow, newest, nil))
	must(t, s.TrimEvents(ctx))
	if n := s.length(t); n > 10_500 {
		t.Errorf("all webhooks have taken them, and %d events are kept", n)
	}
	must(t, s.DropWebhook(ctx, "fast"))
	must(t, s.DropWebhook(ctx, "slow"))
	if names, err := s.OpenWebhooks(ctx); err != nil || len(names) != 0 {
		t.Errorf("open are %v, %v", names, err)
	}
}

// TestAWebhooksMessages are queued once, whoever takes them, up to a bound, and go from pending
// to delivered, or to the dead letters and back.
func TestAWebhooksMessages(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	at, err := s.OpenWebhook(ctx, "w")
	must(t, err)
	events := make([]staging.Event, 100)
	for i := range events {
		events[i] = staging.Event{ID: fmt.Sprintf("%d-0", i+1), Type: staging.EventEnded, Session: "s"}
	}
	must(t, s.TakeEvents(ctx, "w", at, "1-0", events))
	// Another sender, that begins where the first did, takes none of them.
	if err := s.TakeEvents(ctx, "w", at, "1-0", events); !errors.Is(err, staging.ErrWebhookMoved) {
		t.Errorf("taken twice: %v", err)
	}
	found, err := s.PendingMessages(ctx, "w", "", 1000)
	must(t, err)
	if len(found) != 100 || found[99].Event.ID != "100-0" || found[0].Event.Session != "s" {
		t.Fatalf("%d messages are pending: %+v", len(found), found)
	}
	tries := staging.WebhookTries{Count: 2, Error: "the receiver answered 400"}
	must(t, s.Tried(ctx, "w", found[0].Position, tries))
	if again, err := s.PendingMessages(ctx, "w", "", 1); err != nil || again[0].Tries.Count != 2 {
		t.Errorf("%+v, %v", again, err)
	}
	must(t, s.Delivered(ctx, "w", []string{found[2].Position, found[3].Position}))
	for i := range 2 {
		_, err = s.Bury(ctx, "w", found[i].Position, tries)
		must(t, err)
	}
	dead, err := s.DeadLetters(ctx, "w", "", 10)
	must(t, err)
	if len(dead) != 2 || dead[0].Event.ID != "1-0" || dead[0].Tries.Error != tries.Error {
		t.Fatalf("dead letters: %+v", dead)
	}
	d, err := s.WebhookDeliveries(ctx, "w")
	must(t, err)
	if d.Pending != 96 || d.DeadLetters != 2 {
		t.Errorf("%+v", d)
	}
	for want, ids := range map[int][]string{0: {"7-7"}, 1: {dead[1].Position}} {
		if n, err := s.Replay(ctx, "w", ids); err != nil || n != want {
			t.Errorf("replayed %d of %v, %v", n, ids, err)
		}
	}
	if n, err := s.Replay(ctx, "w", nil); err != nil || n != 1 {
		t.Errorf("replayed %d, %v", n, err)
	}
	if found, err = s.PendingMessages(ctx, "w", found[99].Position, 10); err != nil || len(found) != 2 || found[0].Event.ID != "2-0" || found[1].Event.ID != "1-0" {
		t.Errorf("behind what was pending: %+v, %v", found, err)
	}
	// It takes no more than the bound.
	for n, from := 98, "1-0"; ; n += len(events) {
		to := fmt.Sprintf("%d-0", n)
		err := s.TakeEvents(ctx, "w", from, to, events)
		if from = to; err == nil && n+len(events) <= maxPending {
			continue
		}
		if !errors.Is(err, staging.ErrWebhookFull) {
			t.Errorf("with %d pending: %v", n, err)
		}
		break
	}
}
