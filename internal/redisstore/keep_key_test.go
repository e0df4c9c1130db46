package redisstore

import (
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// TestAKeptKeyIsNotShortened: the renewals of its launch leave the longer lease as it is.
func TestAKeptKeyIsNotShortened(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	x := session("gr-1", 0)
	x.Origin, x.Staging, x.State = staging.OnDemand, "", staging.Pending
	c := claim("c")
	c.IdempotencyKey, c.Fingerprint = "k", "f"
	if _, err := s.Begin(ctx, x, c); err != nil {
		t.Fatal(err)
	}
	must(t, s.KeepKey(ctx, "k", "c", time.Hour))
	must(t, s.RenewKey(ctx, "k", "c"))
	must(t, s.KeepKey(ctx, "k", "another", 2*time.Hour))
	if left := s.rdb.PTTL(ctx, s.idempotencyKey("k")).Val(); left < 50*time.Minute || left > time.Hour {
		t.Errorf("the key is held for %s, want an hour", left)
	}
}
