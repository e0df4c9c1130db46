package redisstore

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// unused is a session that its user does not use.
type unused struct {
	*testing.T
	s *Store
	x staging.Session
}

func newUnused(t *testing.T, terms staging.Terms) *unused {
	s, ctx := newStore(t), t.Context()
	must(t, s.Publish(ctx, session("s", 0)))
	c := claim("c")
	c.Terms = terms
	r, err := claimOne(ctx, s, "demo-east", c)
	must(t, err)
	x, err := s.Assign(ctx, r.Session)
	must(t, err)
	_, err = s.NoteReceiving(ctx)
	must(t, err)
	return &unused{t, s, x}
}

// set sets a time in a hash to some time ago.
func (u *unused) set(key, field string, ago time.Duration) {
	u.Helper()
	must(u.T, u.s.rdb.HSet(u.Context(), key, field, time.Now().Add(-ago).UnixMilli()).Err())
}

// times sets the times of a session's hash.
func (u *unused) times(ago map[string]time.Duration) {
	u.Helper()
	for field, d := range ago {
		u.set(u.s.sessionKey("s"), field, d)
	}
}

func (u *unused) note(note func() (time.Time, error)) {
	u.Helper()
	_, err := note()
	must(u.T, err)
}

// warnings counts the events that warn the user.
func (u *unused) warnings() int {
	u.Helper()
	all, err := u.s.rdb.XRange(u.Context(), u.s.eventsKey(), "-", "+").Result()
	must(u.T, err)
	n := 0
	for _, e := range all {
		if e.Values["type"] == string(staging.EventIdleSoon) && strings.Contains(e.Values["reason"].(string), "it ends in 5m0s unless it is used") {
			n++
		}
	}
	return n
}

func (u *unused) idle(why string, want staging.State, warnings int) {
	u.Helper()
	x, err := u.s.ExpireIdle(u.Context(), u.x)
	if err != nil || x.State != want || u.warnings() != warnings {
		u.Errorf("%s: %s, %d warnings, %v; want %s, %d", why, x.State, u.warnings(), err, want, warnings)
	}
	u.x = x
}

// TestAnIdleSessionEndsAfterAWarning, once after each use, and not before the warning was given its
// time. What could not be received does not count as missed.
func TestAnIdleSessionEndsAfterAWarning(t *testing.T) {
	u := newUnused(t, staging.Terms{Idle: staging.Duration(time.Hour)})
	s, ctx := u.s, t.Context()
	u.set(s.receivingKey(), "since", 24*time.Hour)
	u.idle("in use", staging.Assigned, 0)
	u.times(map[string]time.Duration{"assigned_at": 3 * time.Hour})
	u.idle("idle for long, and never warned", staging.Assigned, 1)
	if left := time.Until(u.x.IdleEndsAt()); left < 4*time.Minute || left > 5*time.Minute {
		t.Errorf("after the warning it ends in %s", left)
	}
	u.idle("warned a moment ago", staging.Assigned, 1)
	used, err := s.Keepalive(ctx, "s")
	must(t, err)
	u.times(map[string]time.Duration{"idle_warned_at": 2 * time.Hour})
	u.idle("used after the warning", staging.Assigned, 1)
	if used.VisitedAt.IsZero() || used.Unvisited {
		t.Errorf("used, and visited at %s, %v", used.VisitedAt, used.Unvisited)
	}
	u.times(map[string]time.Duration{"keepalive_at": 56 * time.Minute})
	u.idle("idle again", staging.Assigned, 2)
	u.times(map[string]time.Duration{"keepalive_at": 61 * time.Minute})
	u.idle("idle for an hour, and warned a moment ago", staging.Assigned, 2)
	u.times(map[string]time.Duration{"idle_warned_at": 5 * time.Minute})

	// Gateways: the installation has some from here on.
	u.note(func() (time.Time, error) { return s.NoteGateway(ctx) })
	u.idle("no gateway was there the whole time", staging.Assigned, 2)
	u.set(s.gatewaysKey(), "since", 24*time.Hour)
	u.set(s.gatewaysKey(), "at", time.Minute)
	u.idle("no gateway is there now", staging.Assigned, 2)
	u.note(func() (time.Time, error) { return s.NoteGateway(ctx) })
	u.idle("gateways are back", staging.Assigned, 2)
	u.set(s.gatewaysKey(), "since", 24*time.Hour)
	u.note(func() (time.Time, error) { return s.NoteReceiving(ctx) })
	other := u.x
	other.Claim = "another"
	if x, err := s.ExpireIdle(ctx, other); err != nil || x.State != staging.Assigned {
		t.Errorf("another claim's: %s %v", x.State, err)
	}
	u.idle("idle, and warned in time", staging.Ending, 2)
	if u.x.Reason != "it was not used for 1h0m0s" {
		t.Errorf("reason %q", u.x.Reason)
	}
	if own, err := s.UserSessions(ctx, u.x.User.ID); err != nil || len(own) != 0 {
		t.Errorf("it counts as its user's: %v %v", own, err)
	}
}

func (u *unused) unvisited(why string, want staging.State, known bool) {
	u.Helper()
	x, err := u.s.ExpireUnvisited(u.Context(), u.x)
	if err != nil || x.State != want || x.Unvisited != known {
		u.Errorf("%s: %s, unvisited %v, %v; want %s, %v", why, x.State, x.Unvisited, err, want, known)
	}
	u.x = x
}

