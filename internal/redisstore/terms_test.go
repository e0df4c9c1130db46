package redisstore

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/greenroom/greenroom/internal/staging"
)

// of returns a claim of one user.
func of(user, id string) staging.Claim {
	c := claim(id)
	c.User.ID = user
	return c
}

func TestAUsersLimitHoldsHoweverManyLaunchAtOnce(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	for i := range 20 {
		must(t, s.Publish(ctx, session(fmt.Sprint("s", i), time.Duration(i)*time.Second)))
	}
	var mu sync.Mutex
	outcomes := map[staging.ClaimOutcome]int{}
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			c := of("u", fmt.Sprint("c", i))
			c.MaxSessionsPerUser = 3
			var r staging.ClaimResult
			var err error
			if i%2 == 0 {
				r, err = s.Claim(ctx, poolsOf("demo-east", "east"), 1, c)
			} else {
				r, err = s.Begin(ctx, staging.Session{ID: fmt.Sprint("od", i), Origin: staging.OnDemand, CreatedAt: time.Now()}, c)
			}
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			outcomes[r.Outcome]++
		})
	}
	wg.Wait()
	if outcomes[staging.ClaimTaken] != 3 || outcomes[staging.ClaimLimit] != 9 {
		t.Errorf("%v", outcomes)
	}
	own, err := s.UserSessions(ctx, "u")
	must(t, err)
	var ids []string
	for _, x := range own {
		ids = append(ids, x.ID)
	}
	c := of("u", "late")
	c.MaxSessionsPerUser, c.IdempotencyKey, c.Fingerprint = 3, "key", "f"
	r, err := claimOne(ctx, s, "demo-east", c)
	must(t, err)
	slices.Sort(ids)
	slices.Sort(r.Held)
	if r.Outcome != staging.ClaimLimit || !slices.Equal(r.Held, ids) {
		t.Errorf("%+v; the user's are %v", r, ids)
	}
	if h, err := s.KeyHolder(ctx, "key"); err != nil || h.Claim != "" {
		t.Errorf("a launch over the limit keeps its key: %+v %v", h, err)
	}
	// Sessions of other users, ended sessions and those of the same claim do not count.
	other := of("other", "c")
	other.MaxSessionsPerUser = 1
	if r, err = claimOne(ctx, s, "demo-east", other); err != nil || r.Outcome != staging.ClaimTaken {
		t.Errorf("another user: %+v %v", r, err)
	}
	if r, err = claimOne(ctx, s, "demo-east", other); err != nil || r.Outcome != staging.ClaimTaken {
		t.Errorf("the same claim's next try: %+v %v", r, err)
	}
	must(t, s.Finish(ctx, ids[0], "", "bye"))
	if r, err = claimOne(ctx, s, "demo-east", c); err != nil || r.Outcome != staging.ClaimTaken {
		t.Errorf("after one ended: %+v %v", r, err)
	}
	// Nor does one that another try of the same launch took and did not give, for want of Consul.
	must(t, s.Release(ctx, "key", c.ID, ""))
	again := of("u", "again")
	again.MaxSessionsPerUser, again.IdempotencyKey, again.Fingerprint = 3, "key", "f"
	if r, err = claimOne(ctx, s, "demo-east", again); err != nil || r.Outcome != staging.ClaimTaken {
		t.Errorf("a repeat after a try that was not given: %+v %v", r, err)
	}
	_, err = s.Assign(ctx, r.Session)
	must(t, err)
	must(t, s.rdb.Del(ctx, s.idempotencyKey("key")).Err()) // its life is over
	third := of("u", "third")
	third.MaxSessionsPerUser, third.IdempotencyKey, third.Fingerprint = 3, "key", "f"
	if r, err = claimOne(ctx, s, "demo-east", third); err != nil || r.Outcome != staging.ClaimLimit {
		t.Errorf("beside one that was given: %+v %v", r, err)
	}
}

