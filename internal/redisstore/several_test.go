package redisstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/internal/staging"
)

// poolsOf are staging configs in zones, by "pool zone" texts.
func poolsOf(nameAndZone ...string) (pools []staging.Config) {
	for i := 0; i+1 < len(nameAndZone); i += 2 {
		pools = append(pools, staging.Config{Name: nameAndZone[i], Zone: nameAndZone[i+1]})
	}
	return pools
}

func ids(all []staging.Session) []string {
	var ids []string
	for _, x := range all {
		ids = append(ids, x.ID)
	}
	return ids
}

// dump is all that Redis holds of the store, but the clock of the vouching.
func dump(t *testing.T, s *Store) map[string]string {
	t.Helper()
	ctx := t.Context()
	keys, err := keysOf(ctx, s, "*")
	must(t, err)
	all := map[string]string{}
	for _, key := range keys {
		all[key], err = s.rdb.Dump(ctx, key).Result()
		must(t, err)
	}
	return all
}

// TestSeveralAreTakenFromThePoolsInTheirOrder, each from its oldest on.
func TestSeveralAreTakenFromThePoolsInTheirOrder(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	vouchFor(t, s, "west")
	for i := range 3 {
		x := session(fmt.Sprint("e", i), time.Duration(10-i)*time.Minute)
		must(t, s.Publish(ctx, x))
		x = session(fmt.Sprint("w", i), time.Duration(60-i)*time.Minute)
		x.Staging, x.Zone = "demo-west", "west"
		must(t, s.Publish(ctx, x))
	}
	other := session("other", time.Hour)
	other.Image = "another"
	must(t, s.Publish(ctx, other))
	c := claim("c")
	c.IdempotencyKey, c.Fingerprint = "k", "f"
	c.RequestID = "req-1"
	pools := poolsOf("demo-east", "east", "demo-west", "west")
	at, err := s.LastEvent(ctx)
	must(t, err)
	r, err := s.Claim(ctx, pools, 5, c)
	must(t, err)
	told, _, err := s.Events(ctx, at, time.Second)
	must(t, err)
	for _, e := range told {
		if e.Type != staging.EventClaimed || e.RequestID != "req-1" {
			t.Errorf("an event of the claim: %+v", e)
		}
	}
	if len(told) != 5 || told[4].Session != "w1" || told[4].Pool != "demo-west" {
		t.Errorf("the events of the claim: %+v", told)
	}
	if want := []string{"e0", "e1", "e2", "w0", "w1"}; !slices.Equal(ids(r.Sessions), want) || r.Outcome != staging.ClaimTaken || r.At.IsZero() {
		t.Fatalf("%s %v, want %v", r.Outcome, ids(r.Sessions), want)
	}
	for _, x := range r.Sessions {
		read, err := s.Session(ctx, x.ID)
		must(t, err)
		if diff := cmp.Diff(x, read); diff != "" {
			t.Errorf("the claim's answer differs from the record (-claim +record):\n%s", diff)
		}
	}
	if got := stateOf(t, s, "other"); got != staging.Ready {
		t.Errorf("one of another image is %s, want it left alone", got)
	}
	holder, err := s.KeyHolder(ctx, "k")
	must(t, err)
	if holder.Claim != "c" || !slices.Equal(holder.Sessions, ids(r.Sessions)) || holder.Done {
		t.Errorf("the key: %+v", holder)
	}
	own, err := s.UserSessions(ctx, c.User.ID)
	if err != nil || len(own) != 5 {
		t.Errorf("the user has %v %v", ids(own), err)
	}
	d := c
	d.ID = "d"
	if r, err := s.Claim(ctx, pools, 2, d); err != nil || r.Outcome != staging.ClaimRepeat || !slices.Equal(r.Holder.Sessions, []string{"e0"}) {
		t.Errorf("a repeat: %+v %v", r, err)
	}
	d.Fingerprint = "g"
	if r, err := s.Claim(ctx, pools, 2, d); err != nil || r.Outcome != staging.ClaimKeyReused {
		t.Errorf("another launch of the key: %+v %v", r, err)
	}
	for _, x := range r.Sessions {
		if _, err := s.Assign(ctx, x); err != nil {
			t.Error(err)
		}
	}
	if holder, err = s.KeyHolder(ctx, "k"); err != nil || !holder.Done || !slices.Equal(holder.Sessions, ids(r.Sessions)) {
		t.Errorf("the key once they are assigned: %+v %v", holder, err)
	}
}

