package redisstore

import (
	"errors"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// TestARestartedSessionIsNotUpUntilItIsReassigned, and with a failure stays so. All of it is
// fenced by the session's claim, and harmless to repeat.
func TestARestartedSessionIsNotUpUntilItIsReassigned(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	must(t, s.Publish(ctx, session("gr-1", time.Second)))
	if err := s.Restarted(ctx, session("gr-1", 0), "restarted"); !errors.As(err, new(*staging.StateError)) {
		t.Errorf("a session that nobody has: %v", err)
	}
	r, err := claimOne(ctx, s, "demo-east", claim("c"))
	must(t, err)
	x, err := s.Assign(ctx, r.Session)
	must(t, err)
	read := func() staging.Session {
		t.Helper()
		now, err := s.Session(ctx, "gr-1")
		must(t, err)
		return now
	}
	must(t, s.Restarted(ctx, x, "restarted"))
	first := read()
	must(t, s.Restarted(ctx, x, "restarted"))
	if now := read(); now.State != staging.Assigned || now.RestartedAt.IsZero() || now.RestartedAt != first.RestartedAt || now.RestartFailure != "" {
		t.Errorf("%+v", now)
	}
	x.Restarts = 1
	must(t, s.Reassigned(ctx, x, "exit code 7", "done"))
	if now := read(); now.RestartFailure != "exit code 7" || now.RestartedAt.IsZero() || now.Restarts != 1 {
		t.Errorf("%+v", now)
	}
	must(t, s.Restarted(ctx, x, "restarted"))
	if now := read(); now.RestartFailure != "" || now.RestartedAt.IsZero() {
		t.Errorf("a further restart: %+v", now)
	}
	x.Restarts = 2
	must(t, s.Reassigned(ctx, x, "", "done"))
	if now := read(); now.State != staging.Assigned || now.RestartFailure != "" || !now.RestartedAt.IsZero() || now.Restarts != 2 || now.User == nil {
		t.Errorf("%+v", now)
	}
	other := x
	other.Claim = "another"
	var fenced *staging.StateError
	if err := s.Reassigned(ctx, other, "", "done"); !errors.As(err, &fenced) || !fenced.Fenced {
		t.Errorf("another claim: %v", err)
	}
	events, _, err := s.Events(ctx, "0", time.Millisecond)
	must(t, err)
	count := map[staging.EventType]int{}
	for _, e := range events {
		count[e.Type]++
	}
	if count[staging.EventRestarted] != 2 || count[staging.EventReassigned] != 1 {
		t.Errorf("events: %v", count)
	}
}
