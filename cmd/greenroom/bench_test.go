package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"

	launching "github.com/greenroom/greenroom/broker/launch"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

// benchRun runs greenroom bench as a user does, and gives what it printed and its
// raw results, decoded into results.
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

// TestBenchLaunchesAndEndsWhatItLaunched: in each mode every launch gets a session
// of its own, staged or on demand, and none is left.
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
		var r benchReport
		out := benchRun(t, &r, append([]string{"--address", d.Broker, "--image", "mock", "--zone", "east"}, tt.load...)...)
		if tt.launches == 0 {
			tt.launches = r.Result.Requests // as many as the seed has arrive
		}
		if n := tt.launches; n == 0 || r.Result.Requests != n || r.Result.Served != n || r.Given != n || r.Ended != n || r.Staged+r.OnDemand != n {
			t.Errorf("%v: of %d launches: %+v\n%s", tt.load, n, r, out)
		}
		if r.Staged < 6 || r.Refused+r.Errors+r.NotSent != 0 || r.AssignHook || len(r.Pools) != 1 || r.Pools[0] != (benchPool{"mock", 6, 6}) {
			t.Errorf("%v: %+v", tt.load, r)
		}
		for _, want := range []string{"OUTCOME", "staged", "all served", "6 of 6 sessions were ready in pool mock", fmt.Sprintf("%d sessions were given, 0 of them more than once", tt.launches)} {
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

// TestAnInterruptedBenchLeavesNothing: it ends what it was given, and finds what was
// begun for launches whose answers it did not wait for.
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

// TestTheFloorLeavesNoKeys, and every claim of it is its own.
func TestTheFloorLeavesNoKeys(t *testing.T) {
	c, d := startCluster(t, 0)
	for _, more := range [][]string{nil, {"--fence"}, {"--mode", "burst", "--burst", "50"}} {
		var r floorReport
		args := append([]string{"floor", "--redis-address", c.RedisAddr, "--consul-address", c.ConsulAddr}, more...)
		if len(more) < 2 {
			args = append(args, "--clients", "5", "--requests", "10")
		}
		out := benchRun(t, &r, args...)
		if r.Result.Requests != 50 || r.Result.Count(classClaimed) != 50 || r.Fence != (len(more) == 1) {
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

// cannedBench is a command line with what greenroom bench asks a broker for.
func cannedBench(t *testing.T) *cli {
	c := newCLI(t, "")
	c.broker.images["demo"] = staging.Image{Name: "demo"}
	c.broker.zones["east"] = staging.Zone{Name: "east"}
	c.broker.sessions = []staging.Session{userSession()}
	c.broker.result = launching.Result{Session: userSession()}
	return c
}

func TestBenchIsLoudAboutASessionThatTwoUsersGot(t *testing.T) {
	c := cannedBench(t)
	c.want(exitFailed, []string{"bench", "--image", "demo", "--zone", "east", "--clients", "1", "--requests", "3"},
		"SESSION gr-1 WAS GIVEN TO 3 USERS", "launches [0 1 2]", "1 sessions were given, 1 of them more than once; 1 were ended")
}

func TestBenchSortsRefusalsAndErrors(t *testing.T) {
	for _, tt := range []struct {
		err             error
		class           string
		refused, errors int
	}{
		{&refusal.Error{Kind: refusal.NoCapacity, Detail: "full"}, "refused:no_capacity", 4, 0},
		{&refusal.Error{Kind: refusal.ImageDisabled, Detail: "off"}, "error:image_disabled", 0, 4},
	} {
		c := cannedBench(t)
		c.broker.err = tt.err
		out := c.want(exitOK, []string{"bench", "--image", "demo", "--zone", "east", "--clients", "1", "--requests", "4", "-o", "json"})
		var r benchReport
		must(t, json.Unmarshal([]byte(out), &r))
		if r.Refused != tt.refused || r.Errors != tt.errors || r.Result.Count(tt.class) != 4 || r.Given != 0 {
			t.Errorf("%+v", r)
		}
	}
}

func TestFlagsOfBench(t *testing.T) {
	bench := []string{"bench", "--image", "demo", "--zone", "east"}
	for _, tt := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"bench", "--zone", "east"}, exitUsage, `"image"`},
		{[]string{"bench", "--image", "demo", "--zone", ".."}, exitUsage, "--zone"},
		{append(bench, "--mode", "sideways"), exitUsage, "--mode: must be closed, open or burst"},
		{append(bench, "--clients", "0"), exitUsage, "--clients: must be between 1"},
		{append(bench, "--requests", "-1"), exitUsage, "--requests"},
		{append(bench, "--rate", "5"), exitUsage, "--rate: is not for --mode closed"},
		{append(bench, "--mode", "burst", "--clients", "5"), exitUsage, "--clients: is not for --mode burst"},
		{append(bench, "--mode", "burst", "--burst", "100000"), exitUsage, "--burst"},
		{append(bench, "--mode", "open", "--rate", "NaN"), exitUsage, "--rate: must be above 0"},
		{append(bench, "--mode", "open", "--duration", "0s"), exitUsage, "--duration"},
		{append(bench, "--mode", "open", "--in-flight", "0"), exitUsage, "--in-flight"},
		{append(bench, "--dwell", "-1s"), exitUsage, "--dwell"},
		{append(bench, "--dwell", "1s", "--keep"), exitUsage, "--dwell: is not for --keep"},
		{append(bench, "--wait", "1h"), exitUsage, "--wait"},
		{[]string{"bench", "--image", "none", "--zone", "east"}, exitNotFound, "none"},
		{[]string{"bench", "--image", "demo", "--zone", "none"}, exitNotFound, "none"},
		{append(bench, "--address", "127.0.0.1:1"), exitUnavailable, "is it running"},
		{[]string{"bench", "floor", "--redis-address", "nowhere"}, exitUsage, "--redis-address"},
		{[]string{"bench", "floor", "--consul-address", "nowhere"}, exitUsage, "--consul-address"},
		{[]string{"bench", "floor", "--redis-address", "127.0.0.1:1"}, exitFailed, "--redis-address 127.0.0.1:1: Redis does not answer"},
		{[]string{"bench", "floor", "extra"}, exitUsage, "extra"},
	} {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) { cannedBench(t).want(tt.code, tt.args, tt.says) })
	}
}
