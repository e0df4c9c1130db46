package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/benchreport"
	"github.com/greenroom/greenroom/internal/devcluster"
	"github.com/greenroom/greenroom/internal/nomadfleet"
	"github.com/greenroom/greenroom/internal/staging"
)

// assigned holds how long launches took, and how much of that the claim in Redis, the fate
// in Consul and the hook took, in milliseconds.
type assigned struct{ whole, total, claim, fence, hook []float64 }

// took launches sessions of an image one at a time. It waits before each until the pool is
// full, the machine is at rest and, with armed, every ready session has an armed shell.
func took(t *testing.T, d *devProcess, image string, ready, launches int, armed bool) (a assigned) {
	t.Helper()
	c := newWire(t, d.Broker)
	for i := range launches {
		d.untilReady(t, image, ready)
		if armed {
			until(t, "shells wait", func() (bool, string) {
				saw := metric(t, d.Broker, "greenroom_armed_shells")
				return saw >= float64(ready), fmt.Sprint(saw)
			})
		}
		untilAtRest(t)
		l, ms := c.launch(t, launch(image, "east", fmt.Sprintf("%s-%d-%t", image, i, armed)))
		a.whole = append(a.whole, ms)
		a.total = append(a.total, l.TimingsMS["total"])
		a.claim, a.fence, a.hook = append(a.claim, l.TimingsMS["claim"]), append(a.fence, l.TimingsMS["fence"]), append(a.hook, l.TimingsMS["hook"])
		if l.Origin != string(staging.Staged) {
			t.Errorf("launch %d of %s: %+v", i, image, l.Attempts)
		}
		d.ask(t, "DELETE", "/v1/sessions/"+l.ID, nil, 204, nil)
	}
	slices.Sort(a.whole)
	return a
}

// wire is a minimal client on one connection. It leaves out what would distort the figures:
// the check of every answer against the contract, and the goroutines of Go's own client,
// which take time to wake.
type wire struct {
	conn   net.Conn
	answer *bufio.Reader
	host   string
}

func newWire(t *testing.T, address string) *wire {
	t.Helper()
	host := strings.TrimPrefix(address, "http://")
	conn, err := net.Dial("tcp", host)
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	return &wire{conn, bufio.NewReader(conn), host}
}

// launch launches a session, and returns the time from the first byte sent to the last byte
// read.
func (c *wire) launch(t *testing.T, request any) (l launched, ms float64) {
	t.Helper()
	body, err := json.Marshal(request)
	must(t, err)
	text := fmt.Appendf(nil, "POST /v1/sessions HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", c.host, len(body), body)
	must(t, c.conn.SetDeadline(time.Now().Add(time.Minute)))
	began := time.Now()
	_, err = c.conn.Write(text)
	must(t, err)
	res, err := http.ReadResponse(c.answer, nil)
	must(t, err)
	defer res.Body.Close()
	body, err = io.ReadAll(res.Body)
	must(t, err)
	ms = milliseconds(began)
	if res.StatusCode != http.StatusCreated {
		t.Fatalf("a launch: status %d\n%s", res.StatusCode, body)
	}
	must(t, json.Unmarshal(body, &l))
	return l, ms
}

func milliseconds(began time.Time) float64 { return float64(time.Since(began).Microseconds()) / 1000 }

// halts returns a note if this is a virtual machine whose kernel halts idle processors at
// once. Waking one costs some 0.35 ms, and a launch on idle servers needs some fifteen
// wake-ups.
func halts() string {
	const file, kernelDefault = "/sys/module/haltpoll/parameters/guest_halt_poll_ns", "200000"
	text, err := os.ReadFile(file)
	if err != nil || strings.TrimSpace(string(text)) != "0" {
		return ""
	}
	return ". This kernel halts idle processors at once (haltpoll's guest_halt_poll_ns is 0, its default " + kernelDefault + "), and to wake one costs a good part of a millisecond"
}

// untilAtRest waits until the machine's processors have mostly been idle for a moment,
// because starting a container keeps a small machine busy. It gives up soon: other work on
// the machine then shows in the figures.
func untilAtRest(t *testing.T) {
	t.Helper()
	const look, patience = 200 * time.Millisecond, 2 * time.Second
	busy := func() (idle, all float64) {
		text, err := os.ReadFile("/proc/stat")
		must(t, err)
		line, _, _ := strings.Cut(string(text), "\n")
		for i, field := range strings.Fields(line)[1:] {
			ticks, err := strconv.ParseFloat(field, 64)
			must(t, err)
			if all += ticks; i == 3 {
				idle = ticks
			}
		}
		return idle, all
	}
	for began := time.Now(); time.Since(began) < patience; {
		idle, all := busy()
		time.Sleep(look)
		idleNow, allNow := busy()
		if (idleNow-idle)/(allNow-all) > 0.9 {
			return
		}
	}
}

