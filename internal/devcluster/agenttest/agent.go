// Package agenttest runs greenroom's agents in tests as an operator runs them: built, each a
// process of its own, and asked over the API.
//
// An agent that it returns listens, and is gone when the test has ended. If the test fails, the
// end of the agent's log is printed.
package agenttest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/devcluster"
)

const (
	// EndPatience is how long a process may take to end after a signal: only one that hangs takes
	// as long.
	EndPatience = 5 * time.Minute
	// tailLines is how much of a log a failed test prints.
	tailLines = 40
)

// Command returns a command of a greenroom program. Its brokers take a user's launches as fast as
// they come, unless the test gives them a rate: tests launch for few users, and many times a second.
func Command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "GREENROOM_USER_RATE=0")
	return cmd
}

// On returns the flags that lead an agent to a cluster's servers.
func On(c *devcluster.Cluster) []string {
	return []string{"--nomad-address", c.NomadAddr, "--consul-address", c.ConsulAddr, "--redis-address", c.RedisAddr}
}

// Agent is a broker, a scaler or a gateway as a process of its own.
type Agent struct {
	Kind string
	// Address is the host:port on which the agent listens.
	Address string
	Log     LogFile

	cmd  *exec.Cmd
	done chan struct{}
}

// Start starts an agent of a kind ("broker", "scaler" or "gateway") on a free port and returns
// once it listens. If it still runs when the test ends, it is killed.
func Start(t testing.TB, program, kind string, flags ...string) *Agent {
	t.Helper()
	a := &Agent{Kind: kind, Log: LogFile(filepath.Join(t.TempDir(), kind+".log")), done: make(chan struct{})}
	a.cmd = Command(program, append([]string{kind, bindFlag(kind), "127.0.0.1:0"}, flags...)...)
	log, err := os.Create(string(a.Log))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	a.cmd.Stdout, a.cmd.Stderr = log, log
	if err := a.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = a.cmd.Wait(); close(a.done) }()
	t.Cleanup(func() {
		a.End(t, os.Kill)
		a.keepLog(t)
		if t.Failed() {
			lines := strings.Split(a.Log.String(), "\n")
			t.Logf("the end of the log of the %s at %s:\n%s", kind, a.Address, strings.Join(lines[max(0, len(lines)-tailLines):], "\n"))
		}
	})
	Until(t, "the "+kind+" listens", func() (bool, string) {
		select {
		case <-a.done:
			t.Fatalf("the %s has ended:\n%s", kind, a.Log)
		default:
		}
		// The log is text, or JSON.
		_, rest, _ := strings.Cut(strings.ReplaceAll(a.Log.String(), `"address":`, `address=`), "address=\"")
		a.Address, _, _ = strings.Cut(rest, "\"")
		return a.Address != "", a.Log.String()
	})
	return a
}

// bindFlag returns the flag for the address that an agent of a kind listens on.
func bindFlag(kind string) string {
	if kind == "gateway" {
		return "--gateway-bind"
	}
	return "--bind"
}

// keepLog writes the whole log to a directory of the caller's choice.
func (a *Agent) keepLog(t testing.TB) {
	dir := os.Getenv("GREENROOM_TEST_LOGS")
	if dir == "" {
		return
	}
	name := fmt.Sprintf("%s-%s-%d.log", a.Kind, a.Name(), a.cmd.Process.Pid)
	if err := os.WriteFile(filepath.Join(dir, name), []byte(a.Log.String()), 0o644); err != nil {
		t.Error(err)
	}
}

// Signal sends the agent a signal.
func (a *Agent) Signal(t testing.TB, sig os.Signal) {
	t.Helper()
	if err := a.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

// End sends the agent a signal, if it still runs, and waits for its end.
func (a *Agent) End(t testing.TB, sig os.Signal) {
	t.Helper()
	select {
	case <-a.done:
		return
	default:
	}
	if err := a.cmd.Process.Signal(sig); err != nil {
		t.Error(err)
	}
	select {
	case <-a.done:
	case <-time.After(EndPatience):
		t.Errorf("the %s at %s did not end within %s of %s", a.Kind, a.Address, EndPatience, sig)
	}
}

// Done is closed once the agent has ended.
func (a *Agent) Done() <-chan struct{} { return a.done }

// ExitCode returns the code with which the agent ended, or -1.
func (a *Agent) ExitCode() int { return a.cmd.ProcessState.ExitCode() }

// PID returns the agent's process id.
func (a *Agent) PID() int { return a.cmd.Process.Pid }

// Name returns the agent's name in Consul's locks.
func (a *Agent) Name() string { return strings.ReplaceAll(a.Address, ":", "-") }

// API returns the API of a broker that speaks plain HTTP.
func (a *Agent) API() API { return API{URL: "http://" + a.Address} }

// LogFile is the path of the file that an agent logs to. The test reads it when it wants to know: a
// pipe would have it read each line at once, and take that time from the agent that it measures.
type LogFile string

// String returns all that was logged.
func (l LogFile) String() string {
	b, err := os.ReadFile(string(l))
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// Output collects a process's output while others read it.
type Output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

// String returns all that was written.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// Until waits for a condition, and reports what look saw last if it does not come true. It gives
// up once look has seen the same for two minutes, or after six minutes: a slow machine takes its time, and
// gets on.
func Until(t testing.TB, what string, look func() (ok bool, saw string)) {
	t.Helper()
	UntilEvery(t, 50*time.Millisecond, what, look)
}

// UntilEvery is Until with another pause between looks, where looking loads the servers.
func UntilEvery(t testing.TB, pause time.Duration, what string, look func() (ok bool, saw string)) {
	t.Helper()
	const still, longest = 2 * time.Minute, 6 * time.Minute
	began := time.Now()
	changed, before := began, ""
	for {
		ok, saw := look()
		if ok {
			return
		}
		now := time.Now()
		if saw != before {
			changed, before = now, saw
		}
		if now.Sub(changed) > still || now.Sub(began) > longest {
			t.Fatalf("%s: not within %s; last seen: %s", what, now.Sub(began).Round(time.Second), saw)
		}
		time.Sleep(pause)
	}
}