// isCounter reports whether a key is a counter of activity.
func isCounter(key, _ string) bool { return strings.Contains(key, ":count:") }

// TestWhereThereAreTooFewNothingChanges: not a key of Redis is another than before, but the
// counters of activity: sessions that were asked for in vain are counted.
func TestWhereThereAreTooFewNothingChanges(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	for i := range 3 {
		must(t, s.Publish(ctx, session(fmt.Sprint("s", i), time.Duration(i)*time.Minute)))
	}
	other := session("other", time.Hour)
	other.Image = "another"
	must(t, s.Publish(ctx, other))
	must(t, s.rdb.ZAdd(ctx, s.readyKey("demo-east"), redis.Z{Member: "never-heard-of"}).Err())
	keyed := func(id string) staging.Claim {
		c := claim(id)
		c.IdempotencyKey, c.Fingerprint = "k", "f"
		return c
	}
	limited := keyed("l")
	limited.MaxSessionsPerUser = 1
	permits := keyed("p")
	permits.Permits = "allow_audio=false"
	cases := map[string]struct {
		n     int
		claim staging.Claim
		pools []staging.Config
		want  staging.ClaimOutcome
		ready []int
	}{
		"one too few":            {4, keyed("c"), poolsOf("demo-east", "east", "demo-none", "east"), staging.ClaimEmpty, []int{3, 0}},
		"named twice":            {4, keyed("c"), poolsOf("demo-east", "east", "demo-east", "east"), staging.ClaimEmpty, []int{3, 0}},
		"of another zone":        {2, keyed("c"), poolsOf("demo-west", "east"), staging.ClaimEmpty, []int{0}},
		"nobody vouches":         {2, keyed("c"), poolsOf("demo-east", "west"), staging.ClaimUntrusted, []int{staging.Untrusted}},
		"vouched for in part":    {4, keyed("c"), poolsOf("demo-far", "far", "demo-east", "east"), staging.ClaimEmpty, []int{staging.Untrusted, 3}},
		"more than the user may": {2, limited, poolsOf("demo-east", "east"), staging.ClaimLimit, nil},
		"other permissions":      {2, permits, poolsOf("demo-east", "east"), staging.ClaimEmpty, []int{0}},
	}
	for name, c := range cases {
		before := dump(t, s)
		r, err := s.Claim(ctx, c.pools, c.n, c.claim)
		if err != nil || r.Outcome != c.want || !slices.Equal(r.Ready, c.ready) || r.Sessions != nil {
			t.Errorf("%s: %+v %v; want %s %v", name, r, err, c.want, c.ready)
		}
		if diff := cmp.Diff(before, dump(t, s), cmpopts.IgnoreMapEntries(isCounter)); diff != "" {
			t.Errorf("%s changed Redis (-before +after):\n%s", name, diff)
		}
	}
}

// TestOfLaunchesForSeveralAtOnceEachHasAllOrNone over too few for all of them.
func TestOfLaunchesForSeveralAtOnceEachHasAllOrNone(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	const ready, callers, n = 30, 16, 4
	for i := range ready {
		must(t, s.Publish(ctx, session(fmt.Sprintf("s%02d", i), time.Duration(i)*time.Second)))
	}
	var mu sync.Mutex
	taken, served := map[string]bool{}, 0
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			r, err := s.Claim(ctx, poolsOf("demo-east", "east"), n, claim(fmt.Sprint("c", i)))
			mu.Lock()
			defer mu.Unlock()
			if err != nil || len(r.Sessions) != 0 && len(r.Sessions) != n {
				t.Errorf("%+v %v", r, err)
			}
			if r.Outcome == staging.ClaimTaken {
				served++
			}
			for _, x := range r.Sessions {
				if taken[x.ID] {
					t.Errorf("session %s was taken twice", x.ID)
				}
				taken[x.ID] = true
			}
		})
	}
	wg.Wait()
	_, left, err := s.Counts(ctx, "demo-east")
	if err != nil || served != ready/n || left["demo-east"] != ready%n {
		t.Errorf("%d served, %v left, %v", served, left, err)
	}
}

