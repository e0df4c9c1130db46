package redisstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/internal/devcluster"
	"github.com/greenroom/greenroom/internal/devcluster/devtest"
	"github.com/greenroom/greenroom/internal/staging"
)

var servers = devtest.Share(devcluster.Options{NoConsul: true})

func TestMain(m *testing.M) { os.Exit(servers.Around(m).Run()) }

// newStore returns a store with keys of its own for each test, on one Redis.
func newStore(t *testing.T) *Store {
	t.Helper()
	rdb := testClient(t)
	t.Cleanup(func() { rdb.Close() })
	s := New(rdb, Options{Prefix: testPrefix(t.Name())})
	vouch(t, s)
	return s
}

// vouch renews trust in zone east, as a scaler does.
func vouch(t *testing.T, s *Store) {
	t.Helper()
	vouchFor(t, s, "east")
}

func vouchFor(t *testing.T, s *Store, zone string) {
	t.Helper()
	must(t, s.PlaceMarker(t.Context(), zone, "the-first-mark"))
	renewed, err := s.RenewTrust(t.Context(), zone, staging.TrustRenewal{Before: "the-first-mark", Marker: "a-mark"})
	must(t, err)
	if !renewed {
		t.Fatal("the marker that was just placed is gone")
	}
}

func session(id string, age time.Duration) staging.Session {
	return staging.Session{
		ID: id, State: staging.Pending, Origin: staging.Staged, Zone: "east", Image: "demo", Staging: "demo-east",
		AllocID: "a-" + id, Address: "127.0.0.1", Ports: map[string]int{"http": 20000},
		CreatedAt: time.Now().UTC().Add(-age).Truncate(time.Millisecond),
	}
}

// oneClaim is the result of a claim of one session.
type oneClaim struct {
	staging.ClaimResult
	Session staging.Session
}

// claimOne claims one session of a pool in the claim's zone.
func claimOne(ctx context.Context, s *Store, pool string, c staging.Claim) (oneClaim, error) {
	r, err := s.Claim(ctx, []staging.Config{{Name: pool, Zone: c.Zone}}, 1, c)
	one := oneClaim{ClaimResult: r}
	if len(r.Sessions) > 0 {
		one.Session = r.Sessions[0]
	}
	return one, err
}

func claim(id string) staging.Claim {
	return staging.Claim{ID: id, Image: "demo", Zone: "east", User: staging.User{ID: "u-" + id, Name: "O'Brien \"$(x)\"\n😀"}}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func stateOf(t *testing.T, s *Store, id string) staging.State {
	t.Helper()
	x, err := s.Session(t.Context(), id)
	must(t, err)
	return x.State
}

func TestClaimTakesTheOldestReadySession(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	for id, age := range map[string]time.Duration{"young": time.Second, "old": time.Hour, "middle": time.Minute} {
		must(t, s.Publish(ctx, session(id, age)))
	}
	for _, want := range []string{"old", "middle", "young"} {
		r, err := claimOne(ctx, s, "demo-east", claim("for-"+want))
		must(t, err)
		if r.Outcome != staging.ClaimTaken || r.Session.ID != want {
			t.Fatalf("got %s %q, want %q", r.Outcome, r.Session.ID, want)
		}
		read, err := s.Session(ctx, want)
		must(t, err)
		if diff := cmp.Diff(r.Session, read); diff != "" {
			t.Errorf("the claim's answer differs from the record (-claim +record):\n%s", diff)
		}
	}
	r, err := claimOne(ctx, s, "demo-east", claim("late"))
	must(t, err)
	if r.Outcome != staging.ClaimEmpty {
		t.Errorf("an empty pool returned %s %q", r.Outcome, r.Session.ID)
	}
}

func TestManyClaimsAtOnceTakeEachSessionOnce(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	const sessions, callers = 20, 32
	for i := range sessions {
		must(t, s.Publish(ctx, session(fmt.Sprint("s", i), time.Duration(i)*time.Second)))
	}
	var mu sync.Mutex
	taken := map[string]int{}
	empty := 0
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			r, err := claimOne(ctx, s, "demo-east", claim(fmt.Sprint("c", i)))
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				t.Error(err)
			case r.Outcome == staging.ClaimTaken:
				taken[r.Session.ID]++
			default:
				empty++
			}
		})
	}
	wg.Wait()
	if len(taken) != sessions || empty != callers-sessions {
		t.Errorf("%d distinct sessions taken and %d found none; want %d and %d", len(taken), empty, sessions, callers-sessions)
	}
	for id, n := range taken {
		if n != 1 {
			t.Errorf("session %s was taken %d times", id, n)
		}
	}
}