// TestAnUnvisitedSessionEnds if it is known that its user has never used it.
func TestAnUnvisitedSessionEnds(t *testing.T) {
	terms := staging.Terms{Unvisited: staging.Duration(10 * time.Minute)}
	old := map[string]time.Duration{"assigned_at": 11 * time.Minute, "unvisited_since": 11 * time.Minute}
	t.Run("never used", func(t *testing.T) {
		u := newUnused(t, terms)
		u.set(u.s.receivingKey(), "since", time.Hour)
		u.unvisited("just assigned", staging.Assigned, true)
		u.times(old)
		u.set(u.s.receivingKey(), "at", time.Minute)
		u.unvisited("no broker is there", staging.Assigned, true)
		u.note(func() (time.Time, error) { return u.s.NoteReceiving(t.Context()) })
		u.set(u.s.receivingKey(), "since", time.Hour)
		u.unvisited("its time is over", staging.Ending, true)
		if u.x.Reason != "its user did not open it within 10m0s" {
			t.Errorf("reason %q", u.x.Reason)
		}
	})
	t.Run("used once", func(t *testing.T) {
		u := newUnused(t, terms)
		first, err := u.s.Keepalive(t.Context(), "s")
		must(t, err)
		_, err = u.s.Keepalive(t.Context(), "s")
		must(t, err)
		u.set(u.s.receivingKey(), "since", time.Hour)
		u.times(map[string]time.Duration{"assigned_at": time.Hour, "keepalive_at": time.Hour})
		u.unvisited("long ago", staging.Assigned, false)
		if first.VisitedAt.IsZero() || !u.x.VisitedAt.Equal(first.VisitedAt) {
			t.Errorf("visited at %s, first at %s", u.x.VisitedAt, first.VisitedAt)
		}
	})
	t.Run("perhaps used", func(t *testing.T) {
		u := newUnused(t, terms)
		u.times(old)
		u.unvisited("the brokers were away meanwhile", staging.Assigned, false)
		u.set(u.s.receivingKey(), "since", time.Hour)
		u.unvisited("and that stays", staging.Assigned, false)
	})
}

// TestWhatRedisLostCountsAsVisited: a session that is restored from its fate record, and one that
// goes back to its pool, whose next user has not opened it.
func TestWhatRedisLostCountsAsVisited(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	x := session("s", 0)
	must(t, s.Publish(ctx, x))
	_, err := claimOne(ctx, s, "demo-east", claim("one that Consul did not confirm"))
	must(t, err)
	x.State, x.Claim, x.User, x.AssignedAt = staging.Assigned, "c", &staging.User{ID: "u"}, time.Now().Add(-time.Hour)
	x.Terms = staging.Terms{Unvisited: staging.Duration(time.Minute)}
	_, err = s.Restore(ctx, x, staging.Fate{})
	must(t, err)
	u := &unused{t, s, x}
	u.note(func() (time.Time, error) { return s.NoteReceiving(ctx) })
	u.set(s.receivingKey(), "since", 24*time.Hour)
	u.unvisited("restored", staging.Assigned, false)

	must(t, s.Publish(ctx, session("back", 1)))
	r, err := claimOne(ctx, s, "demo-east", claim("c"))
	must(t, err)
	claimed, err := s.Session(ctx, "back")
	must(t, err)
	must(t, s.Unclaim(ctx, r.Session))
	ready, err := s.Session(ctx, "back")
	if err != nil || ready.Unvisited || !claimed.Unvisited {
		t.Errorf("claimed: unvisited %v; ready again: unvisited %v, %v", claimed.Unvisited, ready.Unvisited, err)
	}
}

func TestExpiryOfAnUnknownSession(t *testing.T) {
	s := newStore(t)
	for _, f := range []func() error{
		func() error { _, err := s.ExpireIdle(t.Context(), staging.Session{ID: "nobody"}); return err },
		func() error { _, err := s.ExpireUnvisited(t.Context(), staging.Session{ID: "nobody"}); return err },
	} {
		if err := f(); !errors.Is(err, staging.ErrNoSession) {
			t.Errorf("an unknown session: %v", err)
		}
	}
}

// TestALinksCodeIsRedeemedOnce, by however many gateways at once, until its life is over.
func TestALinksCodeIsRedeemedOnce(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	firsts := make(chan bool, 20)
	for range cap(firsts) {
		go func() {
			first, err := s.Redeem(ctx, "code", time.Minute)
			firsts <- first && err == nil
		}()
	}
	var won []bool
	for range cap(firsts) {
		won = append(won, <-firsts)
	}
	if len(slices.DeleteFunc(won, func(w bool) bool { return !w })) != 1 {
		t.Errorf("first: %v", won)
	}
	life, err := s.rdb.PTTL(ctx, s.codeKey("code")).Result()
	if err != nil || life <= 0 || life > time.Minute {
		t.Errorf("a code that was used is remembered for %s, %v", life, err)
	}
	if first, err := s.Redeem(ctx, "other", time.Minute); err != nil || !first {
		t.Errorf("another code: %v %v", first, err)
	}
}