func TestAKeepaliveAndALapseCannotBothWin(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	must(t, s.Publish(ctx, session("s", 0)))
	c := claim("c")
	c.Terms = staging.Terms{Keepalive: staging.Duration(time.Hour), TimeLimit: staging.Duration(2 * time.Hour)}
	r, err := claimOne(ctx, s, "demo-east", c)
	must(t, err)
	var refused *staging.StateError
	if _, err := s.Keepalive(ctx, "s"); !errors.As(err, &refused) || refused.State != staging.Claimed {
		t.Errorf("a keepalive before the assignment: %v", err)
	}
	x, err := s.Assign(ctx, r.Session)
	must(t, err)
	if x.Terms != c.Terms {
		t.Errorf("terms %+v", x.Terms)
	}
	since, err := s.NoteReceiving(ctx)
	must(t, err)
	must(t, s.rdb.HSet(ctx, s.receivingKey(), "since", since.Add(-24*time.Hour).UnixMilli()).Err())
	// This keepalive is in time.
	if x, err = s.ExpireKeepalive(ctx, x); err != nil || x.State != staging.Assigned {
		t.Errorf("it lapsed at once: %+v %v", x, err)
	}
	// Its last keepalive was two hours ago.
	long := time.Now().Add(-2 * time.Hour).UnixMilli()
	must(t, s.rdb.HSet(ctx, s.sessionKey("s"), "assigned_at", long).Err())
	if x, err = s.Keepalive(ctx, "s"); err != nil || x.KeepaliveAt.IsZero() || x.KeepaliveUntil().Before(time.Now().Add(50*time.Minute)) {
		t.Errorf("kept alive: %+v %v", x, err)
	}
	if x, err = s.ExpireKeepalive(ctx, x); err != nil || x.State != staging.Assigned {
		t.Errorf("it lapsed in spite of a keepalive: %+v %v", x, err)
	}
	must(t, s.rdb.HSet(ctx, s.sessionKey("s"), "keepalive_at", long).Err())
	_, err = s.NoteReceiving(ctx)
	must(t, err)
	if x, err = s.ExpireKeepalive(ctx, x); err != nil || x.State != staging.Ending || !strings.Contains(x.Reason, "no keepalive came for 1h") {
		t.Errorf("it did not lapse: %+v %v", x, err)
	}
	if _, err = s.Keepalive(ctx, "s"); !errors.As(err, &refused) || refused.State != staging.Ending {
		t.Errorf("a keepalive too late: %v", err)
	}
	for _, f := range []func() error{
		func() error { _, err := s.Keepalive(ctx, "nobody"); return err },
		func() error { _, err := s.ExpireKeepalive(ctx, staging.Session{ID: "nobody"}); return err },
	} {
		if err := f(); !errors.Is(err, staging.ErrNoSession) {
			t.Errorf("an unknown session: %v", err)
		}
	}
}

func TestRestoreBringsTheTermsAndTheUsersIndexBack(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	x := session("s", 0)
	x.State, x.Claim, x.User, x.AssignedAt = staging.Assigned, "c", &staging.User{ID: "u"}, time.Now().Add(-time.Hour)
	x.Terms = staging.Terms{Keepalive: staging.Duration(time.Minute)}
	_, err := s.Restore(ctx, x, staging.Fate{IdempotencyKey: "restored", Fingerprint: "f"})
	must(t, err)
	if h, err := s.KeyHolder(ctx, "restored"); err != nil || !slices.Equal(h.Sessions, []string{"s"}) || h.Claim != "c" || !h.Done {
		t.Errorf("the launch does not answer for its key: %+v %v", h, err)
	}
	own, err := s.UserSessions(ctx, "u")
	must(t, err)
	if len(own) != 1 || own[0].Terms != x.Terms || own[0].KeepaliveUntil().Before(time.Now()) {
		t.Errorf("%+v", own)
	}
}

