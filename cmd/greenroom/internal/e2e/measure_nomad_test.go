package e2e

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/bench"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/client"
	"github.com/greenroom/greenroom/internal/benchreport"
	"github.com/greenroom/greenroom/internal/devcluster/agenttest"
	"github.com/greenroom/greenroom/internal/nomadfleet"
	"github.com/greenroom/greenroom/internal/staging"
)

// These measurements use real jobs, of Nomad's mock driver, and a scaler.

// scalerWorkers is how many steps a scaler applies at the same time, see scaler.Options.
const scalerWorkers = 16

// glance is the interval between looks: listing hundreds of allocations or services costs
// the servers as much as creating some.
const glance = 200 * time.Millisecond

// untilFull waits until a pool has n ready sessions.
func (d *devProcess) untilFull(t *testing.T, pool string, n int) {
	t.Helper()
	agenttest.UntilEvery(t, glance, fmt.Sprintf("%d ready in %s", n, pool), func() (bool, string) {
		var s poolStatus
		d.ask(t, "GET", "/v1/staging/"+pool, nil, 200, &s)
		return s.Ready == n, fmt.Sprintf("%+v", s)
	})
}

// bare is what Nomad achieves without greenroom, with as many concurrent calls as the scaler
// makes.
type bare struct {
	// All are jobs per second: registered, running, up (running and healthy in Consul, which
	// is what ready means), and turnover (running, while as many were stopped and purged).
	registered, running, up, turnover float64
}

// turnovers is how often a bare loop with turnover replaces all of its jobs. The first time
// is not measured, as there is nothing yet to purge.
const turnovers = 3

// bareLoop registers n jobs of an image as the scaler does. With turnover, it then goes on,
// and stops a job and purges one that it stopped before for each that it registers. Finally it
// purges the jobs, and returns when none runs any more.
func bareLoop(t *testing.T, d *devProcess, name string, n int, turnover bool) (b bare) {
	t.Helper()
	var image staging.Image
	var zone staging.Zone
	d.ask(t, "GET", "/v1/images/"+name, nil, 200, &image)
	d.ask(t, "GET", "/v1/zones/east", nil, 200, &zone)
	fleet, err := nomadfleet.Open(nomadfleet.Settings{Address: d.Nomad}, nomadfleet.Options{})
	must(t, err)
	spec := func() staging.Spec {
		return staging.StagedSpec(staging.Session{
			// The id is not a session's, so that scalers ignore the job.
			ID: "bare-" + staging.NewSessionID(), State: staging.Pending, Origin: staging.Staged, Zone: "east", Image: name, Staging: "bare",
			Namespace: zone.Namespace, Region: zone.Region, CreatedAt: time.Now().UTC(),
		}, image, zone, staging.Config{Name: "bare", Zone: "east", Image: name})
	}
	// each calls a function for each number below n, with a scaler's concurrency.
	each := func(n int, f func(context.Context, int) error) {
		work := make(chan int)
		var wg sync.WaitGroup
		for range scalerWorkers {
			wg.Go(func() {
				for i := range work {
					ctx, cancel := context.WithTimeout(t.Context(), client.CallTimeout)
					if err := f(ctx, i); err != nil {
						t.Error(err)
					}
					cancel()
				}
			})
		}
		for i := range n {
			work <- i
		}
		close(work)
		wg.Wait()
	}
	register := func(ctx context.Context, spec staging.Spec) error {
		_, err := fleet.Register(ctx, spec)
		return err
	}
	nomad := d.nomad(t)
	end := func(ctx context.Context, spec staging.Spec, purge bool) error {
		_, _, err := nomad.Jobs().Deregister(spec.Session.ID, purge, new(nomadapi.WriteOptions).WithContext(ctx))
		return err
	}
	failed := 0
	untilRunning := func(specs []staging.Spec) {
		mine := map[string]bool{}
		for _, spec := range specs {
			mine[spec.Session.ID] = true
		}
		agenttest.UntilEvery(t, glance, "the bare loop's jobs run", func() (bool, string) {
			// One of many containers may fail to start: that counts as done.
			allocs, _, err := nomad.Allocations().List(&nomadapi.QueryOptions{Filter: `ClientStatus == "running" or ClientStatus == "failed"`})
			must(t, err)
			up := 0
			failed = 0
			for _, a := range allocs {
				if mine[a.JobID] {
					up++
				}
				if mine[a.JobID] && a.ClientStatus == nomadapi.AllocClientStatusFailed {
					failed++
				}
			}
			return up == len(specs), fmt.Sprint(up)
		})
	}
	untilPassing := func() {
		agenttest.UntilEvery(t, glance, "the bare loop's services pass", func() (bool, string) {
			found, _, err := d.consul(t).Health().Service(staging.PoolService("bare"), "", true, nil)
			must(t, err)
			return len(found) >= n-failed, fmt.Sprint(len(found))
		})
	}
	batch := func() (specs []staging.Spec) {
		for range n {
			specs = append(specs, spec())
		}
		return specs
	}
	live, stopped := batch(), []staging.Spec(nil)
	began := time.Now()
	each(n, func(ctx context.Context, i int) error { return register(ctx, live[i]) })
	b.registered = float64(n) / time.Since(began).Seconds()
	untilRunning(live)
	b.running = float64(n) / time.Since(began).Seconds()
	untilPassing()
	b.up = float64(n) / time.Since(began).Seconds()
	for turn := 0; turnover && turn < turnovers; turn++ {
		if turn == 1 {
			began = time.Now()
		}
		next := batch()
		each(n, func(ctx context.Context, i int) error {
			err := errors.Join(end(ctx, live[i], false), register(ctx, next[i]))
			if stopped != nil {
				err = errors.Join(err, end(ctx, stopped[i], true))
			}
			return err
		})
		untilRunning(next)
		live, stopped = next, live
		b.turnover = float64(turn*n) / time.Since(began).Seconds()
	}
	each(n, func(ctx context.Context, i int) error { return end(ctx, live[i], false) })
	d.untilNothingRunsOf(t, "bare-")
	all := append(live, stopped...)
	each(len(all), func(ctx context.Context, i int) error { return end(ctx, all[i], true) })
	return b
}