// TestAnUnusedSessionGoesBackWhereItCameFrom, and only by the claim that has it, and
// only before anything is decided.
func TestAnUnusedSessionGoesBackWhereItCameFrom(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	for id, age := range map[string]time.Duration{"old": time.Hour, "young": time.Minute} {
		must(t, s.Publish(ctx, session(id, age)))
	}
	c := claim("c")
	c.IdempotencyKey, c.Fingerprint = "k", "f"
	r, err := s.Claim(ctx, poolsOf("demo-east", "east"), 2, c)
	must(t, err)
	stranger := r.Sessions[0]
	stranger.Claim = "d"
	var moved *staging.StateError
	if err := s.Unclaim(ctx, stranger); !errors.As(err, &moved) || !moved.Fenced {
		t.Errorf("another claim put it back: %v", err)
	}
	if _, err := s.Assign(ctx, r.Sessions[1]); err != nil {
		t.Fatal(err)
	}
	if err := s.Unclaim(ctx, r.Sessions[1]); !errors.As(err, &moved) || moved.State != staging.Assigned {
		t.Errorf("an assigned session was put back: %v", err)
	}
	must(t, s.Unclaim(ctx, r.Sessions[0]))
	back, err := s.Session(ctx, "old")
	must(t, err)
	if back.State != staging.Ready || back.Claim != "" || back.User != nil || back.ReadyAt.IsZero() {
		t.Errorf("back in its pool: %+v", back)
	}
	current, ready, err := s.Counts(ctx, "demo-east")
	if err != nil || current["demo-east"] != 1 || ready["demo-east"] != 1 {
		t.Errorf("the pool: %v %v %v", current, ready, err)
	}
	if own, err := s.UserSessions(ctx, c.User.ID); err != nil || !slices.Equal(ids(own), []string{"young"}) {
		t.Errorf("the user has %v %v", ids(own), err)
	}
	if r, err := claimOne(ctx, s, "demo-east", claim("e")); err != nil || r.Session.ID != "old" {
		t.Errorf("the next claim: %+v %v", r, err)
	}
	if err := s.Unclaim(ctx, session("never", 0)); !errors.As(err, &moved) || moved.State != "" {
		t.Errorf("one that nobody knows: %v", err)
	}
}

// TestAKeyOfSeveralIsRestoredWithAllOfThem from the fate of any.
func TestAKeyOfSeveralIsRestoredWithAllOfThem(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	f := staging.Fate{Session: "b", Claim: "c", IdempotencyKey: "k", Fingerprint: "f", Sessions: []string{"a", "b"}}
	x := session("b", 0)
	x.State, x.Claim, x.User = staging.Assigned, "c", &staging.User{ID: "u"}
	_, err := s.Restore(ctx, x, f)
	must(t, err)
	holder := func() staging.KeyHolder {
		r, err := s.KeyHolder(context.WithoutCancel(ctx), "k")
		must(t, err)
		return r
	}
	if r := holder(); !slices.Equal(r.Sessions, f.Sessions) || !r.Done {
		t.Errorf("restored: %+v", r)
	}
	c := claim("d")
	c.IdempotencyKey, c.Fingerprint = "k2", "f"
	x.ID = "a"
	must(t, s.Rebind(ctx, "k2", c, staging.KeyHolder{Claim: x.Claim, Sessions: []string{"a", "b"}}))
	if r, err := s.KeyHolder(ctx, "k2"); err != nil || !slices.Equal(r.Sessions, f.Sessions) || !r.Done {
		t.Errorf("bound again: %+v %v", r, err)
	}
}
