package redisstore

import (
	"errors"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// TestNoteRoom: what a session waits for is its reason while it is pending, with one event for each
// thing, and is gone once it is placed.
func TestNoteRoom(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	for _, after := range []staging.State{staging.Starting, staging.Assigned} {
		x := session("gr-"+string(after), 0)
		x.Origin, x.Staging, x.State, x.WaitForRoom = staging.OnDemand, "", staging.Pending, staging.Duration(time.Minute)
		c := claim("c-" + string(after))
		c.Fingerprint = ""
		if _, err := s.Begin(ctx, x, c); err != nil {
			t.Fatal(err)
		}
		read := func() staging.Session {
			t.Helper()
			now, err := s.Session(ctx, x.ID)
			must(t, err)
			return now
		}
		must(t, s.NoteRoom(ctx, x, "waiting for room: no memory"))
		must(t, s.NoteRoom(ctx, x, "waiting for room: no memory"))
		if now := read(); now.State != staging.Pending || now.Reason != "waiting for room: no memory" || now.WaitForRoom != x.WaitForRoom {
			t.Errorf("%+v", now)
		}
		if after == staging.Starting {
			x.State = staging.Starting
			if _, err := s.Record(ctx, x); err != nil {
				t.Fatal(err)
			}
		} else {
			x.Claim = c.ID
			if _, err := s.Assign(ctx, x); err != nil {
				t.Fatal(err)
			}
		}
		if now := read(); now.State != after || now.Reason != "" {
			t.Errorf("once it is %s: %s, reason %q", after, now.State, now.Reason)
		}
		if err := s.NoteRoom(ctx, x, "waiting for room: too late"); !errors.As(err, new(*staging.StateError)) {
			t.Errorf("it is %s: %v", after, err)
		}
	}
	noted := 0
	events, _, err := s.Events(ctx, "0", time.Millisecond)
	must(t, err)
	for _, e := range events {
		if e.Type == staging.EventWaitingForRoom {
			noted++
		}
	}
	if noted != 2 {
		t.Errorf("%d events, want one for each session", noted)
	}
}