// TestScriptsHoldToTheTableOfMoves runs every transition from every state and
// compares the result with package staging's table.
func TestScriptsHoldToTheTableOfMoves(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	moves := map[string]func(x staging.Session) error{
		"record":   func(x staging.Session) error { _, err := s.Record(ctx, x); return err },
		"publish":  func(x staging.Session) error { return s.Publish(ctx, x) },
		"withdraw": func(x staging.Session) error { return s.Withdraw(ctx, x) },
		"claim": func(x staging.Session) error {
			_, err := claimOne(ctx, s, x.Staging, claim("c"))
			return err
		},
		"claim several": func(x staging.Session) error {
			_, err := s.Claim(ctx, poolsOf(x.Staging, x.Zone), 1, claim("c"))
			return err
		},
		"unclaim": func(x staging.Session) error { x.Claim = "c"; return s.Unclaim(ctx, x) },
		"assign":  func(x staging.Session) error { x.Claim = "c"; _, err := s.Assign(ctx, x); return err },
		"quarantine": func(x staging.Session) error {
			_, err := s.Quarantine(ctx, x)
			return err
		},
		"retire":           func(x staging.Session) error { return s.Retire(ctx, x, "test") },
		"finish":           func(x staging.Session) error { return s.Finish(ctx, x.ID, "", "test") },
		"ended":            func(x staging.Session) error { return s.Ended(ctx, x, "test") },
		"lapse":            func(x staging.Session) error { _, err := s.ExpireKeepalive(ctx, x); return err },
		"expire idle":      func(x staging.Session) error { _, err := s.ExpireIdle(ctx, x); return err },
		"expire unvisited": func(x staging.Session) error { _, err := s.ExpireUnvisited(ctx, x); return err },
		"keepalive":        func(x staging.Session) error { _, err := s.Keepalive(ctx, x.ID); return err },
	}
	// The steps that lead from nothing to each state.
	ways := map[staging.State][]string{
		staging.Pending: {"record"}, staging.Starting: {"publish", "withdraw"}, staging.Ready: {"publish"},
		staging.Claimed: {"publish", "claim"}, staging.Assigned: {"publish", "claim", "assign"},
		staging.Retiring: {"publish", "retire"}, staging.Ending: {"publish", "claim", "finish"},
		staging.Ended: {"publish", "ended"}, staging.Quarantined: {"publish", "quarantine"},
	}
	made, forbidden := 0, 0
	for from, way := range ways {
		for name, move := range moves {
			x := session(fmt.Sprintf("%s-%s", from, name), 0)
			x.Staging = x.ID // a pool of its own
			for _, step := range way {
				must(t, moves[step](x))
			}
			if got := stateOf(t, s, x.ID); got != from {
				t.Fatalf("the way to %s led to %s", from, got)
			}
			err := move(x)
			to := stateOf(t, s, x.ID)
			var refused *staging.StateError
			switch {
			case to != from && !staging.CanMove(from, to):
				t.Errorf("%s moved a session from %s to %s, which the table forbids", name, from, to)
			case to != from:
				made++
			case err != nil && !errors.As(err, &refused):
				t.Errorf("%s from %s: %v", name, from, err)
			case errors.As(err, &refused):
				forbidden++
				if refused.State != from && !refused.Fenced {
					t.Errorf("%s from %s returns that the session is %q", name, from, refused.State)
				}
			}
		}
	}
	if made < 15 || forbidden < 15 {
		t.Errorf("only %d moves made and %d refused: this test no longer tests", made, forbidden)
	}
}

