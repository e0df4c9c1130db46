package redisstore

import (
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/internal/devcluster"
	"github.com/greenroom/greenroom/internal/devcluster/devtest"
	"github.com/greenroom/greenroom/internal/staging"
)

// TestTrustCountsOnTheServerOnWhichItWasRenewed: a Redis that starts again with all its data, as a
// replica that takes over, gives no session until a scaler has placed a marker there, read it and
// renewed its trust. That holds for a claim that was under way, too: its session is ready again.
func TestTrustCountsOnTheServerOnWhichItWasRenewed(t *testing.T) {
	c, ctx := devtest.Cluster(t, devcluster.Options{NoConsul: true}), t.Context()
	rdb := redis.NewClient(&redis.Options{Addr: c.RedisAddr})
	t.Cleanup(func() { rdb.Close() })
	s := New(rdb, Options{})
	vouch(t, s)
	for _, id := range []string{"s1", "s2", "s3", "s4"} {
		must(t, s.Publish(ctx, session(id, time.Minute)))
	}
	claimIs := func(name string, want staging.ClaimOutcome) {
		t.Helper()
		r, err := claimOne(ctx, s, "demo-east", claim(name))
		must(t, err)
		if r.Outcome != want {
			t.Fatalf("claim %s: %s, want %s", name, r.Outcome, want)
		}
	}
	// Scripts that the server does not have yet are errors, after which the next claim checks again.
	claimIs("c0", staging.ClaimTaken)
	claimIs("c1", staging.ClaimTaken)

	// The next claim passes the check, and is sent when another server answers.
	g := &gate{open: make(chan struct{})}
	rdb.AddHook(g)
	done := make(chan struct{})
	go func() {
		defer close(done)
		r, err := claimOne(ctx, s, "demo-east", claim("under-way"))
		if err != nil || r.Outcome != staging.ClaimUntrusted {
			t.Errorf("a claim that another server answers: %s %v", r.Outcome, err)
		}
	}()
	eventually(t, "the claim is about to be sent", func() bool { return g.passed() == 1 })
	must(t, c.Redis.Restart(ctx))
	close(g.open)
	<-done
	if x, err := s.Session(ctx, "s3"); err != nil || x.State != staging.Ready || x.Claim != "" {
		t.Errorf("the session that it took: %+v %v", x, err)
	}
	claimIs("c2", staging.ClaimUntrusted)

	if renewed, err := s.RenewTrust(ctx, "east", staging.TrustRenewal{Before: "a-mark", Marker: "another", Recent: true}); err != nil || renewed {
		t.Errorf("trust was renewed with a marker that was placed on another server: %t %v", renewed, err)
	}
	must(t, s.PlaceMarker(ctx, "east", "fresh"))
	if ok, err := s.Trusted(ctx, "east"); err != nil || ok {
		t.Errorf("trusted by a marker alone: %t %v", ok, err)
	}
	claimIs("c3", staging.ClaimUntrusted)
	if renewed, err := s.RenewTrust(ctx, "east", staging.TrustRenewal{Before: "fresh", Marker: "next"}); err != nil || !renewed {
		t.Errorf("trust was not renewed: %t %v", renewed, err)
	}
	claimIs("c4", staging.ClaimTaken)

	// A scaler of the release before notes no server: its trust counts by its age alone.
	must(t, rdb.HDel(ctx, s.trustKey("east"), "run").Err())
	must(t, c.Redis.Restart(ctx))
	claimIs("c5", staging.ClaimTaken)
}

// TestTrustOfBeforeARestoreOfConsulIsNone: whoever knows of a restore believes Redis only where
// the scaler that vouches knew of it, whether one session is claimed or several.
func TestTrustOfBeforeARestoreOfConsulIsNone(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	for i := range 8 {
		must(t, s.Publish(ctx, session(fmt.Sprint("s", i), time.Minute)))
	}
	claims := 0
	answers := func(when string, want staging.ClaimOutcome) {
		t.Helper()
		for _, n := range []int{1, 2} {
			claims++
			r, err := s.Claim(ctx, poolsOf("demo-east", "east"), n, claim(fmt.Sprint("c", claims)))
			must(t, err)
			if r.Outcome != want {
				t.Errorf("%s a claim of %d is %s, want %s", when, n, r.Outcome, want)
			}
		}
		trusted, err := s.Trusted(ctx, "east")
		must(t, err)
		if trusted != (want == staging.ClaimTaken) {
			t.Errorf("%s Redis is trusted: %t", when, trusted)
		}
	}
	answers("without a restore", staging.ClaimTaken)
	keyed := func(id string) staging.Claim {
		c := claim(id)
		c.User, c.IdempotencyKey, c.Fingerprint = staging.User{ID: "u"}, "key", "launch"
		return c
	}
	first, err := s.Claim(ctx, poolsOf("demo-east", "east"), 1, keyed("first"))
	must(t, err)
	s.NoteRestored(4)
	// Consul may have lost who holds the key: what Redis has of it counts.
	for _, n := range []int{1, 2} {
		r, err := s.Claim(ctx, poolsOf("demo-east", "east"), n, keyed(fmt.Sprint("again", n)))
		if must(t, err); r.Outcome != staging.ClaimRepeat || len(first.Sessions) != 1 {
			t.Errorf("a repeat for %d: %+v; first: %+v", n, r, first)
		}
	}
	answers("after a restore that the scaler did not know of", staging.ClaimUntrusted)
	if renewed, err := s.RenewTrust(ctx, "east", staging.TrustRenewal{Before: "a-mark", Marker: "next", RestoredThrough: 4}); err != nil || !renewed {
		t.Fatal(renewed, err)
	}
	answers("after one that it knows of", staging.ClaimTaken)
}
