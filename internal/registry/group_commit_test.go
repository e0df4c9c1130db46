package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// gate holds a registry's transactions back and records the sessions of each.
type gate struct {
	began chan struct{}
	open  chan struct{}
	mu    sync.Mutex
	sent  [][]string
}

// newGate lets a registry write only once the gate is opened. before may refuse a transaction.
func newGate(r *Registry, before func(ops api.TxnOps) error) *gate {
	g := &gate{began: make(chan struct{}, 100), open: make(chan struct{})}
	send := r.fateWrites.send
	r.fateWrites.send = func(ctx context.Context, ops api.TxnOps, plain bool) (api.TxnResults, []int, error) {
		var keys []string
		for _, op := range ops {
			if id, ok := strings.CutPrefix(op.KV.Key, r.fatesPrefix()); ok {
				keys = append(keys, id)
			}
		}
		g.mu.Lock()
		g.sent = append(g.sent, keys)
		g.mu.Unlock()
		g.began <- struct{}{}
		<-g.open
		if err := before(ops); err != nil {
			return nil, nil, err
		}
		return send(ctx, ops, plain)
	}
	return g
}

// untilWaiting waits until n writes wait for the one that is under way.
func untilWaiting(t *testing.T, g *groupCommit, n int) {
	t.Helper()
	var waiting int
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		g.mu.Lock()
		waiting = len(g.waiting)
		g.mu.Unlock()
		if waiting == n {
			return
		}
	}
	t.Fatalf("%d writes wait, want %d", waiting, n)
}

// TestWritesThatComeTogetherShareATransaction: what arrives while a write is under way goes in
// the next; those of the same session do not go together; one that loses is told so, and the
// others of its transaction are done.
func TestWritesThatComeTogetherShareATransaction(t *testing.T) {
	r, _ := newRegistry(t)
	ctx := t.Context()
	_, _, err := r.CreateFates(ctx, several("before", "", "taken"))
	must(t, err)
	g := newGate(r, func(api.TxnOps) error { return nil })
	type outcome struct {
		created int
		lost    map[string]staging.Fate
		err     error
	}
	outcomes := make([]outcome, 7)
	var wg sync.WaitGroup
	launch := func(i int, ids ...string) {
		wg.Go(func() {
			created, lost, err := r.CreateFates(ctx, several(fmt.Sprint("c", i), "", ids...))
			outcomes[i] = outcome{len(created), lost, err}
		})
	}
	launch(0, "first")
	<-g.began
	for i, ids := range [][]string{{"a"}, {"b1", "b2"}, {"c", "taken"}, {"d"}, {"d"}, {"e"}} {
		launch(i+1, ids...)
		untilWaiting(t, &r.fateWrites, i+1)
	}
	close(g.open)
	wg.Wait()
	for i, o := range outcomes {
		switch want := []int{1, 1, 2, 0, 1, 0, 1}[i]; {
		case o.err != nil || o.created != want:
			t.Errorf("launch %d: %+v, want %d", i, o, want)
		case i == 3 && o.lost["taken"].Claim != "before", i == 5 && o.lost["d"].Claim != "c4":
			t.Errorf("launch %d lost to %+v", i, o.lost)
		}
	}
	all, err := r.Fates(ctx)
	must(t, err)
	if len(all) != 7 || all["c"].Verdict != "" {
		t.Errorf("Consul has %+v", all)
	}
	// The second has all but the second write of d; the third leaves out what lost.
	want := [][]string{{"first"}, {"a", "b1", "b2", "c", "taken", "d", "e"}, {"a", "b1", "b2", "d", "e"}, {"d"}}
	if fmt.Sprint(g.sent) != fmt.Sprint(want) {
		t.Errorf("the transactions held %v\nwant %v", g.sent, want)
	}
}

// TestAMalformedWriteConcernsItselfAlone: Consul refuses the request that it is in.
func TestAMalformedWriteConcernsItselfAlone(t *testing.T) {
	r, _ := newRegistry(t)
	ctx := t.Context()
	g := newGate(r, func(ops api.TxnOps) error {
		if slices.ContainsFunc(ops, func(op *api.TxnOp) bool { return strings.HasSuffix(op.KV.Key, "bad") }) {
			return api.StatusError{Code: http.StatusBadRequest, Body: "no such key"}
		}
		return nil
	})
	errs := make([]error, 4)
	var wg sync.WaitGroup
	for i, id := range []string{"first", "a", "bad", "b"} {
		wg.Go(func() { _, _, errs[i] = r.CreateFates(ctx, several("c", "", id)) })
		if i == 0 {
			<-g.began
		} else {
			untilWaiting(t, &r.fateWrites, i)
		}
	}
	close(g.open)
	wg.Wait()
	for i, err := range errs {
		if (err != nil) != (i == 2) {
			t.Errorf("write %d: %v", i, err)
		}
	}
	if all, err := r.Fates(ctx); err != nil || len(all) != 3 {
		t.Errorf("Consul has %v, %v", all, err)
	}
}

