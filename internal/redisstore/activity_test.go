package redisstore

import (
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// TestActivityCountsWhatWasGiven: each session given to a user counts once, staged or on
// demand, however often Assign runs, and so does the time that it took to be ready.
func TestActivityCountsWhatWasGiven(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	pool := staging.Config{Name: "demo-east", Zone: "east", Image: "demo"}
	x := session("a", 3*time.Second)
	must(t, s.Publish(ctx, x))
	must(t, s.Withdraw(ctx, x))
	must(t, s.Publish(ctx, x))
	r, err := claimOne(ctx, s, pool.Name, claim("c"))
	must(t, err)
	for range 2 {
		_, err = s.Assign(ctx, r.Session)
		must(t, err)
	}
	must(t, s.Publish(ctx, session("b", 0)))
	final := claim("d")
	final.Final = true
	_, err = claimOne(ctx, s, pool.Name, final)
	must(t, err)

	made := session("o", 0)
	made.Origin, made.Staging, made.Claim = staging.OnDemand, "", "e"
	_, err = s.Begin(ctx, made, claim("e"))
	must(t, err)
	_, err = s.Assign(ctx, made)
	must(t, err)

	all, err := s.Activity(ctx, []staging.Config{pool, {Name: "other", Zone: "east", Image: "other"}})
	must(t, err)
	a := all[pool.Name]
	if a.Staged != 2 || a.OnDemand != 1 || a.Ready != 2 || a.PerMinute <= 0.39 || a.PerMinute > 0.51 {
		t.Errorf("counted %+v", a)
	}
	if a.MaxToReady < 3*time.Second || a.MaxToReady > time.Minute || a.MeanToReady < 1500*time.Millisecond || a.MeanToReady >= a.MaxToReady {
		t.Errorf("to be ready took %s on average, %s at most", a.MeanToReady, a.MaxToReady)
	}
	if other := all["other"]; other != (staging.Activity{}) {
		t.Errorf("another pool has %+v", other)
	}
	keys, err := keysOf(ctx, s, "count:*")
	must(t, err)
	for _, k := range keys {
		if life := s.rdb.PTTL(ctx, k).Val(); life <= 0 || life > counterLife {
			t.Errorf("%s is kept for %s", k, life)
		}
	}
}
