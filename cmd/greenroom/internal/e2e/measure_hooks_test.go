package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/benchreport"
	"github.com/greenroom/greenroom/internal/benchreport/benchtest"
	"github.com/greenroom/greenroom/internal/devcluster"
	"github.com/greenroom/greenroom/internal/nomadfleet"
	"github.com/greenroom/greenroom/internal/staging"
)

// assigned holds how long launches took, and how much of that the claim in Redis, the fate
// in Consul and the hook took, in milliseconds; and how long bare chains took beside them.
type assigned struct {
	whole, total, claim, fence, hook           []float64
	chain, chainRedis, chainConsul, chainShell []float64
}

// took launches sessions of an image one at a time. It waits before each until the pool is
// full, the machine is at rest and, with armed, every ready session has an armed shell. chain is
// the address of a bare chain, "" for none: one of its requests goes before or after each launch,
// in turns, at rest as well: not before what the launch took is replaced.
func took(t *testing.T, d *devProcess, image string, ready, launches int, armed bool, chain string) (a assigned) {
	t.Helper()
	full := func() {
		d.untilReady(t, image, ready)
		if armed {
			until(t, "shells wait", func() (bool, string) {
				saw := metric(t, d.Broker, "greenroom_armed_shells")
				return saw >= float64(ready), fmt.Sprint(saw)
			})
		}
	}
	for i := range launches {
		full()
		body := launch(image, "east", fmt.Sprintf("%s-%d-%t", image, i, armed))
		compare := func() {
			if chain != "" {
				answer, ms := newWire(t, chain, "/").post(t, "/chain", body)
				var parts chainTimes
				must(t, json.Unmarshal(answer, &parts))
				a.chain = append(a.chain, ms)
				a.chainRedis, a.chainConsul, a.chainShell = append(a.chainRedis, parts.Redis), append(a.chainConsul, parts.Consul), append(a.chainShell, parts.Shell)
			}
		}
		if i%2 == 0 {
			compare()
		}
		l, ms := newWire(t, d.Broker, "/v1/health/ready").launch(t, body)
		a.whole = append(a.whole, ms)
		a.total = append(a.total, l.TimingsMS["total"])
		a.claim, a.fence, a.hook = append(a.claim, l.TimingsMS["claim"]), append(a.fence, l.TimingsMS["fence"]), append(a.hook, l.TimingsMS["hook"])
		if l.Origin != string(staging.Staged) {
			t.Errorf("launch %d of %s: %+v", i, image, l.Attempts)
		}
		d.ask(t, "DELETE", "/v1/sessions/"+l.ID, nil, 204, nil)
		if i%2 == 1 {
			full()
			compare()
		}
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

// newWire opens a connection for one measured request, warms it with a GET of a path, whatever
// the answer to that is, and waits until the machine is at rest. One that stays idle for longer,
// as until a pool is full, may be closed by its server.
func newWire(t *testing.T, address, warm string) *wire {
	t.Helper()
	host := strings.TrimPrefix(address, "http://")
	conn, err := net.Dial("tcp", host)
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	c := &wire{conn, bufio.NewReader(conn), host}
	must(t, conn.SetDeadline(time.Now().Add(wirePatience)))
	c.exchange(t, fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", warm, host))
	untilAtRest(t)
	return c
}

// wirePatience bounds a request: no slow machine reaches it.
const wirePatience = 2 * time.Minute

// exchange sends a request and reads its answer.
func (c *wire) exchange(t *testing.T, request []byte) (status int, body []byte) {
	t.Helper()
	_, err := c.conn.Write(request)
	must(t, err)
	res, err := http.ReadResponse(c.answer, nil)
	must(t, err)
	defer res.Body.Close()
	body, err = io.ReadAll(res.Body)
	must(t, err)
	return res.StatusCode, body
}

// post sends a request that must answer 201, and returns the answer and the time from the first
// byte sent to the last byte read.
func (c *wire) post(t *testing.T, path string, request any) (answer []byte, ms float64) {
	t.Helper()
	body, err := json.Marshal(request)
	must(t, err)
	text := fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", path, c.host, len(body), body)
	must(t, c.conn.SetDeadline(time.Now().Add(wirePatience)))
	began := time.Now()
	status, answer := c.exchange(t, text)
	ms = milliseconds(began)
	c.conn.Close()
	if status != http.StatusCreated {
		t.Fatalf("POST %s: status %d\n%s", path, status, answer)
	}
	return answer, ms
}

// launch launches a session.
func (c *wire) launch(t *testing.T, request any) (l launched, ms float64) {
	t.Helper()
	answer, ms := c.post(t, "/v1/sessions", request)
	must(t, json.Unmarshal(answer, &l))
	return l, ms
}

func milliseconds(began time.Time) float64 { return float64(time.Since(began).Microseconds()) / 1000 }

// untilAtRest waits until the machine's processors have mostly been idle for a moment,
// because starting a container keeps a small machine busy. It gives up soon: other work on
// the machine then shows in the figures, and in what the row says of the machine.
func untilAtRest(t *testing.T) {
	t.Helper()
	const look, patience = 200 * time.Millisecond, 2 * time.Second
	for began := time.Now(); time.Since(began) < patience; {
		w := benchreport.StartWatch()
		time.Sleep(look)
		if w.Machine().Idle > 0.9 {
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
	const write = `echo "$GREENROOM_USER_NAME" >"$NOMAD_TASK_DIR/user"`
	image.ExecConfig.Assign.Cmd = []string{"/bin/sh", "-c", write}
	d.stage(t, image, ready)
	d.untilReady(t, "hooked", ready)
	host, _ := newWire(t, d.Broker, "/v1/health/ready").launch(t, launch("hooked", "east", "bare-chain"))
	chain := startBareChain(t, d, host, "/bin/sh -c '"+write+"'")
	c := &devcluster.Cluster{NomadAddr: d.Nomad, ConsulAddr: d.Consul, RedisAddr: strings.TrimPrefix(d.Redis, "redis://")}
	plain := &devProcess{readyFile: d.readyFile, out: d.out}
	plain.Broker = "http://" + startAgent(t, c, "broker", "--max-armed", "0").Address

	armed := took(t, d, "hooked", ready, benchtest.Size(12*measuredRuns(t), 16), true, chain)
	opened := took(t, plain, "hooked", ready, benchtest.Size(4*measuredRuns(t), 4), false, "")
	execs := plainExec(t, d, "hooked", image.ExecConfig.Assign.Cmd, benchtest.Size(4*measuredRuns(t), 4))
	slow := d.dockerImage(t, "slow")
	slow.Variables["warmup"] = "5s"
	d.store(t, slow)
	var onDemand, starts []float64
	for i := range measuredRuns(t) {
		starts = append(starts, 1000/bareLoop(t, d, "slow", 1, false).up)
		_, ms := newWire(t, d.Broker, "/v1/health/ready").launch(t, launch("slow", "east", fmt.Sprint("slow-", i)))
		onDemand = append(onDemand, ms)
	}
	p50, p99, bare := benchreport.Median(armed.whole...), armed.whole[len(armed.whole)*99/100], benchreport.Median(armed.chain...)
	unarmed, exec, cold, start := benchreport.Median(opened.whole...), benchreport.Median(execs...), benchreport.Median(onDemand...), benchreport.Median(starts...)
	raw := map[string]any{
		"armed_ms": armed.whole, "armed_claim_ms": armed.claim, "armed_server_ms": armed.total, "armed_fence_ms": armed.fence, "armed_hook_ms": armed.hook,
		"bare_chain_ms": armed.chain, "bare_redis_ms": armed.chainRedis, "bare_consul_ms": armed.chainConsul, "bare_shell_ms": armed.chainShell, "opened_ms": opened.whole, "plain_exec_ms": execs, "on_demand_ms": onDemand, "bare_start_ms": starts,
	}
	keep(benchreport.Row{
		Number: 3, What: "armed launch in a Docker container, one at a time, at rest",
		Target: "p50 at most 1.15 times the bare chain's",
		Figure: fmt.Sprintf("p50 %.1f ms, p99 %.1f ms", p50, p99),
		Limit:  fmt.Sprintf("bare chain: p50 %.1f ms", bare), Ratio: p50 / bare, Met: p50 <= 1.15*bare,
		Note: fmt.Sprintf("from the request's first byte to the answer's last: %.1f ms of it the claim in Redis, %.1f Consul's two writes, %.1f the hook. "+
			"The bare chain is one HTTP request to a handler, a process of its own, that runs one script in Redis, creates a key in Consul, has a waiting shell in such a container run the hook's command, and writes the key again; "+
			"of it %.1f, %.1f and %.1f; one chain beside each launch. Launches by a broker without armed shells: p50 %.1f ms; Nomad's plain exec, until the exit code: %.1f ms",
			benchreport.Median(armed.claim...), benchreport.Median(armed.fence...), benchreport.Median(armed.hook...),
			benchreport.Median(armed.chainRedis...), benchreport.Median(armed.chainConsul...), benchreport.Median(armed.chainShell...), unarmed, exec),
		Raw: raw,
	})
	keep(benchreport.Row{
		Number: 4, What: "staged launch with hook against on demand, 5 s warm-up",
		Target: "at least 0.75 of what the bare start is to the bare chain",
		Figure: fmt.Sprintf("%.1f ms against %.0f ms: %.0f times faster", p50, cold, cold/p50),
		Limit:  fmt.Sprintf("bare start %.0f ms, bare chain %.1f ms: %.0f times", start, bare, start/bare),
		Ratio:  cold / p50 / (start / bare), Met: cold/p50 >= 0.75*start/bare,
		Note: "the bare start is a job of the same image, from its registration until it is up and passing in Consul, with its warm-up", Raw: raw,
	})
}