func TestAKeyGoesOnWithoutASessionAndIsBoundForAnExistingOne(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	must(t, s.Publish(ctx, session("s", 0)))
	c := claim("c")
	c.IdempotencyKey, c.Fingerprint = "key", "f"
	_, err := claimOne(ctx, s, "demo-east", c)
	must(t, err)
	must(t, s.DetachKey(ctx, "key", "another"))
	if h, err := s.KeyHolder(ctx, "key"); err != nil || !slices.Equal(h.Sessions, []string{"s"}) || h.Claim != "c" {
		t.Errorf("another claim took the session from the key: %+v %v", h, err)
	}
	must(t, s.DetachKey(ctx, "key", "c"))
	if h, err := s.KeyHolder(ctx, "key"); err != nil || h.Claim == "" || len(h.Sessions) != 0 || h.Done {
		t.Errorf("%+v %v", h, err)
	}

	d := claim("d")
	d.IdempotencyKey, d.Fingerprint = "own", "f"
	if r, err := s.Adopt(ctx, "own", d, "mine"); err != nil || r.Outcome != staging.ClaimTaken {
		t.Errorf("adopt: %+v %v", r, err)
	}
	e := d
	e.ID = "e"
	if r, err := s.Adopt(ctx, "own", e, "mine"); err != nil || r.Outcome != staging.ClaimRepeat || !slices.Equal(r.Holder.Sessions, []string{"mine"}) || r.Holder.Done {
		t.Errorf("a repeat: %+v %v", r, err)
	}
	must(t, s.Bind(ctx, "own", "e"))
	must(t, s.Bind(ctx, "own", "d"))
	must(t, s.Release(ctx, "own", "d", ""))
	if r, err := s.Adopt(ctx, "own", e, "mine"); err != nil || r.Outcome != staging.ClaimRepeat || !r.Holder.Done {
		t.Errorf("a repeat of what is done: %+v %v", r, err)
	}
	e.Fingerprint = "another"
	if r, err := s.Adopt(ctx, "own", e, "mine"); err != nil || r.Outcome != staging.ClaimKeyReused {
		t.Errorf("another launch: %+v %v", r, err)
	}
	if r, err := s.Adopt(ctx, "", staging.Claim{ID: "x"}, "mine"); err != nil || r.Outcome != staging.ClaimTaken {
		t.Errorf("without a key: %+v %v", r, err)
	}
}

func TestEventsThatAreNoMovesAreKeptWhole(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	at, err := s.LastEvent(ctx)
	must(t, err)
	want := staging.Event{
		Type: staging.EventHookFailed, Session: "s", Pool: "p", RequestID: "req-1", Reason: "exit code 7", Zone: "east", Image: "demo", User: "u",
		Setting: "x", Where: "y", Hook: staging.HookAssign, Stdout: "out\n", Stderr: strings.Repeat("e", 4096),
		Audit: staging.Audit{
			Who: "token:tk-1", Role: "admin", Operation: "putZone", Outcome: staging.AuditChanged, Target: "zone east",
			Before: `{"name":"east"}`, After: `{"name":"east","node_pool":"gpu"}`, Reason: "because", Remote: "192.0.2.1",
		},
	}
	noted := want
	noted.Stderr = "cut off" + want.Stderr
	must(t, s.Note(ctx, noted))
	events, _, err := s.Events(ctx, at, time.Second)
	must(t, err)
	if len(events) == 1 && staging.ValidEventID(events[0].ID) && time.Since(events[0].At).Abs() < time.Minute {
		want.ID, want.At = events[0].ID, events[0].At
	}
	if diff := cmp.Diff([]staging.Event{want}, events); diff != "" {
		t.Error(diff)
	}
	audit := staging.Event{Type: staging.EventAudit, Audit: staging.Audit{Who: "nobody", Operation: "putZone", RequestID: "req-2"}}
	must(t, s.Note(ctx, audit))
	events, _, err = s.Events(ctx, at, time.Second)
	must(t, err)
	if last := events[len(events)-1]; last.Audit != audit.Audit || last.RequestID != "" {
		t.Errorf("kept as %+v", last)
	}
}

