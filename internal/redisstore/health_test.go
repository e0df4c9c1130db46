package redisstore

import (
	"errors"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// TestNoteHealthKeepsSinceWhen: repeating a note changes nothing, and an event tells of each
// change.
func TestNoteHealthKeepsSinceWhen(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	must(t, s.Publish(ctx, session("gr-1", time.Second)))
	if err := s.NoteHealth(ctx, session("gr-1", 0), false, "checks"); !errors.As(err, new(*staging.StateError)) {
		t.Errorf("an unassigned session's health was noted: %v", err)
	}
	r, err := claimOne(ctx, s, "demo-east", claim("c"))
	must(t, err)
	x, err := s.Assign(ctx, r.Session)
	must(t, err)
	read := func() staging.Session {
		t.Helper()
		now, err := s.Session(ctx, x.ID)
		must(t, err)
		return now
	}
	if healthy, since, known := read().Health(); !healthy || !known || since != x.ReadyAt {
		t.Errorf("assigned: %v %v %v, want healthy since %v", healthy, since, known, x.ReadyAt)
	}
	must(t, s.NoteHealth(ctx, x, false, "its checks do not pass"))
	first := read().UnhealthySince
	must(t, s.NoteHealth(ctx, x, false, "its checks do not pass"))
	if healthy, since, known := read().Health(); healthy || !known || since.IsZero() || since != first {
		t.Errorf("noted twice: %v %v %v, want unhealthy since %v", healthy, since, known, first)
	}
	other := x
	other.Claim = "another"
	var fenced *staging.StateError
	if err := s.NoteHealth(ctx, other, true, ""); !errors.As(err, &fenced) || !fenced.Fenced {
		t.Errorf("another claim: %v", err)
	}
	must(t, s.NoteHealth(ctx, x, true, "its checks pass again"))
	must(t, s.NoteHealth(ctx, x, true, "its checks pass again"))
	now := read()
	if healthy, since, _ := now.Health(); !healthy || since.Before(first) || since != now.RecoveredAt {
		t.Errorf("recovered: %+v", now)
	}
	count := map[staging.EventType]int{}
	events, _, err := s.Events(ctx, "0", time.Millisecond)
	must(t, err)
	for _, e := range events {
		count[e.Type]++
	}
	if count[staging.EventUnhealthy] != 1 || count[staging.EventRecovered] != 1 {
		t.Errorf("events %v", count)
	}
}
