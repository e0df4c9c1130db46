package main

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/greenroom/greenroom/internal/staging"
	"github.com/greenroom/greenroom/internal/verdict"
	"github.com/greenroom/greenroom/jobspecs"
)

// TestMeasureRefill: rows 9 and 10. A pool that fills from nothing, beside a bare loop
// that registers the same jobs, and what claims take meanwhile.
func TestMeasureRefill(t *testing.T) {
	keep := measure(t)
	const size = 400
	var ratios, fills, bares, spreads []float64
	var raw []any
	// Each in a cluster of its own, which ends with it.
	for run := range measuredRuns(t) {
		t.Run(fmt.Sprint("run ", run+1), func(t *testing.T) {
			c, d := startCluster(t, 0)
			bare := bareLoop(t, d, "mock", size, false).running
			startAgent(t, c, "scaler")
			// Claims are measured on sessions that are there already, of another pool.
			d.ask(t, "PUT", "/v1/images/calm", staging.Image{Name: "calm", Jobspec: jobspecs.DemoMock}, 201, nil)
			d.ask(t, "PUT", "/v1/staging/calm", staging.Config{Name: "calm", Zone: "east", Image: "calm", DesiredSessions: 100}, 201, nil)
			d.untilReady(t, "calm", 100)
			claims := func() float64 {
				var b benchReport
				benchRun(t, &b, "--address", d.Broker, "--image", "calm", "--zone", "east", "--clients", "1", "--requests", "40", "--keep")
				raw = append(raw, b)
				return b.Result.Latency.P99
			}
			idle := claims()
			began := time.Now()
			d.want(t, size)
			busy := claims()
			d.untilReady(t, "mock", size)
			fill := size / time.Since(began).Seconds()
			fills, bares, ratios, spreads = append(fills, fill), append(bares, bare), append(ratios, fill/bare), append(spreads, busy/idle)
		})
	}
	if len(ratios) == 0 {
		t.FailNow()
	}
	ratio, spread := verdict.Median(ratios...), verdict.Median(spreads...)
	keep(verdict.Row{
		Number: 9, What: "refill from 0 to 400, mock driver", Target: "at least 0.90 of a bare loop that registers the same jobs",
		Figure: fmt.Sprintf("%.0f ready a second, the bare loop had %.0f a second running", verdict.Median(fills...), verdict.Median(bares...)),
		Ratio:  ratio, Met: ratio >= 0.9, Note: "from the order to 400 ready, claims going on meanwhile; the bare loop from the first registration to 400 running", Raw: raw,
	})
	keep(verdict.Row{
		Number: 10, What: "claim p99 during that refill", Target: "at most 2 times the idle one",
		Figure: fmt.Sprintf("%.1f times", spread), Ratio: spread, Met: spread <= 2, Note: "40 claims each, one at a time", Raw: raw,
	})
}

// TestMeasureRefillInDocker: row 13, the same with containers, in a cluster of its own.
func TestMeasureRefillInDocker(t *testing.T) {
	keep := measure(t)
	const size = 40
	d, err := startDev("--desired", "0")
	must(t, err)
	t.Cleanup(func() { must(t, d.stop(syscall.SIGINT)) })
	image := d.dockerImage(t, "contained")
	d.store(t, image)
	var ratios, fills, bares []float64
	for range measuredRuns(t) {
		bare := bareLoop(t, d, image.Name, size, false).running
		d.untilNoContainers(t)
		began := time.Now()
		d.ask(t, "PUT", "/v1/staging/"+image.Name, staging.Config{Name: image.Name, Zone: "east", Image: image.Name, DesiredSessions: size}, 201, nil)
		d.untilReady(t, image.Name, size)
		fill := size / time.Since(began).Seconds()
		d.ask(t, "DELETE", "/v1/staging/"+image.Name, nil, 204, nil)
		d.untilNoContainers(t)
		fills, bares, ratios = append(fills, fill), append(bares, bare), append(ratios, fill/bare)
	}
	ratio := verdict.Median(ratios...)
	keep(verdict.Row{
		Number: 13, What: "refill from 0 to 40, docker", Target: "at least 0.90 of a bare loop that registers the same jobs",
		Figure: fmt.Sprintf("%.1f ready a second, the bare loop had %.1f a second running", verdict.Median(fills...), verdict.Median(bares...)),
		Ratio:  ratio, Met: ratio >= 0.9, Note: "until 40 are ready, their checks passing; the bare loop until 40 run",
		Raw: map[string][]float64{"ready_per_second": fills, "bare_per_second": bares},
	})
}

// untilNoContainers waits until Nomad runs nothing.
func (d *devProcess) untilNoContainers(t *testing.T) {
	t.Helper()
	until(t, "no allocation runs", func() (bool, string) {
		allocs, _, err := d.nomad(t).Allocations().List(&nomadapi.QueryOptions{Filter: `ClientStatus == "running" or ClientStatus == "pending"`})
		must(t, err)
		return len(allocs) == 0, fmt.Sprint(len(allocs))
	})
}

// TestMeasureABrokersGrowth: row 12, over 100,000 claims.
func TestMeasureABrokersGrowth(t *testing.T) {
	keep := measure(t)
	const claims, perRun = 100_000, 10_000
	c, d := startCluster(t, 0)
	look := func() (goroutines, files, heap float64) {
		return metric(t, d.Broker, "go_goroutines"), metric(t, d.Broker, "process_open_fds"), metric(t, d.Broker, "process_resident_memory_bytes")
	}
	run := func() {
		publish(t, c, perRun)
		var r benchReport
		benchRun(t, &r, launches(d, "--clients", "32", "--requests", fmt.Sprint(perRun/32))...)
	}
	// Once, so that pools of connections and buffers are as large as they get.
	run()
	goroutines, files, memory := look()
	for range claims / perRun {
		run()
	}
	var now, open, resident float64
	until(t, "the broker's connections of the runs are closed", func() (bool, string) {
		now, open, resident = look()
		return now <= goroutines+20, fmt.Sprintf("%.0f goroutines, were %.0f", now, goroutines)
	})
	ratio := resident / memory
	keep(verdict.Row{
		Number: 12, What: "broker after 100,000 claims against after 10,000", Target: "no growth of goroutines, connections or memory",
		Figure: fmt.Sprintf("goroutines %.0f to %.0f, files %.0f to %.0f, memory %.0f to %.0f MB", goroutines, now, files, open, memory/1e6, resident/1e6),
		Ratio:  ratio, Met: now <= goroutines+20 && open <= files+20 && ratio <= 1.25, Note: "the ratio is resident memory after by before",
	})
}
