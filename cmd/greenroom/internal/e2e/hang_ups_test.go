package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// cut sends a request on a connection of its own and closes the connection: once the answer
// has begun, or without reading of it.
func cut(t *testing.T, d *devProcess, request string, begun bool) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(d.Broker, "http://"))
	must(t, err)
	_, err = io.WriteString(conn, request)
	must(t, err)
	if begun {
		_, err := http.ReadResponse(bufio.NewReader(conn), nil)
		must(t, err)
	}
	must(t, conn.(*net.TCPConn).SetLinger(0))
	must(t, conn.Close())
}

// blames has the lines of an agent's log that take a cancelled call for an outage.
func blames(a *agent) (lines []string) {
	for line := range strings.Lines(a.Log.String()) {
		for _, word := range []string{"unavailable", "context canceled", "does not answer", "level=error"} {
			if strings.Contains(line, word) {
				lines = append(lines, line)
				break
			}
		}
	}
	return lines
}

// interrupted runs a command of the command line, interrupts it once it has printed something,
// and returns its exit code and what it printed.
func interrupted(t *testing.T, d *devProcess, args []string) (code int, out string) {
	t.Helper()
	var printed buffer
	cmd := command(args...)
	cmd.Env = append(cmd.Environ(), "GREENROOM_ADDR="+d.Broker, "NOMAD_ADDR="+d.Nomad)
	cmd.Stdout, cmd.Stderr = &printed, &printed
	must(t, cmd.Start())
	until(t, "greenroom "+strings.Join(args, " ")+" prints something", func() (bool, string) { return printed.String() != "", "nothing" })
	must(t, cmd.Process.Signal(syscall.SIGINT))
	_ = cmd.Wait()
	return cmd.ProcessState.ExitCode(), printed.String()
}

// TestAConnectionThatIsCutIsNoOutage: clients close their connections in the middle of lists,
// waits, launches and streams, and agents are stopped. No line of a log and no metric takes that
// for an outage of a server, and no breaker opens. Ctrl-C of a command is none, either.
func TestAConnectionThatIsCutIsNoOutage(t *testing.T) {
	c, d := startCluster(t, 2)
	s := startAgent(t, c, "scaler")
	d.untilReady(t, "mock", 2)
	writes := quickImage("writes")
	writes.Jobspec = strings.ReplaceAll(writes.Jobspec, "disabled      = true", "disabled      = false")
	d.ask(t, "PUT", "/v1/images/writes", writes, 201, nil)
	var logs launched
	d.ask(t, "POST", "/v1/sessions", launch("writes", "east", "log"), 201, &logs)
	id := logs.ID

	const host = " HTTP/1.1\r\nHost: localhost\r\n"
	lists := []string{"/v1/sessions", "/v1/sessions?state=ended", "/v1/sessions?user=u-log", "/v1/staging", "/v1/status", "/v1/images", "/v1/sessions/" + id, "/v1/health/ready"}
	var cutting sync.WaitGroup
	for range 4 {
		cutting.Go(func() {
			for i := range 60 {
				cut(t, d, "GET "+lists[i%len(lists)]+host+"\r\n", false)
			}
		})
	}
	cutting.Wait()
	index := d.ask(t, "GET", "/v1/sessions/"+id, nil, 200, nil).header.Get("X-Greenroom-Index")
	cut(t, d, "GET /v1/sessions/"+id+"?wait=5m&index="+index+host+"\r\n", false)
	for range 5 {
		cut(t, d, "GET /v1/events"+host+"\r\n", true)
	}
	// A launch goes on to its end: the user finds the session with the next one.
	post := func(user, image string) string {
		body := fmt.Sprintf(`{"image":%q,"zone":"east","user":{"id":%q,"name":"n"}}`, image, user)
		return fmt.Sprintf("POST /v1/sessions%sContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", host, len(body), body)
	}
	cut(t, d, post("u-staged", "mock"), false)
	cut(t, d, post("u-demand", "writes"), false)
	for _, user := range []string{"u-staged", "u-demand"} {
		until(t, "the launch of "+user+" is over", func() (bool, string) {
			var list struct{ Items []launched }
			d.ask(t, "GET", "/v1/sessions?state=assigned&user="+user, nil, 200, &list)
			return len(list.Items) == 1, fmt.Sprint(list.Items)
		})
	}

	// Ctrl-C of commands that follow, of which logs asks Nomad itself.
	for _, args := range [][]string{{"events", "-f"}, {"watch"}, {"logs", id, "--stderr", "-f"}} {
		code, out := interrupted(t, d, args)
		if code != 0 || strings.Contains(out, "unavailable") || strings.Contains(out, "canceled") || strings.Contains(out, "running?") {
			t.Errorf("greenroom %s, interrupted, ended with %d:\n%s", strings.Join(args, " "), code, out)
		}
	}

	until(t, "the broker has noticed that clients hung up", func() (bool, string) {
		return strings.Contains(d.agent.Log.String(), "status=499"), d.agent.Log.String()
	})
	r, err := d.call("GET", "/metrics", "")
	must(t, err)
	for line := range strings.Lines(string(r.body)) {
		failed := strings.HasPrefix(line, "greenroom_http_requests_total") && strings.Contains(line, `code="5`)
		if failed || strings.HasPrefix(line, "greenroom_dependency_up") && !strings.HasSuffix(line, " 1\n") {
			t.Errorf("a metric counts an outage: %s", line)
		}
	}
	s.End(t, syscall.SIGTERM)
	d.agent.End(t, syscall.SIGTERM)
	for kind, a := range map[string]*agent{"broker": d.agent, "scaler": s} {
		for _, line := range blames(a) {
			t.Errorf("the %s logs an outage: %s", kind, line)
		}
	}
	t.Logf("of %d lines of the broker's log, %d have status 499", strings.Count(d.agent.Log.String(), "\n"), strings.Count(d.agent.Log.String(), "status=499"))
}