func TestAClaimAndARetirementCannotBothWin(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	for i := range 50 {
		x := session(fmt.Sprint("s", i), 0)
		x.Staging = x.ID
		must(t, s.Publish(ctx, x))
		var wg sync.WaitGroup
		var claimed, retired bool
		wg.Go(func() {
			r, err := claimOne(ctx, s, x.Staging, claim("c"))
			claimed = err == nil && r.Outcome == staging.ClaimTaken
		})
		wg.Go(func() { retired = s.Retire(ctx, x, "expired") == nil })
		wg.Wait()
		if claimed == retired {
			t.Fatalf("claimed %v, retired %v", claimed, retired)
		}
	}
}

// TestAStaleQueueEntryIsNoCandidate: after a rollback of Redis, a queue may name sessions
// that have moved on.
func TestAStaleQueueEntryIsNoCandidate(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	for i, move := range []func(staging.Session) error{
		func(x staging.Session) error { return s.Retire(ctx, x, "test") },
		func(x staging.Session) error { return s.Withdraw(ctx, x) },
		func(x staging.Session) error { return s.Ended(ctx, x, "test") },
		func(staging.Session) error { return nil }, // not in Redis
	} {
		x := session(fmt.Sprint("s", i), 0)
		x.Staging = x.ID
		if i < 3 {
			must(t, s.Publish(ctx, x))
		}
		must(t, move(x))
		if _, ready, err := s.Counts(ctx, x.Staging); err != nil || ready[x.Staging] != 0 {
			t.Errorf("case %d: it is still queued: %v %v", i, ready, err)
		}
		must(t, s.rdb.ZAdd(ctx, s.readyKey(x.Staging), redis.Z{Member: x.ID}).Err())
		if r, err := claimOne(ctx, s, x.Staging, claim("c")); err != nil || r.Outcome != staging.ClaimEmpty {
			t.Errorf("case %d: claimed %+v %v", i, r, err)
		}
	}
}

// TestAPoolGivesNoSessionOfAnotherImage: after a change of its config, a pool may still
// hold sessions of the old image.
func TestAPoolGivesNoSessionOfAnotherImage(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	old := session("old", time.Minute)
	old.Image = "before"
	must(t, s.Publish(ctx, old))
	must(t, s.Publish(ctx, session("new", 0)))
	r, err := claimOne(ctx, s, "demo-east", claim("c"))
	must(t, err)
	if r.Session.ID != "new" {
		t.Errorf("claimed %+v", r)
	}
	if got := stateOf(t, s, "old"); got != staging.Starting {
		t.Errorf("the other is %s, want it withdrawn", got)
	}
}

func TestAnOnDemandSessionIsNotMadeUp(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	state, err := s.Record(ctx, staging.Session{ID: "od", State: staging.Starting, Origin: staging.OnDemand})
	must(t, err)
	if _, err := s.Session(ctx, "od"); state != "" || !errors.Is(err, staging.ErrNoSession) {
		t.Errorf("recorded as %q: %v", state, err)
	}
}

func TestTheEpochChangesOnlyWhenTheDataIsWiped(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	first, err := s.Epoch(ctx)
	must(t, err)
	if again, err := s.Epoch(ctx); err != nil || again != first {
		t.Errorf("%q, then %q %v", first, again, err)
	}
	must(t, s.rdb.Del(ctx, s.epochKey()).Err())
	if after, err := s.Epoch(ctx); err != nil || after == first {
		t.Errorf("after a wipe it is still %q %v", after, err)
	}
}

func TestOnlyTheClaimThatHoldsASessionMayFinishIt(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	must(t, s.Publish(ctx, session("s", 0)))
	r, err := claimOne(ctx, s, "demo-east", claim("mine"))
	must(t, err)
	thief := r.Session
	thief.Claim = "another"
	var refused *staging.StateError
	if _, err := s.Assign(ctx, thief); !errors.As(err, &refused) || !refused.Fenced {
		t.Errorf("another claim's assignment: %v", err)
	}
	if err := s.Finish(ctx, "s", "another", "x"); !errors.As(err, &refused) || !refused.Fenced {
		t.Errorf("another claim's end: %v", err)
	}
	done, err := s.Assign(ctx, r.Session)
	must(t, err)
	if done.State != staging.Assigned || done.AssignedAt.IsZero() || done.User.Name != claim("x").User.Name {
		t.Errorf("assigned: %+v", done)
	}
	if again, err := s.Assign(ctx, r.Session); err != nil || !again.AssignedAt.Equal(done.AssignedAt) {
		t.Errorf("assigning again: %v at %v, first at %v", err, again.AssignedAt, done.AssignedAt)
	}
}

