package redisstore

import (
	"testing"

	"github.com/greenroom/greenroom/internal/staging"
)

// TestHistoryKeepsTheFewestReady: a minute keeps the lowest number of ready sessions and
// the sessions given to users, and its history expires.
func TestHistoryKeepsTheFewestReady(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	pool := staging.Config{Name: "demo-east", Zone: "east", Image: "demo"}
	note := func() { t.Helper(); must(t, s.NoteHistory(ctx, []staging.Config{pool})) }
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
	// On-demand sessions have no pool of their own.
	made := session("o", 0)
	made.Origin, made.Staging, made.Claim = staging.OnDemand, "", "e"
	_, err = s.Begin(ctx, made, claim("e"))
	must(t, err)
	_, err = s.Assign(ctx, made)
	must(t, err)
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
		if m.At.After(now) || m.At.Second() != 0 {
			t.Errorf("%+v at %s", m, now)
		}
	}
	if len(minutes) == 0 || len(minutes) > 2 || least != 1 || claims != 1 || misses != 1 {
		t.Errorf("%+v", minutes)
	}
	if other, _, err := s.History(ctx, "other"); len(other) > 0 || err != nil {
		t.Errorf("another pool has %+v, %v", other, err)
	}
	keys, err := s.rdb.Keys(ctx, s.o.Prefix+"history:*").Result()
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
