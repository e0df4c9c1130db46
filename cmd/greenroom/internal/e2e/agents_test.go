package e2e

import (
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestScalersTakeOverFromEachOther: from a scaler that is killed, and from one that stops
// in order.
func TestScalersTakeOverFromEachOther(t *testing.T) {
	c, d := startCluster(t, 2)
	first, second := startAgent(t, c, "scaler"), startAgent(t, c, "scaler")
	d.untilReady(t, "mock", 2)
	holder := d.holder(t, "east", first, second)
	other := map[*agent]*agent{first: second, second: first}[holder]

	holder.End(t, syscall.SIGKILL)
	began := time.Now()
	d.want(t, 4)
	d.untilReady(t, "mock", 4)
	measured("a killed scaler's zone was taken over, and its pool filled, %.1f s later\n", time.Since(began).Seconds())
	if now := d.holder(t, "east", other); now != other {
		t.Errorf("the lock is held by %s", now.Address)
	}

	third := startAgent(t, c, "scaler")
	until(t, "the third is in sync", func() (bool, string) {
		res, err := http.Get("http://" + third.Address + "/v1/health/ready")
		must(t, err)
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		must(t, err)
		return res.StatusCode == 200, string(body)
	})
	other.End(t, syscall.SIGTERM)
	began = time.Now()
	d.want(t, 6)
	d.untilReady(t, "mock", 6)
	measured("a stopped scaler's zone was taken over, and its pool filled, %.1f s later\n", time.Since(began).Seconds())
	if jobs := d.jobs(t, "mock"); len(jobs) != 6 {
		t.Errorf("Nomad runs %d jobs for 6 desired: two scalers acted in one zone", len(jobs))
	}
}

// TestAScalerThatCannotTellActsNoMore: while Consul is paused, its locks may be lost, so it
// replaces nothing.
func TestAScalerThatCannotTellActsNoMore(t *testing.T) {
	c, d := startCluster(t, 2)
	s := startAgent(t, c, "scaler")
	d.untilReady(t, "mock", 2)
	locks := func() string {
		for line := range strings.Lines(get(t, "http://"+s.Address+"/metrics")) {
			if n, ok := strings.CutPrefix(line, "greenroom_scaler_locks_held "); ok {
				return strings.TrimSpace(n)
			}
		}
		return ""
	}
	must(t, c.Consul.Pause())
	resumed := false
	defer func() {
		if !resumed {
			must(t, c.Consul.Resume())
		}
	}()
	until(t, "its locks are not sure", func() (bool, string) { return locks() == "0", locks() })
	before := d.jobs(t, "mock")
	_, _, err := d.nomad(t).Jobs().Deregister(before[0].id, false, nil)
	must(t, err)
	until(t, "Nomad has stopped it", func() (bool, string) { return len(d.jobs(t, "mock")) < 2, "" })
	// Long enough for several passes, each of which would replace the session.
	watch := time.NewTicker(100 * time.Millisecond)
	for range 20 {
		<-watch.C
		if now := d.jobs(t, "mock"); len(now) != 1 || now[0].id != before[1].id {
			t.Fatalf("it acted: %v, before %v", now, before)
		}
	}
	watch.Stop()
	must(t, c.Consul.Resume())
	resumed = true
	d.untilReady(t, "mock", 2)
}