// plainExec runs a command in sessions of an image by Nomad's own exec, and waits for its
// exit code.
func plainExec(t *testing.T, d *devProcess, image string, cmd []string, times int) (ms []float64) {
	t.Helper()
	fleet, err := nomadfleet.Open(nomadfleet.Settings{Address: d.Nomad}, nomadfleet.Options{})
	must(t, err)
	ids := d.ids(t, image, "ready")
	for i := range times {
		s, err := fleet.Find(t.Context(), staging.Session{ID: ids[i%len(ids)]})
		must(t, err)
		untilAtRest(t)
		began := time.Now()
		_, err = fleet.Exec(t.Context(), s, "", cmd, strings.NewReader(""), io.Discard, io.Discard)
		must(t, err)
		ms = append(ms, milliseconds(began))
	}
	return ms
}

// TestMeasureHooksInDocker measures rows 3 and 4: the same hook in the same containers, by a
// broker with armed shells, by one without, and on demand. The hook only writes a file: the
// time of a hook's own work is not greenroom's.
func TestMeasureHooksInDocker(t *testing.T) {
	keep := measure(t)
	d, err := startDev("--desired", "1")
	must(t, err)
	t.Cleanup(func() { must(t, d.stop(syscall.SIGINT)) })
	const ready = 6
	image := d.dockerImage(t, "hooked")
	image.ExecConfig.Assign.Cmd = []string{"/bin/sh", "-c", `echo "$GREENROOM_USER_NAME" >"$NOMAD_TASK_DIR/user"`}
	d.stage(t, image, ready)
	c := &devcluster.Cluster{NomadAddr: d.Nomad, ConsulAddr: d.Consul, RedisAddr: strings.TrimPrefix(d.Redis, "redis://")}
	plain := &devProcess{readyFile: d.readyFile, out: d.out}
	plain.Broker = "http://" + startAgent(t, c, "broker", "--max-armed", "0").address

	armedRuns, plainRuns, slowRuns := 12*measuredRuns(t), 4*measuredRuns(t), measuredRuns(t)
	armed := took(t, d, "hooked", ready, armedRuns, true)
	opened := took(t, plain, "hooked", ready, plainRuns, false)
	execs := plainExec(t, d, "hooked", image.ExecConfig.Assign.Cmd, plainRuns)
	var onDemand []float64
	slow := d.dockerImage(t, "slow")
	slow.Variables["warmup"] = "5s"
	d.store(t, slow)
	for i := range slowRuns {
		_, ms := newWire(t, d.Broker).launch(t, launch("slow", "east", fmt.Sprint("slow-", i)))
		onDemand = append(onDemand, ms)
	}
	p50, p99 := benchreport.Median(armed.whole...), armed.whole[len(armed.whole)*99/100]
	unarmed, exec, cold := benchreport.Median(opened.whole...), benchreport.Median(execs...), benchreport.Median(onDemand...)
	raw := map[string]any{"armed_ms": armed.whole, "armed_claim_ms": armed.claim, "armed_server_ms": armed.total, "armed_fence_ms": armed.fence, "armed_hook_ms": armed.hook, "opened_ms": opened.whole, "plain_exec_ms": execs, "on_demand_ms": onDemand}
	keep(benchreport.Row{
		Number: 3, What: "claim with assign hook in a Docker container, armed, one at a time",
		Target: "p50 at most 6 ms and 1/20 of the plain exec's; p99 at most 30 ms",
		Figure: fmt.Sprintf("p50 %.1f ms, p99 %.1f ms; plain exec p50 %.1f ms", p50, p99, exec), Ratio: p50 / exec,
		Met: p50 <= 6 && p99 <= 30 && p50 <= exec/20,
		Note: fmt.Sprintf("from the request to the answer, over HTTP: %.1f ms of it Consul's two writes, %.1f the hook; plain exec: Nomad's, until the exit code. "+
			"Launches by a broker without armed shells: p50 %.1f ms%s", benchreport.Median(armed.fence...), benchreport.Median(armed.hook...), unarmed, halts()),
		Raw: raw,
	})
	keep(benchreport.Row{
		Number: 4, What: "staged launch with hook against on demand, 5 s warm-up", Target: "at least 1,000 times faster at p50",
		Figure: fmt.Sprintf("%.1f ms against %.0f ms", p50, cold), Ratio: cold / p50, Met: cold/p50 >= 1000,
		Note: "the ratio is on demand by staged", Raw: raw,
	})
}
