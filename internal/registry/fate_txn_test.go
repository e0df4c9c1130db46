package registry

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/greenroom/greenroom/internal/staging"
)

// several are the fates of a launch for some sessions.
func several(claim, key string, ids ...string) []staging.Fate {
	fates := make([]staging.Fate, len(ids))
	for i, id := range ids {
		fates[i] = staging.Fate{Session: id, Verdict: staging.VerdictAssigned, Claim: claim, User: &staging.User{ID: "u"}, Sessions: ids, HookPending: true}
		if key != "" {
			fates[i].IdempotencyKey, fates[i].Fingerprint = key, "f"
		}
	}
	return fates
}

// TestFatesOfSeveralAreCreatedAndFinishedTogetherOrNotAtAll.
func TestFatesOfSeveralAreCreatedAndFinishedTogetherOrNotAtAll(t *testing.T) {
	r, _ := newRegistry(t)
	ctx := t.Context()
	ids := make([]string, staging.MaxCount)
	for i := range ids {
		ids[i] = fmt.Sprintf("s%02d", i)
	}
	fates, lost, err := r.CreateFates(ctx, several("c", "k", ids...))
	must(t, err)
	if len(lost) != 0 || len(fates) != staging.MaxCount || fates[7].Index == 0 || fates[7].KeyIndex == 0 {
		t.Fatalf("lost %v, stand %+v", lost, fates)
	}
	hold, err := r.Key(ctx, "k")
	must(t, err)
	if hold.Session != "s00" || hold.Claim != "c" || hold.Index != fates[0].KeyIndex {
		t.Errorf("the key: %+v", hold)
	}
	// The answer to an earlier try was lost on its way.
	again, lost, err := r.CreateFates(ctx, several("c", "k", ids...))
	if err != nil || len(lost) != 0 || len(again) != staging.MaxCount || again[3].Index != fates[3].Index || again[0].KeyIndex != fates[0].KeyIndex {
		t.Errorf("the same again: lost %v, %v", lost, err)
	}
	// Two of them stand in the way of another launch, of which nothing is written.
	_, lost, err = r.CreateFates(ctx, several("d", "", "n1", "s01", "n2", "s05"))
	if err != nil || len(lost) != 2 || lost["s01"].Claim != "c" || lost["s05"].Claim != "c" {
		t.Errorf("lost %+v, %v", lost, err)
	}
	// So does a key, when nothing else does.
	_, _, err = r.CreateFates(ctx, several("d", "k", "n1", "n2"))
	var held *staging.KeyHeldError
	if !errors.As(err, &held) || held.Claim != "c" {
		t.Errorf("another launch with the key: %v", err)
	}
	for _, id := range []string{"n1", "n2"} {
		if _, err := r.Fate(ctx, id); !errors.Is(err, staging.ErrNoResource) {
			t.Errorf("the fate of %s is there: %v", id, err)
		}
	}
	// One is taken from the claim: then none is finished.
	must(t, r.AbandonFate(ctx, fates[9], "its lease is over"))
	if err := r.FinishFates(ctx, fates); !errors.Is(err, ErrConflict) {
		t.Errorf("finished with one that was abandoned: %v", err)
	}
	if f, err := r.Fate(ctx, "s00"); err != nil || !f.HookPending || len(f.Sessions) != staging.MaxCount {
		t.Errorf("the first: %+v %v", f, err)
	}
	pair, _, err := r.CreateFates(ctx, several("e", "", "p1", "p2"))
	must(t, err)
	must(t, r.FinishFates(ctx, pair))
	for _, id := range []string{"p1", "p2"} {
		if f, err := r.Fate(ctx, id); err != nil || f.HookPending {
			t.Errorf("%s: %+v %v", id, f, err)
		}
	}
	// The same launch goes on with others, and binds the key to those.
	next := several("c", "k", "m1", "m2")
	for i := range next {
		next[i].KeyIndex = fates[0].KeyIndex
	}
	_, _, err = r.CreateFates(ctx, next)
	must(t, err)
	if hold, err = r.Key(ctx, "k"); err != nil || hold.Session != "m1" {
		t.Errorf("the key: %+v %v", hold, err)
	}
}

// TestOfManyLaunchesForTheSameSessionsOneHasThem: callers that come together, each for some of
// the same sessions, are told what Consul has, and finish what is theirs.
func TestOfManyLaunchesForTheSameSessionsOneHasThem(t *testing.T) {
	r, _ := newRegistry(t)
	ctx := t.Context()
	var wg sync.WaitGroup
	var mu sync.Mutex
	told := map[string]string{}
	for i := range 96 {
		wg.Go(func() {
			claim := fmt.Sprint("c", i)
			first := i % 24
			ids := []string{fmt.Sprint("s", first), fmt.Sprint("s", (first+i%5+1)%24)}[:1+i%2]
			created, lost, err := r.CreateFates(ctx, several(claim, "", ids...))
			if err == nil && len(created) > 0 {
				err = r.FinishFates(ctx, created)
			}
			if err != nil || (len(created) == 0) == (len(lost) == 0) {
				t.Errorf("launch %d: created %v, lost %v, %v", i, created, lost, err)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, f := range created {
				if told[f.Session] != "" {
					t.Errorf("session %s was given to %s and to %s", f.Session, told[f.Session], claim)
				}
				told[f.Session] = claim
			}
			for id, f := range lost {
				if f.Claim == "" || f.Claim == claim {
					t.Errorf("launch %d lost %s to %+v", i, id, f)
				}
			}
		})
	}
	wg.Wait()
	all, err := r.Fates(ctx)
	must(t, err)
	if len(all) != len(told) || len(all) < 12 {
		t.Errorf("%d fates are stored, and the callers were told of %d", len(all), len(told))
	}
	for id, f := range all {
		if f.Claim != told[id] || f.HookPending {
			t.Errorf("session %s: stored %+v, told %s", id, f, told[id])
		}
	}
}

// TestDecidedReadsTheFatesOfTheSessionsThatItIsAskedFor, in more than one transaction.
func TestDecidedReadsTheFatesOfTheSessionsThatItIsAskedFor(t *testing.T) {
	r, _ := newRegistry(t)
	ctx := t.Context()
	ids := make([]string, 2*maxTxnOps+10)
	for i := range ids {
		ids[i] = fmt.Sprintf("s%03d", i)
	}
	_, _, err := r.CreateFates(ctx, several("c", "", "s000", "s200", "elsewhere"))
	must(t, err)
	_, _, err = r.CreateFate(ctx, staging.Fate{Session: ids[len(ids)-1], Verdict: staging.VerdictRetired})
	must(t, err)
	decided, err := r.Decided(ctx, ids)
	must(t, err)
	if len(decided) != 3 || !decided["s000"] || !decided["s200"] || !decided[ids[len(ids)-1]] {
		t.Errorf("decided are %v", decided)
	}
	if none, err := r.Decided(ctx, nil); err != nil || len(none) != 0 {
		t.Errorf("of no session: %v %v", none, err)
	}
}
