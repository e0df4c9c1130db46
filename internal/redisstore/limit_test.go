package redisstore

import (
	"errors"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// typed counts the events of a type.
func (u *unused) typed(kind staging.EventType) int {
	u.Helper()
	all, err := u.s.rdb.XRange(u.Context(), u.s.eventsKey(), "-", "+").Result()
	must(u.T, err)
	n := 0
	for _, e := range all {
		if e.Values["type"] == string(kind) {
			n++
		}
	}
	return n
}

// TestAnExtensionAndTheEndExcludeEachOther: a session that was extended after its end was decided
// stays, and one whose end has begun is not extended.
func TestAnExtensionAndTheEndExcludeEachOther(t *testing.T) {
	u := newUnused(t, staging.Terms{TimeLimit: staging.Duration(time.Hour), MaxExtension: staging.Duration(time.Hour)})
	s, ctx := u.s, t.Context()
	u.times(map[string]time.Duration{"assigned_at": 70 * time.Minute})
	old, err := s.Session(ctx, "s")
	must(t, err)
	longer := old
	longer.Terms.Extended = staging.Duration(30 * time.Minute)
	extended, err := s.Extend(ctx, longer, "by 30m")
	must(t, err)
	if !extended.EndsAt().Equal(old.EndsAt().Add(30*time.Minute)) || extended.KeepaliveAt.IsZero() || extended.Unvisited || u.typed(staging.EventExtended) != 1 {
		t.Errorf("%+v, %d events", extended, u.typed(staging.EventExtended))
	}
	if _, err = s.Extend(ctx, longer, "by 30m"); err != nil || u.typed(staging.EventExtended) != 1 {
		t.Errorf("a repeat: %v, %d events", err, u.typed(staging.EventExtended))
	}
	for why, x := range map[string]staging.Session{"as it was before": old, "as it is now, with time left": extended} {
		if now, err := s.ExpireLimit(ctx, x, "over"); err != nil || now.State != staging.Assigned {
			t.Errorf("%s: %s, %v", why, now.State, err)
		}
	}
	u.times(map[string]time.Duration{"assigned_at": 91 * time.Minute})
	due, err := s.Session(ctx, "s")
	must(t, err)
	if now, err := s.ExpireLimit(ctx, due, "over"); err != nil || now.State != staging.Ending || now.Reason != "over" {
		t.Errorf("at the limit: %s, %q, %v", now.State, now.Reason, err)
	}
	var moved *staging.StateError
	if _, err := s.Extend(ctx, longer, "late"); !errors.As(err, &moved) || moved.State != staging.Ending {
		t.Errorf("an extension after the end: %v", err)
	}
	if _, err := s.Extend(ctx, staging.Session{ID: "none"}, ""); !errors.Is(err, staging.ErrNoSession) {
		t.Errorf("of no session: %v", err)
	}
}

// TestAWarningOfTheEndIsGivenOnce, and again after an extension.
func TestAWarningOfTheEndIsGivenOnce(t *testing.T) {
	u := newUnused(t, staging.Terms{TimeLimit: staging.Duration(time.Hour), MaxExtension: staging.Duration(time.Hour)})
	warn := func(want int) {
		t.Helper()
		x, err := u.s.Session(t.Context(), "s")
		must(t, err)
		if x, err = u.s.WarnEnd(t.Context(), x, "soon"); err != nil || !x.EndWarned() || u.typed(staging.EventEndingSoon) != want {
			t.Errorf("%+v, %v, %d events, want %d", x, err, u.typed(staging.EventEndingSoon), want)
		}
		u.x = x
	}
	warn(1)
	warn(1)
	u.x.Terms.Extended = staging.Duration(time.Minute)
	if x, err := u.s.Extend(t.Context(), u.x, ""); err != nil || x.EndWarned() {
		t.Errorf("extended: warned %v, %v", x.EndWarned(), err)
	}
	warn(2)
}
