package redisstore

import (
	"slices"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// TestDemotedSessionsAreClaimedLast, even where a shell is open in them, and until the
// demotion is undone.
func TestDemotedSessionsAreClaimedLast(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	publish := func(id string, age time.Duration, demoted bool) staging.Session {
		x := session(id, age)
		x.Demoted = demoted
		must(t, s.Publish(ctx, x))
		return x
	}
	oldest := publish("oldest", time.Hour, false)
	publish("born-demoted", 50*time.Minute, true)
	publish("middle", time.Minute, false)
	publish("young", time.Second, false)
	oldest.Demoted = true
	if state, err := s.Reorder(ctx, oldest); err != nil || state != staging.Ready {
		t.Fatalf("%s %v", state, err)
	}
	claims := func(id, want string) staging.Session {
		t.Helper()
		c := claim(id)
		c.Prefer = []string{"oldest"}
		r, err := claimOne(ctx, s, "demo-east", c)
		must(t, err)
		if r.Outcome != staging.ClaimTaken || r.Session.ID != want {
			t.Fatalf("got %s %q, want %q", r.Outcome, r.Session.ID, want)
		}
		return r.Session
	}
	claims("c1", "middle")
	claims("c2", "young")
	// An unclaimed session keeps its place behind the others.
	must(t, s.Unclaim(ctx, claims("c3", "oldest")))
	publish("fresh", 0, false)
	claims("c4", "fresh")
	oldest.Demoted = false
	_, err := s.Reorder(ctx, oldest)
	must(t, err)
	publish("fresh-2", 0, false)
	claims("c5", "oldest")
	claims("c6", "fresh-2")
	claims("c7", "born-demoted")
	if state, err := s.Reorder(ctx, session("nobody's", 0)); err != nil || state != "" {
		t.Errorf("one that Redis does not have: %q %v", state, err)
	}
}

// TestALaunchOfSeveralTakesDemotedSessionsOfAnyPoolLast.
func TestALaunchOfSeveralTakesDemotedSessionsOfAnyPoolLast(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	vouchFor(t, s, "west")
	for id, demoted := range map[string]bool{"e-demoted": true, "e-sound": false} {
		x := session(id, time.Hour)
		x.Demoted = demoted
		must(t, s.Publish(ctx, x))
	}
	west := session("w-sound", time.Minute)
	west.Staging, west.Zone = "demo-west", "west"
	must(t, s.Publish(ctx, west))
	pools := poolsOf("demo-east", "east", "demo-west", "west")
	r, err := s.Claim(ctx, pools, 4, claim("too-many"))
	must(t, err)
	if r.Outcome != staging.ClaimEmpty || !slices.Equal(r.Ready, []int{2, 1}) {
		t.Fatalf("%s, ready %v", r.Outcome, r.Ready)
	}
	r, err = s.Claim(ctx, pools, 2, claim("two"))
	must(t, err)
	if want := []string{"e-sound", "w-sound"}; !slices.Equal(ids(r.Sessions), want) {
		t.Fatalf("%s %v, want %v", r.Outcome, ids(r.Sessions), want)
	}
}
