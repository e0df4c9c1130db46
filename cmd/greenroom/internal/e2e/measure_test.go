package e2e

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/bench"
	"github.com/greenroom/greenroom/internal/benchreport"
	"github.com/greenroom/greenroom/internal/benchreport/benchtest"
	"github.com/greenroom/greenroom/internal/devcluster"
	"github.com/greenroom/greenroom/internal/redisstore"
	"github.com/greenroom/greenroom/internal/staging"
)

// These are the measurements of `make bench` for launches: greenroom bench against a broker
// process. They pass with any figures. Where only the claim is measured, sessions are
// published in Redis directly, without a job in Nomad, and so need no end.

// measure is benchtest.Start, and measuredRuns benchtest.Runs.
func measure(t *testing.T) (keep func(benchreport.Row)) { return benchtest.Start(t) }

func measuredRuns(t *testing.T) int { return benchtest.Runs(t) }

// publish adds n ready sessions to the pool mock in Redis, without jobs in Nomad.
func publish(t *testing.T, c *devcluster.Cluster, n int) {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: c.RedisAddr})
	defer rdb.Close()
	store := redisstore.New(rdb, redisstore.Options{})
	for range n {
		must(t, store.Publish(t.Context(), staging.Session{
			ID: staging.NewSessionID(), State: staging.Ready, Origin: staging.Staged, Zone: "east", Image: "mock", Staging: "mock",
			Permits: staging.Permissions{}.Permits(), AllocID: "bc61e529-efd3-5bea-e173-daaf22d95f2a", NodeID: "ee45c4b8-fcb9-cbd5-0d92-79377ef17e7e",
			Task: "session", Address: "127.0.0.1", Ports: map[string]int{"http": 10107}, CreatedAt: time.Now(),
		}))
	}
}

// trustRedis renews the trust in Redis as a scaler does it, until the test ends: on a slow machine
// a run takes longer than one renewal lasts.
func trustRedis(t *testing.T, c *devcluster.Cluster) {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: c.RedisAddr})
	store := redisstore.New(rdb, redisstore.Options{})
	renew := func(ctx context.Context) error {
		mark := staging.NewClaimID()
		if err := store.PlaceMarker(ctx, "east", mark); err != nil {
			return err
		}
		_, err := store.RenewTrust(ctx, "east", staging.TrustRenewal{Before: mark, Marker: staging.NewClaimID()})
		return err
	}
	must(t, renew(t.Context()))
	ctx, stop := context.WithCancel(context.Background())
	var renewing sync.WaitGroup
	renewing.Go(func() {
		tick := time.NewTicker(staging.TrustTTL / 6)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if err := renew(ctx); err != nil && ctx.Err() == nil {
				t.Errorf("renew the trust in Redis: %v", err)
			}
		}
	})
	t.Cleanup(func() {
		stop()
		renewing.Wait()
		rdb.Close()
	})
}

// launches returns the arguments of greenroom bench for a load.
func launches(d *devProcess, load ...string) []string {
	return append([]string{"--address", d.Broker, "--image", "mock", "--zone", "east", "--keep"}, load...)
}

// claimLoads are the loads of TestMeasureClaimsAgainstTheFloor: each against the bare calls that
// a launch cannot do without, by as many clients in the same run. target is the least share of
// the bare calls' rate; with the fence it is above 1, because greenroom's writes to Consul
// share transactions and the bare ones do not.
var claimLoads = []struct {
	number          int
	fence, limit    string
	clients, rounds int
	target          float64
}{
	{1, "none", "Gin + SETNX", 32, 200, 0.75},
	{2, "consul", "Gin + SETNX + Consul CAS", 32, 200, 1.2},
	{17, "consul", "Gin + SETNX + Consul CAS", 128, 50, 1.6},
}

