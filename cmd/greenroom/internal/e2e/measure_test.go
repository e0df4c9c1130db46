package e2e

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/bench"
	"github.com/greenroom/greenroom/internal/benchreport"
	"github.com/greenroom/greenroom/internal/devcluster"
	"github.com/greenroom/greenroom/internal/redisstore"
	"github.com/greenroom/greenroom/internal/staging"
)

// These are the measurements of `make bench` for launches: greenroom bench against a broker
// process. They pass with any figures. Where only the claim is measured, sessions are
// published in Redis directly, without a job in Nomad, and so need no end.

// measuredRuns returns the number of runs of which a figure is the median: five, or the
// RUNS= of make bench.
func measuredRuns(t *testing.T) int {
	t.Helper()
	text := os.Getenv("GREENROOM_BENCH_RUNS")
	if text == "" {
		return 5
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("RUNS: must be a number of runs, is %q", text)
	}
	return n
}

// measure returns the function that stores a row of the table. It skips the test unless
// GREENROOM_BENCH names the directory for rows.
func measure(t *testing.T) (keep func(benchreport.Row)) {
	t.Helper()
	dir := os.Getenv(benchreport.Env)
	if dir == "" {
		t.Skipf("%s is not set: make bench measures this", benchreport.Env)
	}
	return func(r benchreport.Row) {
		t.Helper()
		must(t, benchreport.Keep(dir, r))
		fmt.Printf("%s: %s\n", r.What, r.Figure)
	}
}

// publish adds n ready sessions to the pool mock in Redis, without jobs in Nomad.
func publish(t *testing.T, c *devcluster.Cluster, n int) {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: c.RedisAddr})
	defer rdb.Close()
	store := redisstore.New(rdb, redisstore.Options{})
	// Trust in Redis is renewed as a scaler does it, for a while.
	mark := staging.NewClaimID()
	must(t, store.PlaceMarker(t.Context(), "east", mark))
	_, err := store.RenewTrust(t.Context(), "east", mark, staging.NewClaimID(), false)
	must(t, err)
	for range n {
		must(t, store.Publish(t.Context(), staging.Session{
			ID: staging.NewSessionID(), State: staging.Ready, Origin: staging.Staged, Zone: "east", Image: "mock", Staging: "mock",
			Permits: staging.Permissions{}.Permits(), AllocID: "bc61e529-efd3-5bea-e173-daaf22d95f2a", NodeID: "ee45c4b8-fcb9-cbd5-0d92-79377ef17e7e",
			Task: "session", Address: "127.0.0.1", Ports: map[string]int{"http": 10107}, CreatedAt: time.Now(),
		}))
	}
}

// launches returns the arguments of greenroom bench for a load.
func launches(d *devProcess, load ...string) []string {
	return append([]string{"--address", d.Broker, "--image", "mock", "--zone", "east", "--keep"}, load...)
}

// TestMeasureClaimsAgainstTheFloor measures throughput, with and without the fence.
func TestMeasureClaimsAgainstTheFloor(t *testing.T) {
	keep := measure(t)
	const clients, requests = 32, 200
	load := []string{"--clients", fmt.Sprint(clients), "--requests", fmt.Sprint(requests)}
	for i, fence := range []string{"none", "consul"} {
		c, d := startCluster(t, 0, "--claim-fence", fence)
		what, under := "SETNX", []string{"floor", "--redis-address", c.RedisAddr, "--consul-address", c.ConsulAddr}
		if fence == "consul" {
			what, under = "SETNX + Consul CAS", append(under, "--fence")
		}
		var ratios, rates, floors, keyed []float64
		var raw []any
		claims := func(keys bool) float64 {
			publish(t, c, clients*requests)
			var r bench.Report
			benchRun(t, &r, launches(d, append(load, fmt.Sprintf("--keys=%t", keys))...)...)
			if r.Staged != clients*requests || r.Given != r.Staged {
				t.Errorf("of %d launches %d were staged, and %d sessions given", clients*requests, r.Staged, r.Given)
			}
			raw = append(raw, r)
			return r.Result.ServedPerSecond
		}
		for range measuredRuns(t) {
			rate := claims(false)
			var f bench.FloorReport
			benchRun(t, &f, append(under, load...)...)
			raw = append(raw, f)
			rates, floors, keyed = append(rates, rate), append(floors, f.Result.ServedPerSecond), append(keyed, claims(true))
			ratios = append(ratios, rate/f.Result.ServedPerSecond)
		}
		ratio := benchreport.Median(ratios...)
		keep(benchreport.Row{
			Number: 1 + i, What: fmt.Sprintf("claims over HTTP, no hook, fence %s, %d clients", fence, clients),
			Target: "at least 0.80 of Gin + " + what,
			Figure: fmt.Sprintf("%.0f/s of %.0f/s", benchreport.Median(rates...), benchreport.Median(floors...)),
			Ratio:  ratio, Met: ratio >= 0.80, Raw: raw,
			Note: fmt.Sprintf("sessions published directly; each run of launches beside one of the floor, and neither with an Idempotency-Key; with one %.0f/s", benchreport.Median(keyed...)),
		})
	}
}