func TestAnIdempotencyKeyHoldsOneLaunch(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	must(t, s.Publish(ctx, session("s1", time.Minute)))
	must(t, s.Publish(ctx, session("s2", time.Second)))
	keyed := func(id, fingerprint string) staging.Claim {
		c := claim(id)
		c.IdempotencyKey, c.Fingerprint = "key", fingerprint
		return c
	}
	first, err := claimOne(ctx, s, "demo-east", keyed("c1", "f"))
	must(t, err)
	if first.Session.ID != "s1" {
		t.Fatalf("first: %+v", first)
	}
	repeat, err := claimOne(ctx, s, "demo-east", keyed("c2", "f"))
	must(t, err)
	if repeat.Outcome != staging.ClaimRepeat || !slices.Equal(repeat.Holder.Sessions, []string{"s1"}) || repeat.Holder.Done {
		t.Errorf("a repeat under way: %+v", repeat)
	}
	other, err := claimOne(ctx, s, "demo-east", keyed("c3", "another"))
	must(t, err)
	if other.Outcome != staging.ClaimKeyReused {
		t.Errorf("the key with another launch: %+v", other)
	}
	_, err = s.Assign(ctx, first.Session)
	must(t, err)
	must(t, s.Release(ctx, "key", "c1", "")) // the launch is done: the key stays
	repeat.ClaimResult, err = s.Begin(ctx, staging.Session{ID: "od"}, keyed("c4", "f"))
	must(t, err)
	if repeat.Outcome != staging.ClaimRepeat || !slices.Equal(repeat.Holder.Sessions, []string{"s1"}) || !repeat.Holder.Done {
		t.Errorf("a repeat of a finished launch: %+v", repeat)
	}
	if got := stateOf(t, s, "s2"); got != staging.Ready {
		t.Errorf("s2 is %s: a repeat took a second session", got)
	}
}

func TestAReleasedKeyMayTryAgain(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	c := claim("c1")
	c.IdempotencyKey, c.Fingerprint = "key", "f"
	r, err := claimOne(ctx, s, "empty", c)
	must(t, err)
	if r.Outcome != staging.ClaimEmpty {
		t.Fatalf("%+v", r)
	}
	must(t, s.Release(ctx, "key", "another", ""))
	if h, err := s.KeyHolder(ctx, "key"); err != nil || h.Claim == "" {
		t.Errorf("another claim freed the key: %+v %v", h, err)
	}
	must(t, s.Release(ctx, "key", "c1", ""))
	if h, err := s.KeyHolder(ctx, "key"); err != nil || h.Claim != "" {
		t.Errorf("the key is still held: %+v %v", h, err)
	}
}

func TestRestoreGivesALostSessionBackToItsUser(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	x := session("s", 0)
	must(t, s.Publish(ctx, x)) // a Redis that was rolled back holds it as unused
	x.State, x.Claim, x.User, x.AssignedAt = staging.Assigned, "c", &staging.User{ID: "u", Name: "n"}, time.Now().UTC().Truncate(time.Millisecond)
	state, err := s.Restore(ctx, x, staging.Fate{IdempotencyKey: "restored", Fingerprint: "f"})
	must(t, err)
	read, err := s.Session(ctx, "s")
	must(t, err)
	read.ReadyAt, read.KeepaliveAt = time.Time{}, time.Time{}
	if diff := cmp.Diff(x, read); state != staging.Assigned || diff != "" {
		t.Errorf("restored as %s (-want +got):\n%s", state, diff)
	}
	if r, err := claimOne(ctx, s, x.Staging, claim("thief")); err != nil || r.Outcome != staging.ClaimEmpty {
		t.Errorf("a restored session can still be claimed: %+v %v", r, err)
	}
	x.State = staging.Ready
	var refused *staging.StateError
	if err := s.Publish(ctx, x); !errors.As(err, &refused) {
		t.Errorf("a restored session can be published: %v", err)
	}
}

