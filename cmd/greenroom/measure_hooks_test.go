package main

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/devcluster"
	"github.com/greenroom/greenroom/internal/staging"
	"github.com/greenroom/greenroom/internal/verdict"
)

// took launches a session of an image one at a time, each when the pool is whole and,
// with armed, a shell waits in as many sessions as are ready, and gives how long each
// answer took, in milliseconds.
func took(t *testing.T, d *devProcess, image string, ready, launches int, armed bool) (ms []float64) {
	t.Helper()
	for i := range launches {
		d.untilReady(t, image, ready)
		if armed {
			until(t, "shells wait", func() (bool, string) {
				saw := metric(t, d.Broker, "greenroom_armed_shells")
				return saw >= float64(ready), fmt.Sprint(saw)
			})
		}
		var l launched
		began := time.Now()
		d.ask(t, "POST", "/v1/sessions", launch(image, "east", fmt.Sprintf("%s-%d-%t", image, i, armed)), 201, &l)
		ms = append(ms, float64(time.Since(began).Microseconds())/1000)
		if l.Origin != string(staging.Staged) {
			t.Errorf("launch %d of %s: %+v", i, image, l.Attempts)
		}
		d.ask(t, "DELETE", "/v1/sessions/"+l.ID, nil, 204, nil)
	}
	slices.Sort(ms)
	return ms
}

// TestMeasureHooksInDocker: rows 3 and 4. The same hook in the same containers, by a
// broker that keeps shells ahead of time and by one that does not, and on demand.
func TestMeasureHooksInDocker(t *testing.T) {
	keep := measure(t)
	d, err := startDev("--desired", "1")
	must(t, err)
	t.Cleanup(func() { must(t, d.stop(syscall.SIGINT)) })
	const ready = 6
	d.stage(t, d.dockerImage(t, "hooked"), ready)
	c := &devcluster.Cluster{NomadAddr: d.Nomad, ConsulAddr: d.Consul, RedisAddr: strings.TrimPrefix(d.Redis, "redis://")}
	plain := &devProcess{readyFile: d.readyFile, out: d.out}
	plain.Broker = "http://" + startAgent(t, c, "broker", "--max-armed", "0").address

	armedRuns, plainRuns, slowRuns := 20*measuredRuns(t), 6*measuredRuns(t), measuredRuns(t)
	armed := took(t, d, "hooked", ready, armedRuns, true)
	opened := took(t, plain, "hooked", ready, plainRuns, false)
	var onDemand []float64
	slow := d.dockerImage(t, "slow")
	slow.Variables["warmup"] = "5s"
	d.store(t, slow)
	for i := range slowRuns {
		began := time.Now()
		d.ask(t, "POST", "/v1/sessions", launch("slow", "east", fmt.Sprint("slow-", i)), 201, nil)
		onDemand = append(onDemand, float64(time.Since(began).Microseconds())/1000)
	}
	p50, p99 := verdict.Median(armed...), armed[len(armed)*99/100]
	other, cold := verdict.Median(opened...), verdict.Median(onDemand...)
	raw := map[string][]float64{"armed_ms": armed, "opened_ms": opened, "on_demand_ms": onDemand}
	keep(verdict.Row{
		Number: 3, What: "claim with assign hook in a Docker container, armed, one at a time",
		Target: "p50 at most 6 ms and 1/20 of the plain exec's; p99 at most 30 ms",
		Figure: fmt.Sprintf("p50 %.1f ms, p99 %.1f ms; plain exec p50 %.1f ms", p50, p99, other), Ratio: p50 / other,
		Met:  p50 <= 6 && p99 <= 30 && p50 <= other/20,
		Note: "from the request to the answer, over HTTP; the ratio is armed by plain, of the same hook in the same pool", Raw: raw,
	})
	keep(verdict.Row{
		Number: 4, What: "staged launch with hook against on demand, 5 s warm-up", Target: "at least 1,000 times faster at p50",
		Figure: fmt.Sprintf("%.1f ms against %.0f ms", p50, cold), Ratio: cold / p50, Met: cold/p50 >= 1000,
		Note: "the ratio is on demand by staged", Raw: raw,
	})
}
