package consulhealth

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// countedClient returns a client of the shared Consul, and the greatest number of connections
// that it had at a time.
func countedClient(t *testing.T) (client *api.Client, most *atomic.Int64) {
	t.Helper()
	c := api.DefaultConfig()
	c.Address = servers.Cluster(t).ConsulAddr
	var open atomic.Int64
	most = new(atomic.Int64)
	c.Transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		n := open.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		return &countedConn{Conn: conn, open: &open}, nil
	}
	client, err := api.NewClient(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Transport.CloseIdleConnections)
	return client, most
}

type countedConn struct {
	net.Conn
	open *atomic.Int64
	once sync.Once
}

func (c *countedConn) Close() error {
	c.once.Do(func() { c.open.Add(-1) })
	return c.Conn.Close()
}

// TestManyWatchesNeedFewConnections: each of 500 watches notices its service's change, over
// fewer connections than half of those that Consul accepts from one address by default.
func TestManyWatchesNeedFewConnections(t *testing.T) {
	const pools = 500
	client, most := countedClient(t)
	h := New(client)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	var mu sync.Mutex
	seen, reports := map[string]int{}, 0
	name := func(n int) string { return fmt.Sprintf("greenroom-pool-many-%03d", n) }
	for n := range pools {
		wg.Go(func() {
			err := h.Watch(ctx, name(n), func(found []staging.Health) {
				mu.Lock()
				defer mu.Unlock()
				reports++
				seen[name(n)] = len(found)
			})
			if ctx.Err() == nil {
				t.Errorf("watch %d: %v", n, err)
			}
		})
	}
	until := func(what string, ok func() bool) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); ; {
			mu.Lock()
			done := ok()
			mu.Unlock()
			if done {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("not within a minute: %s; %d reports, %d services seen", what, reports, len(seen))
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	until("every watch has reported once", func() bool { return len(seen) == pools })
	for _, n := range []int{0, pools / 2, pools - 1} {
		began := time.Now()
		register(t, client, name(n), fmt.Sprint("gr-", n))
		until("the new instance of "+name(n), func() bool { return seen[name(n)] == 1 })
		t.Logf("%s was noticed after %s, over at most %d connections", name(n), time.Since(began).Round(time.Millisecond), most.Load())
	}
	if most.Load() > 100 {
		t.Errorf("%d connections at a time", most.Load())
	}
}

// TestQueriesStayOpenUntilWatchesMustTakeTurns, and again once they need not.
func TestQueriesStayOpenUntilWatchesMustTakeTurns(t *testing.T) {
	ts := newTurns(1)
	leave := ts.join()
	first, err := ts.take(t.Context())
	if err != nil || first.wait != watchWait {
		t.Fatalf("alone: %s, %v", first.wait, err)
	}
	leaveSecond := ts.join()
	<-first.ctx.Done()
	if !first.cutShort() {
		t.Error("the open query does not end for the second watch")
	}
	first.end()
	second, err := ts.take(t.Context())
	if err != nil || second.wait != roundTime/2 || second.cutShort() {
		t.Errorf("one of two: %s, %v", second.wait, err)
	}
	second.end()
	leaveSecond()
	if again, err := ts.take(t.Context()); err != nil || again.wait != watchWait || again.ctx.Err() != nil {
		t.Errorf("alone again: %s, %v", again.wait, err)
	}
	leave()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := ts.take(gone); err == nil {
		t.Error("a turn for a watch that has ended")
	}
}