func TestEventsTellEveryMoveInOrder(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	at, err := s.LastEvent(ctx)
	must(t, err)
	x := session("s", 0)
	_, err = s.Record(ctx, x)
	must(t, err)
	must(t, s.Publish(ctx, x))
	r, err := claimOne(ctx, s, x.Staging, claim("c"))
	must(t, err)
	_, err = s.Assign(ctx, r.Session)
	must(t, err)
	must(t, s.Finish(ctx, x.ID, "", "bye"))
	must(t, s.Ended(ctx, x, "other reason"))
	events, next, err := s.Events(ctx, at, time.Second)
	must(t, err)
	var types []staging.EventType
	for _, e := range events {
		types = append(types, e.Type)
		if e.Session != "s" || e.Pool != "demo-east" {
			t.Errorf("event %+v", e)
		}
	}
	want := []staging.EventType{
		staging.EventPending, staging.EventReady, staging.EventClaimed, staging.EventAssigned, staging.EventEnding, staging.EventEnded,
	}
	if !slices.Equal(types, want) {
		t.Errorf("events %v, want %v", types, want)
	}
	if last := events[len(events)-1]; last.Reason != "bye" {
		t.Errorf("the first reason is lost: %+v", last)
	}
	if more, _, err := s.Events(ctx, next, 10*time.Millisecond); err != nil || len(more) != 0 {
		t.Errorf("read on from the end: %v %v", more, err)
	}
}

func TestCountsAndLists(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	for i := range 3 {
		must(t, s.Publish(ctx, session(fmt.Sprint("r", i), time.Duration(10-i)*time.Second)))
	}
	_, err := s.Record(ctx, session("p", 0))
	must(t, err)
	_, err = claimOne(ctx, s, "demo-east", claim("c"))
	must(t, err)
	current, ready, err := s.Counts(ctx, "demo-east", "nobody")
	must(t, err)
	if current["demo-east"] != 3 || ready["demo-east"] != 2 || current["nobody"] != 0 {
		t.Errorf("current %v, ready %v", current, ready)
	}
	all, err := s.Sessions(ctx)
	must(t, err)
	var ids []string
	for _, x := range all {
		ids = append(ids, x.ID)
	}
	if want := []string{"r0", "r1", "r2", "p"}; !slices.Equal(ids, want) {
		t.Errorf("sessions %v, want %v, oldest first", ids, want)
	}
	must(t, s.Ended(ctx, session("p", 0), "gone"))
	must(t, s.Ended(ctx, session("unheard-of", 0), "gone"))
	if all, err = s.Sessions(ctx); err != nil || len(all) != 3 {
		t.Errorf("after one ended: %d sessions, %v", len(all), err)
	}
	if _, err := s.Session(ctx, "unheard-of"); !errors.Is(err, staging.ErrNoSession) {
		t.Errorf("an unknown session: %v", err)
	}
}

