package e2e

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/bench"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/client"
	"github.com/greenroom/greenroom/internal/benchreport"
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
	untilEvery(t, glance, fmt.Sprintf("%d ready in %s", n, pool), func() (bool, string) {
		var s poolStatus
		d.ask(t, "GET", "/v1/staging/"+pool, nil, 200, &s)
		return s.Ready == n, fmt.Sprintf("%+v", s)
	})
}

// bare is what Nomad achieves without greenroom, with as many concurrent calls as the scaler
// makes.
type bare struct {
	// All are jobs per second: registered, running, up (running and healthy in Consul, which
	// is what ready means), and turnover (up, while as many were stopped).
	registered, running, up, turnover float64
}

// bareLoop registers n jobs of an image as the scaler does. With turnover, it then goes on
// for as long as that took, and stops a job for each that it registers. Finally it purges
// the jobs, and returns when none runs any more.
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
	// each calls a function for each of the specs, with a scaler's concurrency.
	each := func(specs []staging.Spec, f func(context.Context, staging.Spec) error) {
		work := make(chan staging.Spec)
		var wg sync.WaitGroup
		for range scalerWorkers {
			wg.Go(func() {
				for spec := range work {
					ctx, cancel := context.WithTimeout(t.Context(), client.CallTimeout)
					if err := f(ctx, spec); err != nil {
						t.Error(err)
					}
					cancel()
				}
			})
		}
		for _, spec := range specs {
			work <- spec
		}
		close(work)
		wg.Wait()
	}
	register := func(ctx context.Context, spec staging.Spec) error {
		_, err := fleet.Register(ctx, spec)
		return err
	}
	end := func(ctx context.Context, s staging.Session, purge bool) error {
		_, _, err := d.nomad(t).Jobs().Deregister(s.ID, purge, new(nomadapi.WriteOptions).WithContext(ctx))
		return err
	}
	failed := 0
	untilRunning := func(specs []staging.Spec) {
		mine := map[string]bool{}
		for _, spec := range specs {
			mine[spec.Session.ID] = true
		}
		untilEvery(t, glance, "the bare loop's jobs run", func() (bool, string) {
			// One of many containers may fail to start: that counts as done.
			allocs, _, err := d.nomad(t).Allocations().List(&nomadapi.QueryOptions{Filter: `ClientStatus == "running" or ClientStatus == "failed"`})
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
		untilEvery(t, glance, "the bare loop's services pass", func() (bool, string) {
			found, _, err := d.consul(t).Health().Service(staging.PoolService("bare"), "", true, nil)
			must(t, err)
			return len(found) >= n-failed, fmt.Sprint(len(found))
		})
	}
	var first, second []staging.Spec
	for range n {
		first, second = append(first, spec()), append(second, spec())
	}
	began := time.Now()
	each(first, register)
	b.registered = float64(n) / time.Since(began).Seconds()
	untilRunning(first)
	b.running = float64(n) / time.Since(began).Seconds()
	untilPassing()
	b.up = float64(n) / time.Since(began).Seconds()
	if turnover {
		began = time.Now()
		pairs := map[string]staging.Session{}
		for i, s := range second {
			pairs[s.Session.ID] = first[i].Session
		}
		each(second, func(ctx context.Context, spec staging.Spec) error {
			if err := end(ctx, pairs[spec.Session.ID], false); err != nil {
				return err
			}
			return register(ctx, spec)
		})
		untilRunning(second)
		b.turnover = float64(n) / time.Since(began).Seconds()
		first = append(first, second...)
	}
	each(first, func(ctx context.Context, spec staging.Spec) error { return end(ctx, spec.Session, false) })
	d.untilNothingRunsOf(t, "bare-")
	each(first, func(ctx context.Context, spec staging.Spec) error { return end(ctx, spec.Session, true) })
	return b
}

// TestMeasureUsersWhoComeAndGo measures a Poisson stream of launches over a pool that the
// scaler refills; each session ends after a while.
func TestMeasureUsersWhoComeAndGo(t *testing.T) {
	keep := measure(t)
	const (
		ready = 450
		rate  = 45.0
		span  = 60 * time.Second
	)
	c, d := startCluster(t, 0)
	bare := bareLoop(t, d, "mock", ready, true)
	startAgent(t, c, "scaler")
	d.want(t, ready)
	var p50s, p99s, shares []float64
	var raw []any
	failed, refused := 0, 0
	for run := range measuredRuns(t) {
		d.untilReady(t, "mock", ready)
		var r bench.Report
		benchRun(t, &r, "--address", d.Broker, "--image", "mock", "--zone", "east", "--mode", "open",
			"--rate", fmt.Sprint(rate), "--duration", span.String(), "--dwell", "2s", "--seed", fmt.Sprint(run+1))
		raw = append(raw, r)
		failed, refused = failed+r.Result.Failures(), refused+r.Refused
		// The share of launches that got a ready session, against what Nomad can start meanwhile.
		allowed := min(1, (ready+bare.running*span.Seconds())/float64(r.Result.Requests))
		shares = append(shares, float64(r.Staged)/float64(r.Result.Requests)/allowed)
		for _, class := range r.Result.Classes {
			if class.Class == string(staging.Staged) {
				p50s, p99s = append(p50s, class.Latency.P50), append(p99s, class.Latency.P99)
			}
		}
	}
	p50, p99, share := benchreport.Median(p50s...), benchreport.Median(p99s...), benchreport.Median(shares...)
	keep(benchreport.Row{
		Number: 7, What: "45/s Poisson for 60 s, 450 ready, 2 s dwell, mock driver",
		Target: "0 failed, staged p50 at most 10 ms, p99 at most 60 ms, staged at least 0.9 of what registering allows",
		Figure: fmt.Sprintf("%d failed in all runs, %d of them refused; p50 %.1f ms, p99 %.1f ms", failed, refused, p50, p99), Ratio: share,
		Met: failed == 0 && p50 <= 10 && p99 <= 60 && share >= 0.9,
		Note: fmt.Sprintf("the ratio is the staged share by the share that a bare loop allows, which registered %.0f jobs a second and had %.0f a second running; "+
			"while it stopped as many, as here, %.0f", bare.registered, bare.running, bare.turnover), Raw: raw,
	})
}
