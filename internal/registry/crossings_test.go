package registry

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// TestAKeyHasACrossingOrASession, never both: whichever is recorded first, until it is freed.
func TestAKeyHasACrossingOrASession(t *testing.T) {
	r, _ := newRegistry(t)
	ctx := t.Context()
	crossing := &staging.Crossing{Peer: "west", PeerZone: "west-1", Zone: "abroad", Step: staging.StepStaged, Until: time.Now().UTC().Truncate(time.Second)}
	hold, err := r.HoldCrossing(ctx, "k", staging.KeyHold{Claim: "c", Fingerprint: "f", Crossing: crossing})
	must(t, err)
	if hold.Index == 0 {
		t.Fatal("it has no index")
	}
	// No session of this region is given under the key, nor another crossing.
	fate := staging.Fate{Session: "s", Verdict: staging.VerdictAssigned, Claim: "d", Fingerprint: "f", IdempotencyKey: "k", User: &staging.User{ID: "u"}}
	_, _, err = r.CreateFates(ctx, []staging.Fate{fate})
	if held, ok := errors.AsType[*staging.KeyHeldError](err); !ok || held.Claim != "c" || held.Crossing == nil || held.Crossing.Peer != "west" {
		t.Errorf("a fate under the key of a crossing: %v", err)
	}
	_, err = r.HoldCrossing(ctx, "k", staging.KeyHold{Claim: "d", Fingerprint: "f", Crossing: crossing})
	if held, ok := errors.AsType[*staging.KeyHeldError](err); !ok || held.Claim != "c" {
		t.Errorf("another crossing under the key: %v", err)
	}
	// A repeat takes it over; what the first learns after that counts no more.
	again, err := r.HoldCrossing(ctx, "k", staging.KeyHold{Claim: "d", Fingerprint: "f", Crossing: crossing, Index: hold.Index})
	must(t, err)
	if err := r.DropCrossing(ctx, "k", hold); !errors.Is(err, ErrConflict) {
		t.Errorf("the first frees the key of the second: %v", err)
	}
	must(t, r.DropCrossing(ctx, "k", again))
	if _, _, err := r.CreateFates(ctx, []staging.Fate{fate}); err != nil {
		t.Errorf("a fate once the key is free: %v", err)
	}
	if _, err := r.HoldCrossing(ctx, "k", staging.KeyHold{Claim: "e", Crossing: crossing}); err == nil {
		t.Error("a crossing under the key of a session")
	}
}

// TestSessionsOfPeersAreRecordedAndForgotten, with the keys that they were given under.
func TestSessionsOfPeersAreRecordedAndForgotten(t *testing.T) {
	r, _ := newRegistry(t)
	ctx := t.Context()
	crossing := staging.Crossing{Peer: "west", Zone: "abroad"}
	hold, err := r.HoldCrossing(ctx, "k", staging.KeyHold{Claim: "c", Crossing: &crossing})
	must(t, err)
	given := staging.RemoteSession{Session: "w1", Peer: "west", Zone: "abroad", UserID: "u", IdempotencyKey: "k", GivenAt: time.Now().UTC().Truncate(time.Second)}
	crossing.Sessions = []string{"w1"}
	must(t, r.FinishCrossing(ctx, hold, []staging.RemoteSession{given}))
	without := staging.RemoteSession{Session: "w2", Peer: "west", Zone: "abroad", UserID: "u"}
	must(t, r.FinishCrossing(ctx, staging.KeyHold{}, []staging.RemoteSession{without}))
	if got, err := r.RemoteSession(ctx, "w1"); err != nil || got != given {
		t.Errorf("%+v, %v, want %+v", got, err, given)
	}
	all, err := r.RemoteSessions(ctx)
	if err != nil || !slices.Equal(all, []staging.RemoteSession{given, without}) {
		t.Errorf("%+v, %v", all, err)
	}
	// It has an outcome, so that it is none of those that are forgotten for having none.
	if n, err := r.ForgetOpenCrossings(ctx, time.Now().Add(time.Hour)); err != nil || n != 0 {
		t.Errorf("%d were forgotten, %v", n, err)
	}
	must(t, r.ForgetRemoteSession(ctx, given))
	if _, err := r.RemoteSession(ctx, "w1"); !errors.Is(err, staging.ErrNoResource) {
		t.Errorf("it is not forgotten: %v", err)
	}
	if _, err := r.Key(ctx, "k"); !errors.Is(err, staging.ErrNoResource) {
		t.Errorf("its key is not: %v", err)
	}

	_, err = r.HoldCrossing(ctx, "open", staging.KeyHold{Claim: "c", Crossing: &staging.Crossing{Peer: "west"}})
	must(t, err)
	if n, err := r.ForgetOpenCrossings(ctx, time.Now().Add(-time.Hour)); err != nil || n != 0 {
		t.Errorf("a fresh one: %d were forgotten, %v", n, err)
	}
	if n, err := r.ForgetOpenCrossings(ctx, time.Now().Add(time.Hour)); err != nil || n != 1 {
		t.Errorf("an old one: %d were forgotten, %v", n, err)
	}
	if _, err := r.Key(ctx, "open"); !errors.Is(err, staging.ErrNoResource) {
		t.Errorf("its key is not: %v", err)
	}
}