// TestReportsAreKeptPerPool: each replaces all of what was reported of its pool.
func TestReportsAreKeptPerPool(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	conditions := []staging.Condition{{Type: staging.CapacityExhausted, Message: "full", Since: time.Now().UTC().Truncate(time.Second)}}
	rollout := staging.Rollout{Revision: "r2", Outdated: 3, OutdatedReady: 2}
	reports := func() (map[string][]staging.Condition, map[string]staging.Rollout, map[string]time.Duration) {
		t.Helper()
		c, err := s.Conditions(ctx, "a", "b")
		must(t, err)
		r, err := s.Rollouts(ctx, "a", "b")
		must(t, err)
		u, err := s.Usual(ctx)
		must(t, err)
		return c, r, u
	}
	must(t, s.WriteReport(ctx, staging.PoolReport{Pool: "a", Zone: "east", Conditions: conditions, Rollout: rollout, Usual: 1500 * time.Millisecond, Remark: "a hook failed"}))
	must(t, s.WriteReport(ctx, staging.PoolReport{Pool: "b", Zone: "east"}))
	c, r, u := reports()
	if diff := cmp.Diff([]any{
		map[string][]staging.Condition{"a": conditions}, map[string]staging.Rollout{"a": rollout}, map[string]time.Duration{"a": 1500 * time.Millisecond},
	}, []any{c, r, u}); diff != "" {
		t.Error(diff)
	}
	remarks, err := s.Remarks(ctx)
	if err != nil || len(remarks) != 1 || remarks["a"] != "a hook failed" {
		t.Errorf("remarks: %v %v", remarks, err)
	}
	must(t, s.WriteReport(ctx, staging.PoolReport{Pool: "a", Zone: "east", Conditions: []staging.Condition{}}))
	if remarks, err = s.Remarks(ctx); err != nil || len(remarks) != 0 {
		t.Errorf("cleared: %v %v", remarks, err)
	}
	if c, r, u = reports(); len(c) != 0 || len(r) != 0 || len(u) != 0 {
		t.Errorf("cleared: %v %v %v", c, r, u)
	}
}

// TestEventsSayWhoseASessionIsAndWhere: from its claim on, by every path.
func TestEventsSayWhoseASessionIsAndWhere(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	after, err := s.LastEvent(ctx)
	must(t, err)
	end := func(x staging.Session) {
		t.Helper()
		must(t, s.NoteHealth(ctx, x, false, "its checks fail"))
		must(t, s.Finish(ctx, x.ID, "", "bye"))
		must(t, s.Ended(ctx, x, "other reason"))
	}
	final, several := claim("final"), claim("several")
	final.Final = true
	for i, c := range []staging.Claim{claim("one"), final, several, several} {
		x := session(fmt.Sprintf("s%d", i), 0)
		_, err := s.Record(ctx, x)
		must(t, err)
		must(t, s.Publish(ctx, x))
		if i == 2 {
			continue // it is claimed together with the next
		}
		r, err := s.Claim(ctx, []staging.Config{{Name: x.Staging, Zone: "east"}}, max(1, i-1), c)
		must(t, err)
		for _, x := range r.Sessions {
			x, err = s.Assign(ctx, x)
			must(t, err)
			end(x)
		}
	}
	x := session("on-demand", 0)
	x.Origin, x.Staging = staging.OnDemand, ""
	r, err := s.Begin(ctx, x, claim("begun"))
	must(t, err)
	x, err = s.Assign(ctx, r.Sessions[0])
	must(t, err)
	end(x)
	events, _, err := s.EventsFrom(ctx, after, 100)
	must(t, err)
	users := map[string]string{"s0": "u-one", "s1": "u-final", "s2": "u-several", "s3": "u-several", "on-demand": "u-begun"}
	seen := map[staging.EventType]int{}
	for _, e := range events {
		want := users[e.Session]
		if e.Pool != "" && e.Type == staging.EventPending || e.Type == staging.EventReady {
			want = ""
		}
		if seen[e.Type]++; e.Zone != "east" || e.User != want {
			t.Errorf("%s of %s: zone %q, user %q, want %q", e.Type, e.Session, e.Zone, e.User, want)
		}
	}
	for _, is := range []staging.EventType{staging.EventAssigned, staging.EventUnhealthy, staging.EventEnding, staging.EventEnded} {
		if seen[is] != 5 {
			t.Errorf("%d events %s, want 5", seen[is], is)
		}
	}
	if seen[staging.EventClaimed] != 3 {
		t.Errorf("%d events claimed, want 3", seen[staging.EventClaimed])
	}
}