// TestMeasureClaimsAgainstTheFloor measures throughput, with and without the fence.
func TestMeasureClaimsAgainstTheFloor(t *testing.T) {
	keep := measure(t)
	for _, x := range claimLoads {
		if benchtest.Quick() && x.fence == "none" {
			continue // nobody runs without the fence by default
		}
		c, d := startCluster(t, 0, "--claim-fence", x.fence)
		trustRedis(t, c)
		load := []string{"--clients", fmt.Sprint(x.clients), "--requests", fmt.Sprint(x.rounds)}
		under := append([]string{"floor", "--redis-address", c.RedisAddr, "--consul-address", c.ConsulAddr}, load...)
		if x.fence == "consul" {
			under = append(under, "--fence")
		}
		var ratios, rates, floors, keyed, spreads []float64
		var raw []any
		claims := func(keys bool) bench.Report {
			publish(t, c, x.clients*x.rounds)
			var r bench.Report
			benchRun(t, &r, launches(d, append(load, fmt.Sprintf("--keys=%t", keys))...)...)
			if r.Staged != x.clients*x.rounds || r.Given != r.Staged {
				t.Errorf("of %d launches %d were staged, and %d sessions given", x.clients*x.rounds, r.Staged, r.Given)
			}
			raw = append(raw, r)
			return r
		}
		for range measuredRuns(t) {
			r := claims(false)
			var f bench.FloorReport
			benchRun(t, &f, under...)
			raw = append(raw, f)
			rates, floors = append(rates, r.Result.ServedPerSecond), append(floors, f.Result.ServedPerSecond)
			ratios = append(ratios, r.Result.ServedPerSecond/f.Result.ServedPerSecond)
			spreads = append(spreads, r.Result.Latency.P99/r.Result.Latency.P50)
			keyed = append(keyed, claims(true).Result.ServedPerSecond)
		}
		ratio, spread := benchreport.Median(ratios...), benchreport.Median(spreads...)
		keep(benchreport.Row{
			Number: x.number, What: fmt.Sprintf("claims over HTTP, no hook, fence %s, %d clients", x.fence, x.clients),
			Target: fmt.Sprintf("at least %.2f of %s", x.target, x.limit),
			Figure: fmt.Sprintf("%.0f/s", benchreport.Median(rates...)),
			Limit:  fmt.Sprintf("%s: %.0f/s", x.limit, benchreport.Median(floors...)),
			Ratio:  ratio, Met: ratio >= x.target, Raw: raw,
			Note: fmt.Sprintf("sessions published directly; each run of launches beside one of the floor, and neither with an Idempotency-Key; with one %.0f/s; p99 is %.1f times p50",
				benchreport.Median(keyed...), spread),
		})
	}
}

// TestMeasureManyClaims measures 4,000 claims by 40 clients, and 300 at the same time.
func TestMeasureManyClaims(t *testing.T) {
	keep := measure(t)
	c, d := startCluster(t, 0)
	trustRedis(t, c)
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

	var longest, barest []float64
	raw = nil
	for range measuredRuns(t) {
		publish(t, c, 300)
		burst := []string{"--mode", "burst", "--burst", "300"}
		var r bench.Report
		benchRun(t, &r, launches(d, burst...)...)
		var f bench.FloorReport
		benchRun(t, &f, append([]string{"floor", "--redis-address", c.RedisAddr, "--consul-address", c.ConsulAddr, "--fence"}, burst...)...)
		raw, barest = append(raw, r, f), append(barest, f.Result.Latency.Max)
		if r.Staged != 300 {
			t.Errorf("of 300 at once on 300 ready %d were staged", r.Staged)
		}
		longest = append(longest, r.Result.Latency.Max)
	}
	most := benchreport.Median(longest...)
	keep(benchreport.Row{
		Number: 6, What: "300 at once on 300 ready", Target: "all within 1 s", Figure: fmt.Sprintf("all within %.0f ms", most),
		Limit: fmt.Sprintf("Gin + SETNX + Consul CAS: all within %.0f ms", benchreport.Median(barest...)),
		Ratio: most / benchreport.Median(barest...), Met: most <= 1000, Note: "the ratio is to the bare calls' burst; sessions published directly; each launch on a connection of its own, which it opens", Raw: raw,
	})
}

// TestMeasureMoreLaunchesThanReady measures a burst of twice as many launches as sessions.
func TestMeasureMoreLaunchesThanReady(t *testing.T) {
	keep := measure(t)
	const ready = 50
	c, d := startCluster(t, 0, "--max-on-demand", "10")
	trustRedis(t, c)
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