// TestMeasureUsersWhoComeAndGo measures row 7: a Poisson stream of launches over a pool that the
// scaler refills, as many as Nomad takes. Each session ends after a while, and is purged.
func TestMeasureUsersWhoComeAndGo(t *testing.T) {
	keep := measure(t)
	const ready, span = 200, 60 * time.Second
	c, d := startCluster(t, 0)
	var p50s, p99s, rates, bares, shares []float64
	var raw []any
	failed, refused, onDemand := 0, 0, 0
	for run := range measuredRuns(t) {
		bare := bareLoop(t, d, "mock", ready, true)
		scaler := startAgent(t, c, "scaler")
		d.want(t, ready)
		d.untilReady(t, "mock", ready)
		var r bench.Report
		began := time.Now()
		benchRun(t, &r, "--address", d.Broker, "--image", "mock", "--zone", "east", "--mode", "open",
			"--rate", fmt.Sprint(bare.turnover), "--duration", span.String(), "--dwell", "2s", "--seed", fmt.Sprint(run+1))
		left, _ := d.statusOf(t, "mock")
		raw = append(raw, r)
		failed, refused, onDemand = failed+r.Result.Failures(), refused+r.Refused, onDemand+r.OnDemand
		// What the pool had at first was not made meanwhile. The pool is filled on while the last
		// sessions end, so that time counts, too.
		rate := float64(r.Staged-ready+left.Ready) / time.Since(began).Seconds()
		rates, bares, shares = append(rates, rate), append(bares, bare.turnover), append(shares, rate/bare.turnover)
		for _, class := range r.Result.Classes {
			if class.Class == string(staging.Staged) {
				p50s, p99s = append(p50s, class.Latency.P50), append(p99s, class.Latency.P99)
			}
		}
		d.want(t, 0)
		d.untilGone(t, "mock")
		scaler.End(t, syscall.SIGTERM)
	}
	share := benchreport.Median(shares...)
	keep(benchreport.Row{
		Number: 7, What: "users who come and go for 60 s, as many as Nomad takes, 200 ready, 2 s dwell, mock driver",
		Target: "0 failed; at least 0.8 of the rate of a bare loop that registers, stops and purges as many",
		Figure: fmt.Sprintf("%.1f/s of %.1f/s; %d failed in all runs, %d of them refused; staged p50 %.1f ms, p99 %.1f ms",
			benchreport.Median(rates...), benchreport.Median(bares...), failed, refused, benchreport.Median(p50s...), benchreport.Median(p99s...)),
		Ratio: share, Met: failed == 0 && share >= 0.8,
		Note: fmt.Sprintf("launches come at the rate of the bare loop, which was measured before each run; counted are those served staged, less those of the ready ones at first that were not replaced; "+
			"%d in all runs were made on demand", onDemand), Raw: raw,
	})
}
