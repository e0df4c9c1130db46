package registry

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
)

// holder runs a program's locks. kill ends it without releasing them, stop in order.
type holder struct {
	*Locks
	kill, stop func()
}

func newHolder(t *testing.T, name string, want ...string) *holder {
	t.Helper()
	_, client := newRegistry(t)
	return newHolderOf(t, client, name, want...)
}

// newHolderOf is newHolder for a client of its own.
func newHolderOf(t *testing.T, client *api.Client, name string, want ...string) *holder {
	t.Helper()
	r, _ := newRegistry(t)
	l := r.NewLocks(client, t.Name()+"-"+name)
	l.Want(want)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	quiet := func(error) {}
	go func() { l.loop(ctx, quiet); close(done) }()
	h := &holder{Locks: l, kill: func() { cancel(); <-done }}
	h.stop = func() { h.kill(); l.release(quiet) }
	t.Cleanup(h.stop)
	return h
}

func eventually(t *testing.T, within time.Duration, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(within)
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within %s: %s", within, what)
		}
	}
}

func TestALockIsOnesAtATimeAndTakenOverFromTheDead(t *testing.T) {
	first := newHolder(t, "first", "east", "west")
	eventually(t, 30*time.Second, "the first holds both", func() bool { return first.Held("east") && first.Held("west") })
	second := newHolder(t, "second", "east", "west")
	// The first keeps them for longer than a session lives without heartbeats, also while its service
	// is registered again.
	for end := time.Now().Add(max(lockTTL, registerAgain) + 2*time.Second); time.Now().Before(end); {
		if second.Held("east") || second.Held("west") || !first.Held("east") {
			t.Fatal("two hold one lock, or the holder lost it")
		}
		<-time.After(50 * time.Millisecond)
	}
	first.kill()
	began := time.Now()
	eventually(t, 30*time.Second, "the second takes over from the dead", func() bool {
		if first.Held("east") && second.Held("east") {
			t.Fatal("two hold one lock")
		}
		return second.Held("east") && second.Held("west")
	})
	t.Logf("taken over from the dead after %s", time.Since(began))
	if first.Held("east") {
		t.Error("a holder without heartbeats still believes that it holds the lock")
	}
	third := newHolder(t, "third", "east")
	second.stop()
	began = time.Now()
	eventually(t, 30*time.Second, "the third takes over from one that stopped", func() bool { return third.Held("east") })
	t.Logf("taken over from one that stopped after %s", time.Since(began))
	if third.Held("west") {
		t.Error("it holds a lock that it does not want")
	}
	third.Want([]string{"west"})
	eventually(t, 30*time.Second, "it releases the lock that it no longer wants", func() bool { return third.Held("west") && !third.Held("east") })
}

// TestAHolderThatCannotAskStopsHolding while Consul is paused, and holds again after it.
func TestAHolderThatCannotAskStopsHolding(t *testing.T) {
	h := newHolder(t, "only", "east")
	eventually(t, 30*time.Second, "it holds", func() bool { return h.Held("east") })
	consul := servers.Cluster(t).Consul
	must(t, consul.Pause())
	defer func() { must(t, consul.Resume()) }()
	eventually(t, lockTTL+5*time.Second, "a paused Consul makes it stop holding", func() bool { return !h.Held("east") })
	must(t, consul.Resume())
	eventually(t, 30*time.Second, "it holds again", func() bool { return h.Held("east") })
}

// TestAHolderWhoseHeartbeatFailedHoldsAgain: an agent that cannot write to its disk answers heartbeats with
// an error, and has the check all the same. The session of before lives on then, and may not keep the locks from its
// own program.
func TestAHolderWhoseHeartbeatFailedHoldsAgain(t *testing.T) {
	at, err := url.Parse(servers.Cluster(t).ConsulAddr)
	must(t, err)
	consul, transport := httputil.NewSingleHostReverseProxy(at), &http.Transport{}
	consul.Transport = transport
	t.Cleanup(transport.CloseIdleConnections)
	var failing atomic.Bool
	agent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if failing.Load() && (strings.Contains(r.URL.Path, "/check/update/") || strings.Contains(r.URL.Path, "/service/register")) {
			http.Error(w, "failed persisting state for check: no space left on device", http.StatusInternalServerError)
			return
		}
		consul.ServeHTTP(w, r)
	}))
	t.Cleanup(agent.Close)
	client, err := api.NewClient(&api.Config{Address: agent.URL})
	must(t, err)
	h := newHolderOf(t, client, "only", "east")
	eventually(t, 30*time.Second, "it holds", func() bool { return h.Held("east") })
	failing.Store(true)
	eventually(t, lockTTL+5*time.Second, "it stops holding", func() bool { return !h.Held("east") })
	failing.Store(false)
	eventually(t, 30*time.Second, "it holds again", func() bool { return h.Held("east") })
}
