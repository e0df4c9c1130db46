package poolboard

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/greenroom/greenroom/internal/devcluster"
	"github.com/greenroom/greenroom/internal/devcluster/devtest"
	"github.com/greenroom/greenroom/internal/staging"
)

var servers = devtest.Share(devcluster.Options{NoRedis: true})

func TestMain(m *testing.M) { os.Exit(servers.Around(m).Run()) }

func consul(t *testing.T) *api.Client {
	t.Helper()
	client, err := api.NewClient(&api.Config{Address: servers.Cluster(t).ConsulAddr})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// shown waits until ok accepts the checks of a pool's service in the catalog.
func shown(t *testing.T, pool, what string, ok func([]*api.HealthCheck) bool) {
	t.Helper()
	var saw []string
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		checks, _, err := consul(t).Health().Checks(staging.PoolStatusService(pool), nil)
		if err != nil {
			t.Fatal(err)
		}
		if ok(checks) {
			return
		}
		saw = nil
		for _, c := range checks {
			saw = append(saw, fmt.Sprintf("%s: %s: %q", c.ServiceID, c.Status, c.Output))
		}
		select {
		case <-t.Context().Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
	t.Fatalf("%s: Consul never showed %s; it shows %s", pool, what, saw)
}

// one accepts a single check with a status and a text in its output.
func one(status, text string) func([]*api.HealthCheck) bool {
	return func(checks []*api.HealthCheck) bool {
		return len(checks) == 1 && checks[0].Status == status && strings.Contains(checks[0].Output, text)
	}
}

func none(checks []*api.HealthCheck) bool { return len(checks) == 0 }

// run runs a board until the test ends, or stop is called.
func run(t *testing.T, b *Board) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.Run(ctx, func(err error) { t.Error(err) })
	}()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

var east = map[string]bool{"east": true}

func TestABoardShowsHowAPoolStands(t *testing.T) {
	b := New(consul(t), "s1")
	b.Holds(east, true)
	stop := run(t, b)
	s := staging.PoolStatus{Zone: "east", Image: "app", Desired: 3, Current: 3, Ready: 3}
	b.Show("p", s)
	shown(t, "p", "a full pool", one(api.HealthPassing, "desired 3, current 3, ready 3"))
	s.Ready = 2
	b.Show("p", s)
	shown(t, "p", "a pool that is filling", one(api.HealthPassing, "ready 2, filling"))
	s.Oldest, s.Usual = time.Now().Add(-time.Hour), time.Second
	b.Show("p", s)
	shown(t, "p", "a short pool", one(api.HealthWarning, "ready 2"))
	// The status is the same: by itself, Consul's agent would not send this for minutes.
	s.Ready, s.Conditions = 1, []staging.Condition{{Type: staging.CapacityExhausted, Message: "not enough memory"}}
	b.Show("p", s)
	shown(t, "p", "a condition", one(api.HealthWarning, "ready 1\nCapacityExhausted: not enough memory"))
	s.Ready = 0
	b.Show("p", s)
	shown(t, "p", "a bare pool", one(api.HealthCritical, "ready 0"))
	b.Show("q", s)
	shown(t, "q", "another pool", one(api.HealthCritical, "ready 0"))
	b.Gone("p")
	shown(t, "p", "nothing", none)
	shown(t, "q", "the other still", one(api.HealthCritical, "ready 0"))
	stop()
	shown(t, "q", "nothing of a board that has stopped", none)
}

func TestWhatNobodyTellsAnyMoreIsCritical(t *testing.T) {
	b := New(consul(t), "s1")
	b.ttl = 2 * time.Second
	b.Holds(east, true)
	run(t, b)
	b.Show("silent", staging.PoolStatus{Zone: "east", Desired: 1, Current: 1, Ready: 1})
	shown(t, "silent", "a full pool", one(api.HealthPassing, "ready 1"))
	b.Holds(east, false)
	shown(t, "silent", "that its TTL is over", one(api.HealthCritical, "TTL expired"))
	b.Holds(east, true)
	shown(t, "silent", "it again", one(api.HealthPassing, "ready 1"))
}

func TestABoardTakesOverFromOneThatWasKilled(t *testing.T) {
	// The first never runs, so it deregisters nothing.
	first := New(consul(t), "first")
	first.Holds(map[string]bool{"east": true, "west": true}, true)
	full := staging.PoolStatus{Zone: "east", Desired: 1, Current: 1, Ready: 1}
	first.Show("kept", full)
	first.Show("deleted", full)
	full.Zone = "west"
	first.Show("elsewhere", full)
	if err := first.publishDue(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { first.deregisterAll(func(err error) { t.Log(err) }) })

	second := New(consul(t), "second")
	second.Holds(east, true)
	run(t, second)
	second.Show("kept", staging.PoolStatus{Zone: "east", Desired: 1, Oldest: time.Now().Add(-time.Hour)})
	shown(t, "kept", "the second's status alone", func(checks []*api.HealthCheck) bool {
		return one(api.HealthCritical, "ready 0")(checks) && strings.HasSuffix(checks[0].ServiceID, "-second")
	})
	shown(t, "deleted", "nothing: the scaler that has the zone has no such pool", none)
	shown(t, "elsewhere", "a pool in a zone that only the first has, unchanged", one(api.HealthPassing, "ready 1"))
}

// counted counts the writes of a client.
type counted struct{ writes atomic.Int64 }

func (c *counted) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPut {
		c.writes.Add(1)
	}
	return http.DefaultTransport.RoundTrip(r)
}

func TestABoardsWritesAreBounded(t *testing.T) {
	var count counted
	client, err := api.NewClient(&api.Config{Address: servers.Cluster(t).ConsulAddr, HttpClient: &http.Client{Transport: &count}})
	if err != nil {
		t.Fatal(err)
	}
	b := New(client, "busy")
	b.Holds(east, true)
	t.Cleanup(func() { b.deregisterAll(func(err error) { t.Error(err) }) })
	s := staging.PoolStatus{Zone: "east", Desired: 1000, Current: 1000}
	// A minute in which something happens every 20 ms.
	now := time.Now()
	for i := range 3000 {
		s.Ready = 1 + i%900
		b.Show("busy", s)
		if err := b.publishDue(t.Context(), now.Add(time.Duration(i)*20*time.Millisecond)); err != nil {
			t.Fatal(err)
		}
	}
	if n := count.writes.Load(); n < 20 || n > 30 {
		t.Errorf("%d writes in a minute of changes, want a change of the output every 5 s, of two calls each", n)
	}
	count.writes.Store(0)
	now = now.Add(2 * time.Minute)
	for i := range 3000 {
		if err := b.publishDue(t.Context(), now.Add(time.Duration(i)*20*time.Millisecond)); err != nil {
			t.Fatal(err)
		}
	}
	if n := count.writes.Load(); n < 6 || n > 8 {
		t.Errorf("%d writes in a quiet minute, want one every 10 s", n)
	}
}