// TestNoKeepaliveCountsAsMissedThatCouldNotBeReceived: the count starts when brokers receive
// keepalives again after any gap, in Redis itself, so that every scaler finds it.
func TestNoKeepaliveCountsAsMissedThatCouldNotBeReceived(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	must(t, s.Publish(ctx, session("s", 0)))
	c := claim("c")
	c.Terms = staging.Terms{Keepalive: staging.Duration(time.Hour)}
	r, err := claimOne(ctx, s, "demo-east", c)
	must(t, err)
	x, err := s.Assign(ctx, r.Session)
	must(t, err)
	ago := func(d time.Duration) int64 { return time.Now().Add(-d).UnixMilli() }
	set := func(field string, ms int64) { must(t, s.rdb.HSet(ctx, s.receivingKey(), field, ms).Err()) }
	expires := func(why string, want staging.State) {
		t.Helper()
		if x, err = s.ExpireKeepalive(ctx, x); err != nil || x.State != want {
			t.Errorf("%s: %s, %v; want %s", why, x.State, err, want)
		}
	}
	must(t, s.rdb.HSet(ctx, s.sessionKey("s"), "assigned_at", ago(5*time.Hour)).Err())
	expires("no broker was ever there", staging.Assigned)
	set("since", ago(5*time.Hour))
	set("at", ago(2*time.Hour))
	expires("no broker is back yet", staging.Assigned)
	since, err := s.NoteReceiving(ctx)
	must(t, err)
	if since.UnixMilli() < ago(time.Minute) {
		t.Errorf("after two hours without a broker, received since %s", since)
	}
	expires("a broker is back", staging.Assigned)
	again, err := s.NoteReceiving(ctx)
	if err != nil || !again.Equal(since) {
		t.Errorf("a moment later received since %s, %v; want %s", again, err, since)
	}
	set("since", ago(2*time.Hour))
	must(t, s.RestartKeepalives(ctx))
	expires("keepalives may be lost", staging.Assigned)
	_, err = s.NoteReceiving(ctx)
	must(t, err)
	set("since", ago(2*time.Hour))
	expires("a broker has been there for the whole period", staging.Ending)
}

// TestAUsersLimitOfAnImageCountsItsSessionsAlone, staged, on demand and restored ones alike,
// however many launch at once.
func TestAUsersLimitOfAnImageCountsItsSessionsAlone(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	for i := range 20 {
		must(t, s.Publish(ctx, session(fmt.Sprint("s", i), time.Duration(i)*time.Second)))
	}
	image := session("s0", 0).Image
	var mu sync.Mutex
	outcomes := map[staging.ClaimOutcome]int{}
	begin := func(id, image string, c staging.Claim) (staging.ClaimResult, error) {
		c.Image = image
		return s.Begin(ctx, staging.Session{ID: id, Origin: staging.OnDemand, Image: image, CreatedAt: time.Now()}, c)
	}
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			c := of("u", fmt.Sprint("c", i))
			c.MaxOfImagePerUser = 2
			var r staging.ClaimResult
			var err error
			switch i % 4 {
			case 0:
				r, err = s.Claim(ctx, poolsOf("demo-east", "east"), 1, c)
			case 1:
				r, err = s.Claim(ctx, poolsOf("demo-east", "east"), 2, c)
			default:
				r, err = begin(fmt.Sprint("od", i), image, c)
			}
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			outcomes[r.Outcome]++
		})
	}
	wg.Wait()
	own, err := s.UserSessions(ctx, "u")
	must(t, err)
	if len(own) != 2 || outcomes[staging.ClaimTaken]+outcomes[staging.ClaimImageLimit] != 16 {
		t.Errorf("%d sessions: %v", len(own), outcomes)
	}
	c := of("u", "another")
	c.MaxOfImagePerUser = 2
	if r, err := begin("other", "another-image", c); err != nil || r.Outcome != staging.ClaimTaken {
		t.Errorf("another image: %+v %v", r, err)
	}
	if r, err := begin("late", image, of("u", "unlimited")); err != nil || r.Outcome != staging.ClaimTaken {
		t.Errorf("without a limit: %+v %v", r, err)
	}
	c = of("u", "late")
	c.MaxOfImagePerUser = 3
	if r, err := begin("later", image, c); err != nil || r.Outcome != staging.ClaimImageLimit || len(r.Held) != 3 {
		t.Errorf("three of three: %+v %v", r, err)
	}
}
