package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/bench"
)

// benchRun runs greenroom bench as a user does. It returns what that printed, and decodes its
// raw results into results.
func benchRun(t *testing.T, results any, args ...string) (printed string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "results.json")
	out, err := command(append(append([]string{"bench"}, args...), "--json", file)...).CombinedOutput()
	if err != nil {
		t.Fatalf("greenroom bench %s: %s\n%s", strings.Join(args, " "), err, out)
	}
	raw, err := os.ReadFile(file)
	must(t, err)
	must(t, json.Unmarshal(raw, results))
	return string(out)
}

// TestBenchLaunchesAndEndsWhatItLaunched: in each mode every launch gets a session of its
// own, staged or on demand, and no session is left.
func TestBenchLaunchesAndEndsWhatItLaunched(t *testing.T) {
	c, d := startCluster(t, 6)
	startAgent(t, c, "scaler")
	for _, tt := range []struct {
		load     []string
		launches int
	}{
		{[]string{"--clients", "4", "--requests", "5"}, 20},
		{[]string{"--mode", "burst", "--burst", "12", "--keys=false"}, 12},
		{[]string{"--mode", "open", "--rate", "10", "--duration", "2s", "--dwell", "100ms", "--seed", "7"}, 0},
	} {
		d.untilReady(t, "mock", 6)
		var r bench.Report
		out := benchRun(t, &r, append([]string{"--address", d.Broker, "--image", "mock", "--zone", "east"}, tt.load...)...)
		if tt.launches == 0 {
			tt.launches = r.Result.Requests // the number of arrivals depends on the seed
		}
		if n := tt.launches; n == 0 || r.Result.Requests != n || r.Result.Served != n || r.Given != n || r.Ended != n || r.Staged+r.OnDemand != n {
			t.Errorf("%v: of %d launches: %+v\n%s", tt.load, n, r, out)
		}
		if r.Staged < 6 || r.Refused+r.Errors+r.NotSent != 0 || r.AssignHook || len(r.Pools) != 1 || r.Pools[0] != (bench.Pool{Name: "mock", Desired: 6, Ready: 6}) {
			t.Errorf("%v: %+v", tt.load, r)
		}
		for _, want := range []string{"OUTCOME", "staged", "all served", "pool mock had 6 of 6 sessions ready", fmt.Sprintf("%d sessions given, 0 of them more than once", tt.launches)} {
			if !strings.Contains(out, want) {
				t.Errorf("%v: %q is not in\n%s", tt.load, want, out)
			}
		}
		t.Logf("%s", out)
	}
	d.want(t, 0)
	until(t, "no session is left in Nomad", func() (bool, string) {
		left := d.jobs(t, "mock")
		return len(left) == 0, fmt.Sprint(left)
	})
}

// TestAnInterruptedBenchLeavesNothing: it ends its sessions, and finds and ends those of
// launches whose answers it did not wait for.
func TestAnInterruptedBenchLeavesNothing(t *testing.T) {
	c, d := startCluster(t, 2)
	startAgent(t, c, "scaler")
	d.untilReady(t, "mock", 2)
	slow := quickImage("slow")
	slow.Variables["warmup"] = "10m"
	d.store(t, slow)
	for _, tt := range []struct {
		args  []string
		image string
		begun int
	}{
		{[]string{"--image", "mock", "--mode", "open", "--rate", "5", "--duration", "10m", "--dwell", "5m"}, "mock", 4},
		{[]string{"--image", "slow", "--mode", "burst", "--burst", "3", "--wait", "5m"}, "slow", 3},
	} {
		bench := command(append([]string{"bench", "--address", d.Broker, "--zone", "east"}, tt.args...)...)
		var out buffer
		bench.Stdout, bench.Stderr = &out, &out
		must(t, bench.Start())
		until(t, "sessions are begun", func() (bool, string) {
			n := len(d.jobs(t, tt.image))
			return n >= tt.begun, fmt.Sprintf("%d jobs\n%s", n, &out)
		})
		must(t, bench.Process.Signal(syscall.SIGINT))
		if err := bench.Wait(); err == nil || !strings.Contains(out.String(), "greenroom: interrupted: the figures are of what was sent until then") {
			t.Errorf("%v: %v\n%s", tt.args, err, &out)
		}
		t.Logf("%s", &out)
		d.want(t, 0)
		until(t, "none of "+tt.image+" is left in Nomad", func() (bool, string) {
			left := d.jobs(t, tt.image)
			return len(left) == 0, fmt.Sprint(left)
		})
	}
}

// TestTheFloorLeavesNoKeys: every claim of the floor uses keys of its own, and removes them.
func TestTheFloorLeavesNoKeys(t *testing.T) {
	c, d := startCluster(t, 0)
	for _, more := range [][]string{nil, {"--fence"}, {"--mode", "burst", "--burst", "50"}} {
		var r bench.FloorReport
		args := append([]string{"floor", "--redis-address", c.RedisAddr, "--consul-address", c.ConsulAddr}, more...)
		if len(more) < 2 {
			args = append(args, "--clients", "5", "--requests", "10")
		}
		out := benchRun(t, &r, args...)
		if r.Result.Requests != 50 || r.Result.Count(bench.ClassClaimed) != 50 || r.Fence != (len(more) == 1) {
			t.Errorf("%v: %+v\n%s", args, r.Result, out)
		}
		t.Logf("%s", out)
	}
	rdb := redis.NewClient(&redis.Options{Addr: c.RedisAddr})
	defer rdb.Close()
	if keys, err := rdb.Keys(t.Context(), "greenroom-floor*").Result(); err != nil || len(keys) > 0 {
		t.Errorf("left in Redis: %v %v", keys, err)
	}
	if keys, _, err := d.consul(t).KV().Keys("greenroom-floor", "", nil); err != nil || len(keys) > 0 {
		t.Errorf("left in Consul: %v %v", keys, err)
	}
}
