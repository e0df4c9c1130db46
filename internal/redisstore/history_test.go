package redisstore

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/greenroom/greenroom/internal/staging"
)

// TestHistoryKeepsTheFewestReady: a minute keeps the lowest number of ready sessions the
// sessions given to users and the launches that it missed, and its history expires.
func TestHistoryKeepsTheFewestReady(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	pool := staging.Config{Name: "demo-east", Zone: "east", Image: "demo"}
	size := &staging.DemandSize{Expected: 2.34, Low: 1, High: 5}
	note := func() {
		t.Helper()
		must(t, s.NoteHistory(ctx, []staging.PoolNote{{Config: pool, Wanted: 4, Size: size}}))
	}
	must(t, s.Publish(ctx, session("a", 0)))
	must(t, s.Publish(ctx, session("b", 0)))
	note()
	final := claim("c")
	final.Final = true
	_, err := claimOne(ctx, s, pool.Name, final)
	must(t, err)
	note()
	must(t, s.Publish(ctx, session("d", 0)))
	must(t, s.Publish(ctx, session("e", 0)))
	note()
	// What asks for a session of the pool and finds none counts, once, whatever it is given then.
	for range 3 {
		_, err = claimOne(ctx, s, pool.Name, claim(staging.NewClaimID()))
		must(t, err)
	}
	missing := claim("m")
	missing.User.ID = "missing"
	r, err := claimOne(ctx, s, pool.Name, missing)
	must(t, err)
	if r.Outcome != staging.ClaimEmpty {
		t.Fatalf("%+v", r)
	}
	note()
	minutes, now, err := s.History(ctx, pool.Name)
	must(t, err)
	// The minute may end during the test.
	least, claims, misses := 99, 0, 0
	for _, m := range minutes {
		if claims += m.Claims; m.Ready != nil {
			least = min(least, *m.Ready)
		}
		misses += m.Misses
		if m.Wanted == nil || *m.Wanted != 4 || m.Expected == nil || *m.Expected != 2.3 || *m.Low != 1 || *m.High != 5 {
			t.Errorf("%+v", m)
		}
		if m.At.After(now) || m.At.Second() != 0 {
			t.Errorf("%+v at %s", m, now)
		}
	}
	if len(minutes) == 0 || len(minutes) > 2 || least != 0 || claims != 1 || misses != 1 {
		t.Errorf("%+v", minutes)
	}
	if other, _, err := s.History(ctx, "other"); len(other) > 0 || err != nil {
		t.Errorf("another pool has %+v, %v", other, err)
	}
	keys, err := keysOf(ctx, s, "history:*")
	must(t, err)
	for _, k := range keys {
		if life := s.rdb.PTTL(ctx, k).Val(); life <= 0 || life > historyLife {
			t.Errorf("%s is kept for %s", k, life)
		}
	}
	if len(keys) == 0 {
		t.Error("nothing is kept")
	}
}

// TestDemandIsReadAsItComes: the newest counts of a pool, and what its demand asks for.
func TestDemandIsReadAsItComes(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	const pool = "demo-east"
	made := session("a", 0)
	made.CreatedAt = time.Now().Add(-3 * time.Second)
	must(t, s.Publish(ctx, made))
	final := claim("c")
	final.Final = true
	_, err := claimOne(ctx, s, pool, final)
	must(t, err)
	_, err = claimOne(ctx, s, pool, claim("d"))
	must(t, err)
	all, now, err := s.RecentDemand(ctx, []string{pool, "other"})
	must(t, err)
	var sum staging.Minute
	for _, m := range all[pool] {
		sum.Claims, sum.Misses, sum.Made = sum.Claims+m.Claims, sum.Misses+m.Misses, sum.Made+m.Made
		if m.Made > 0 && m.ToReadySeconds < 3 {
			t.Errorf("%+v", m)
		}
	}
	if sum.Claims != 1 || sum.Misses != 1 || sum.Made != 1 || len(all[pool]) != demandMinutes || now.Sub(all[pool][0].At) > demandMinutes*time.Minute {
		t.Errorf("%+v at %s", all, now)
	}
	for _, m := range all["other"] {
		if m.Launches() != 0 || m.Made != 0 {
			t.Errorf("another pool has %+v", m)
		}
	}
	size := &staging.DemandSize{At: now, Wanted: 3, Keep: 5, Expected: 2.5, Low: 1, High: 4, Reason: "why"}
	must(t, s.SetDemandSizes(ctx, nil))
	must(t, s.SetDemandSizes(ctx, map[string]staging.DemandSize{pool: {At: now, Wanted: 9}, "other": *size}))
	must(t, s.SetDemandSizes(ctx, map[string]staging.DemandSize{pool: *size}))
	sizes, err := s.DemandSizes(ctx)
	must(t, err)
	if diff := cmp.Diff(map[string]*staging.DemandSize{pool: size, "other": size}, sizes); diff != "" {
		t.Error(diff)
	}
}