// TestConditionsThatChangedAreAnEvent: setting the same conditions again is none.
func TestConditionsThatChangedAreAnEvent(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	full := []staging.Condition{{Type: staging.CapacityExhausted, Message: "full", Since: time.Now().UTC().Truncate(time.Second)}}
	for _, cs := range [][]staging.Condition{nil, full, full, nil, {}} {
		must(t, s.WriteReport(ctx, staging.PoolReport{Pool: "a", Zone: "east", Conditions: cs}))
	}
	events, _, err := s.EventsFrom(ctx, "0-0", 10)
	must(t, err)
	for i := range events {
		events[i].ID, events[i].At = "", time.Time{}
	}
	want := []staging.Event{
		{Type: staging.EventConditions, Pool: "a", Zone: "east", Reason: "CapacityExhausted: full", Conditions: full},
		{Type: staging.EventConditions, Pool: "a", Zone: "east", Reason: "nothing is in the way"},
	}
	if diff := cmp.Diff(want, events); diff != "" {
		t.Error(diff)
	}
}

// TestEventsFromSayWhetherAPositionIsKept: later events may still be there when it is not.
func TestEventsFromSayWhetherAPositionIsKept(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	for range 5 {
		must(t, s.Note(ctx, staging.Event{Type: staging.EventViolation}))
	}
	all, kept, err := s.EventsFrom(ctx, "0-0", 10)
	must(t, err)
	if len(all) != 5 || kept {
		t.Fatalf("from before all: %d events, kept %v", len(all), kept)
	}
	two, kept, err := s.EventsFrom(ctx, all[0].ID, 2)
	must(t, err)
	if diff := cmp.Diff(all[1:3], two); diff != "" || !kept {
		t.Errorf("kept %v: %s", kept, diff)
	}
	must(t, s.rdb.XTrimMaxLen(ctx, s.eventsKey(), 2).Err())
	rest, kept, err := s.EventsFrom(ctx, all[0].ID, 10)
	must(t, err)
	if diff := cmp.Diff(all[3:], rest); diff != "" || kept {
		t.Errorf("after those were trimmed: kept %v: %s", kept, diff)
	}
	if none, kept, err := s.EventsFrom(ctx, all[4].ID, 10); err != nil || len(none) != 0 || !kept {
		t.Errorf("after the newest: %d, kept %v, %v", len(none), kept, err)
	}
}

func TestARedisThatIsAwayIsAnErrorInTime(t *testing.T) {
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1})
	defer rdb.Close()
	s := New(rdb, Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := claimOne(ctx, s, "demo-east", claim("c")); err == nil {
		t.Error("a claim without a Redis succeeded")
	}
}

// TestARedisThatNobodyVouchesForIsNotBelieved: without trust a claim changes nothing, and
// trust cannot be renewed once the last marker is gone.
func TestARedisThatNobodyVouchesForIsNotBelieved(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	must(t, s.Publish(ctx, session("s1", time.Minute)))
	keyed := claim("c1")
	keyed.IdempotencyKey, keyed.Fingerprint = "k", "f"
	stale := func(why string) {
		t.Helper()
		r, err := claimOne(ctx, s, "demo-east", keyed)
		must(t, err)
		if r.Outcome != staging.ClaimUntrusted || stateOf(t, s, "s1") != staging.Ready {
			t.Errorf("%s: %s, and the session is %s", why, r.Outcome, stateOf(t, s, "s1"))
		}
		holder, err := s.KeyHolder(ctx, "k")
		must(t, err)
		if holder.Claim != "" {
			t.Errorf("%s: the key is held", why)
		}
	}
	old := time.Now().Add(-staging.TrustTTL - time.Second).UnixMilli()
	must(t, s.rdb.HSet(ctx, s.trustKey("east"), "at", old).Err())
	stale("old trust")
	must(t, s.rdb.Del(ctx, s.trustKey("east")).Err())
	stale("no trust")
	if renewed, err := s.RenewTrust(ctx, "east", staging.TrustRenewal{Before: "a-mark", Marker: "another"}); renewed || err != nil {
		t.Errorf("trust was renewed though the last marker is gone: %v", err)
	}
	vouch(t, s)
	r, err := claimOne(ctx, s, "demo-east", keyed)
	must(t, err)
	if r.Outcome != staging.ClaimTaken {
		t.Errorf("after trust was renewed: %s", r.Outcome)
	}
}