// TestWhoGivesUpIsNotSentAndHoldsNobodyUp.
func TestWhoGivesUpIsNotSentAndHoldsNobodyUp(t *testing.T) {
	r, _ := newRegistry(t)
	g := newGate(r, func(api.TxnOps) error { return nil })
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, _, err := r.CreateFates(t.Context(), several("c", "", "first")); err != nil {
			t.Error(err)
		}
	})
	<-g.began
	hurried, cancel := context.WithCancel(t.Context())
	gone := make(chan error)
	go func() {
		_, _, err := r.CreateFates(hurried, several("c", "", "hurried"))
		gone <- err
	}()
	untilWaiting(t, &r.fateWrites, 1)
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("it gave up: %v", err)
	}
	wg.Go(func() {
		if _, _, err := r.CreateFates(t.Context(), several("c", "", "patient")); err != nil {
			t.Error(err)
		}
	})
	untilWaiting(t, &r.fateWrites, 2)
	close(g.open)
	wg.Wait()
	all, err := r.Fates(t.Context())
	must(t, err)
	if len(all) != 2 || all["hurried"].Verdict != "" {
		t.Errorf("Consul has %+v", all)
	}
}

// TestPurgesWaitForWritesThatSomebodyWaitsFor.
func TestPurgesWaitForWritesThatSomebodyWaitsFor(t *testing.T) {
	r, _ := newRegistry(t)
	ctx := t.Context()
	_, _, err := r.CreateFate(ctx, staging.Fate{Session: "old", Verdict: staging.VerdictRetired})
	must(t, err)
	g := newGate(r, func(api.TxnOps) error { return nil })
	var wg sync.WaitGroup
	create := func(ids ...string) {
		wg.Go(func() {
			if _, _, err := r.CreateFates(ctx, several("c", "", ids...)); err != nil {
				t.Error(err)
			}
		})
	}
	create("first")
	<-g.began
	wg.Go(func() {
		if err := r.DeleteFate(ctx, "old"); err != nil {
			t.Error(err)
		}
	})
	untilWaiting(t, &r.fateWrites, 1)
	// Both check that the same user is not locked, which is one operation: these two fill a transaction.
	many := make([]string, maxTxnOps-2)
	for i := range many {
		many[i] = fmt.Sprintf("m%03d", i)
	}
	create(many...)
	untilWaiting(t, &r.fateWrites, 2)
	create("late")
	untilWaiting(t, &r.fateWrites, 3)
	close(g.open)
	wg.Wait()
	if len(g.sent) != 3 || !slices.Contains(g.sent[1], "late") || fmt.Sprint(g.sent[2]) != "[old]" {
		t.Errorf("the transactions held %v", g.sent)
	}
	if _, err := r.Fate(ctx, "old"); !errors.Is(err, staging.ErrNoResource) {
		t.Errorf("the purged fate: %v", err)
	}
}

// TestLaunchesOfATransactionShareTheirChecks: a check that launches have in common is there once, and
// all of them fail with it, while the others are done.
func TestLaunchesOfATransactionShareTheirChecks(t *testing.T) {
	r, client := newRegistry(t)
	ctx := t.Context()
	zone := staging.ResourceKey{Kind: staging.KindZone, Name: "east"}
	pair := &api.KVPair{Key: r.key(pluralOf[zone.Kind], zone.Name), Value: []byte("{}")}
	_, err := client.KV().Put(pair, nil)
	must(t, err)
	pair, _, err = client.KV().Get(pair.Key, nil)
	must(t, err)
	checks := 0
	g := newGate(r, func(ops api.TxnOps) error {
		checks = max(checks, len(slices.DeleteFunc(slices.Clone(ops), writes)))
		return nil
	})
	outcomes := make([]error, 6)
	var wg sync.WaitGroup
	launch := func(i int, index uint64) {
		wg.Go(func() {
			fates := several(fmt.Sprint("c", i), "", fmt.Sprint("s", i))
			fates[0].MadeOf = []staging.ResourceVersion{{ResourceKey: zone, Index: index}}
			_, _, outcomes[i] = r.CreateFates(ctx, fates)
		})
	}
	launch(0, pair.ModifyIndex)
	<-g.began
	for i := 1; i < len(outcomes); i++ {
		launch(i, pair.ModifyIndex+uint64(i%2)) // every second one has read what is not stored
		untilWaiting(t, &r.fateWrites, i)
	}
	close(g.open)
	wg.Wait()
	for i, err := range outcomes {
		if _, outdated := errors.AsType[*staging.OutdatedError](err); outdated != (i%2 == 1) || err != nil && !outdated {
			t.Errorf("launch %d: %v", i, err)
		}
	}
	// One of the user's lock, and one of each version of the zone.
	if len(g.sent) != 3 || len(g.sent[1]) != 5 || checks != 3 {
		t.Errorf("the transactions held %v, and at most %d checks", g.sent, checks)
	}
}

// BenchmarkFates creates and finishes fates, as staged launches do, with so many callers.
func BenchmarkFates(b *testing.B) {
	for _, callers := range []int{1, 4, 32, 128} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			client, err := api.NewClient(&api.Config{Address: servers.Cluster(b).ConsulAddr})
			if err != nil {
				b.Fatal(err)
			}
			r := New(client, fmt.Sprintf("bench/%s-%d/", b.Name(), b.N))
			var n atomic.Int64
			var wg sync.WaitGroup
			b.ResetTimer()
			for range callers {
				wg.Go(func() {
					for {
						i := n.Add(1)
						if i > int64(b.N) {
							return
						}
						fates, _, err := r.CreateFates(b.Context(), several("c", "", fmt.Sprint("s", i)))
						if err == nil {
							err = r.FinishFates(b.Context(), fates)
						}
						if err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(2*float64(b.N)/b.Elapsed().Seconds(), "writes/s")
		})
	}
}
