package main

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/greenroom/greenroom/internal/devcluster"
	"github.com/greenroom/greenroom/internal/nomadfleet"
	"github.com/greenroom/greenroom/internal/staging"
	"github.com/greenroom/greenroom/internal/verdict"
)

// What is measured with real jobs, of Nomad's mock driver, and a scaler.

// scalerWorkers is how many steps a scaler applies at once, see scaler.Options.
const scalerWorkers = 16

// bareLoop registers so many jobs of the image mock as the scaler does, with its
// parallelism and nothing else, and gives how many a second Nomad took, and how many
// a second it had running. It purges them.
func bareLoop(t *testing.T, c *devcluster.Cluster, d *devProcess, n int) (registered, running float64) {
	t.Helper()
	var image staging.Image
	var zone staging.Zone
	d.ask(t, "GET", "/v1/images/mock", nil, 200, &image)
	d.ask(t, "GET", "/v1/zones/east", nil, 200, &zone)
	fleet, err := nomadfleet.Open(nomadfleet.Settings{Address: c.NomadAddr}, nomadfleet.Options{})
	must(t, err)
	config := staging.Config{Name: "bare", Zone: "east", Image: "mock"}
	mine := map[string]bool{}
	for range n {
		mine[staging.NewSessionID()] = true
	}
	began := time.Now()
	each := func(f func(context.Context, staging.Spec) error) {
		work := make(chan staging.Spec)
		var wg sync.WaitGroup
		for range scalerWorkers {
			wg.Go(func() {
				for spec := range work {
					ctx, cancel := context.WithTimeout(t.Context(), callTimeout)
					if err := f(ctx, spec); err != nil {
						t.Error(err)
					}
					cancel()
				}
			})
		}
		for id := range mine {
			work <- staging.StagedSpec(staging.Session{
				ID: id, State: staging.Pending, Origin: staging.Staged, Zone: "east", Image: "mock", Staging: "bare",
				Namespace: zone.Namespace, Region: zone.Region, CreatedAt: began.UTC(),
			}, image, zone, config)
		}
		close(work)
		wg.Wait()
	}
	each(func(ctx context.Context, spec staging.Spec) error {
		_, err := fleet.Register(ctx, spec)
		return err
	})
	registered = float64(n) / time.Since(began).Seconds()
	until(t, "the bare loop's jobs run", func() (bool, string) {
		allocs, _, err := d.nomad(t).Allocations().List(&nomadapi.QueryOptions{Filter: `ClientStatus == "running"`})
		must(t, err)
		up := 0
		for _, a := range allocs {
			if mine[a.JobID] {
				up++
			}
		}
		return up == n, fmt.Sprint(up)
	})
	running = float64(n) / time.Since(began).Seconds()
	each(func(ctx context.Context, spec staging.Spec) error { return fleet.Purge(ctx, spec.Session) })
	return registered, running
}

// TestMeasureUsersWhoComeAndGo: a Poisson stream of launches, each session ended
// after a while, over a pool that the scaler refills.
func TestMeasureUsersWhoComeAndGo(t *testing.T) {
	keep := measure(t)
	const (
		ready = 450
		rate  = 45.0
		span  = 60 * time.Second
	)
	c, d := startCluster(t, 0)
	registered, running := bareLoop(t, c, d, ready)
	startAgent(t, c, "scaler")
	d.want(t, ready)
	var p50s, p99s, shares []float64
	var raw []any
	failed, refused := 0, 0
	for run := range measuredRuns(t) {
		d.untilReady(t, "mock", ready)
		var r benchReport
		benchRun(t, &r, "--address", d.Broker, "--image", "mock", "--zone", "east", "--mode", "open",
			"--rate", fmt.Sprint(rate), "--duration", span.String(), "--dwell", "2s", "--seed", fmt.Sprint(run+1))
		raw = append(raw, r)
		failed, refused = failed+r.Result.Failures(), refused+r.Refused
		// Of all launches those that were ready, and what Nomad can have running meanwhile.
		allowed := min(1, (ready+running*span.Seconds())/float64(r.Result.Requests))
		shares = append(shares, float64(r.Staged)/float64(r.Result.Requests)/allowed)
		for _, class := range r.Result.Classes {
			if class.Class == string(staging.Staged) {
				p50s, p99s = append(p50s, class.Latency.P50), append(p99s, class.Latency.P99)
			}
		}
	}
	p50, p99, share := verdict.Median(p50s...), verdict.Median(p99s...), verdict.Median(shares...)
	keep(verdict.Row{
		Number: 7, What: "45/s Poisson for 60 s, 450 ready, 2 s dwell, mock driver",
		Target: "0 failed, staged p50 at most 10 ms, p99 at most 60 ms, staged at least 0.9 of what registering allows",
		Figure: fmt.Sprintf("%d failed in all runs, %d of them refused; p50 %.1f ms, p99 %.1f ms", failed, refused, p50, p99), Ratio: share,
		Met: failed == 0 && p50 <= 10 && p99 <= 60 && share >= 0.9,
		Note: fmt.Sprintf("the ratio is the staged share by the share that a bare loop allows, which registered %.0f jobs a second and had %.0f a second running",
			registered, running), Raw: raw,
	})
}