// TestMeasureManyClaims measures 4,000 claims by 40 clients, and 300 at the same time.
func TestMeasureManyClaims(t *testing.T) {
	keep := measure(t)
	c, d := startCluster(t, 0)
	var p50s, p99s, spreads, rates []float64
	var raw []any
	errors, distinct := 0, true
	for range measuredRuns(t) {
		publish(t, c, 4000)
		var r bench.Report
		benchRun(t, &r, launches(d, "--clients", "40", "--requests", "100")...)
		raw = append(raw, r)
		errors += r.Result.Failures()
		distinct = distinct && r.Given == 4000 && r.Staged == 4000
		l := r.Result.Latency
		p50s, p99s, spreads, rates = append(p50s, l.P50), append(p99s, l.P99), append(spreads, l.P99/l.P50), append(rates, r.Result.ServedPerSecond)
	}
	spread := benchreport.Median(spreads...)
	keep(benchreport.Row{
		Number: 5, What: "4,000 claims, 40 clients x 100, over 4,000 ready", Target: "distinct, 0 errors, p99 at most 3 x p50",
		Figure: fmt.Sprintf("%.0f/s, p50 %.1f ms, p99 %.1f ms, %d errors", benchreport.Median(rates...), benchreport.Median(p50s...), benchreport.Median(p99s...), errors),
		Ratio:  spread, Met: distinct && errors == 0 && spread <= 3,
		Note: "sessions published directly; the ratio is p99 by p50; the fence is on; an allocator to compare with does 76 to 400 a second", Raw: raw,
	})

	var longest []float64
	raw = nil
	for range measuredRuns(t) {
		publish(t, c, 300)
		var r bench.Report
		benchRun(t, &r, launches(d, "--mode", "burst", "--burst", "300")...)
		raw = append(raw, r)
		if r.Staged != 300 {
			t.Errorf("of 300 at once on 300 ready %d were staged", r.Staged)
		}
		longest = append(longest, r.Result.Latency.Max)
	}
	most := benchreport.Median(longest...)
	keep(benchreport.Row{
		Number: 6, What: "300 at once on 300 ready", Target: "all within 1 s", Figure: fmt.Sprintf("all within %.0f ms", most),
		Ratio: most / 1000, Met: most <= 1000, Note: "sessions published directly; each launch on a connection of its own, which it opens", Raw: raw,
	})
}

// TestMeasureMoreLaunchesThanReady measures a burst of twice as many launches as sessions.
func TestMeasureMoreLaunchesThanReady(t *testing.T) {
	keep := measure(t)
	const ready = 50
	c, d := startCluster(t, 0, "--max-on-demand", "10")
	var refused []float64
	var raw []any
	exact := true
	for range measuredRuns(t) {
		publish(t, c, ready)
		var r bench.Report
		benchRun(t, &r, launches(d, "--mode", "burst", "--burst", fmt.Sprint(2*ready))...)
		raw = append(raw, r)
		exact = exact && r.Staged == ready && r.OnDemand+r.Refused == ready
		for _, class := range r.Result.Classes {
			if strings.HasPrefix(class.Class, bench.RefusedPrefix) {
				refused = append(refused, class.Latency.Max)
			}
		}
		d.untilNoneOfOrigin(t, "mock", staging.OnDemand)
	}
	longest := benchreport.Median(refused...)
	keep(benchreport.Row{
		Number: 8, What: "twice as many launches as ready", Target: "staged exactly the ready ones; the others on demand, or refused in 100 ms",
		Figure: fmt.Sprintf("exact: %t; refused within %.0f ms", exact, longest), Ratio: longest / 100, Met: exact && longest < 100,
		Note: fmt.Sprintf("%d ready, published directly, and %d at once; a refusal without Retry-After would count as an error", ready, 2*ready), Raw: raw,
	})
}

// untilNoneOfOrigin ends the sessions of an image with an origin, and waits for their end.
func (d *devProcess) untilNoneOfOrigin(t *testing.T, image string, origin staging.Origin) {
	t.Helper()
	until(t, "no session of "+image+" made "+string(origin)+" is left", func() (bool, string) {
		left := 0
		for _, j := range d.jobs(t, image) {
			if j.origin == string(origin) {
				left++
				_, _ = d.call("DELETE", "/v1/sessions/"+j.id, "")
			}
		}
		return left == 0, fmt.Sprint(left)
	})
}
