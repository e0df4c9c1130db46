package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/devcluster"
	"github.com/greenroom/greenroom/internal/devcluster/agenttest"
)

// The tests of this package run the program as a user does: built, started as a
// process of its own, and driven over its API and command line. What they assert, they
// read from Nomad, Consul, Redis, Docker and the sessions themselves.

// bin is where TestMain builds greenroom and demo-session.
var bin string

// shared is the greenroom dev that most tests use.
var shared struct {
	once sync.Once
	dev  *devProcess
	err  error
}

func TestMain(m *testing.M) {
	if settings := os.Getenv(bareChainEnv); settings != "" {
		if err := serveBareChain(settings); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	code, err := runTests(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func runTests(m *testing.M) (code int, err error) {
	if bin, err = os.MkdirTemp("", "greenroom-test-bin-"); err != nil {
		return 1, err
	}
	defer os.RemoveAll(bin)
	for _, program := range []string{"greenroom", "demo-session"} {
		if _, err := agenttest.Build(program, bin); err != nil {
			return 1, err
		}
	}
	code = m.Run()
	if shared.dev != nil {
		err = shared.dev.stop(syscall.SIGINT)
	}
	return code, err
}

// devProcess is a greenroom dev under test.
type devProcess struct {
	cmd  *exec.Cmd
	out  *buffer
	done chan struct{}
	// agent is the broker of a test that started its servers by startServers.
	agent *agent
	readyFile
}

type readyFile struct{ Broker, Gateway, Consul, Nomad, Redis, Token string }

// buffer collects a process's output while others read it.
type buffer = agenttest.Output

// command returns a command of greenroom.
func command(args ...string) *exec.Cmd {
	return agenttest.Command(filepath.Join(bin, "greenroom"), args...)
}

// startDev starts a greenroom dev and returns once it is ready.
func startDev(args ...string) (*devProcess, error) {
	d, file, err := launchDev(args...)
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(filepath.Dir(file))
	deadline := time.After(10 * time.Minute)
	for {
		if b, err := os.ReadFile(file); err == nil {
			return d, json.Unmarshal(b, &d.readyFile)
		}
		select {
		case <-d.done:
			return nil, fmt.Errorf("greenroom dev ended before it was ready:\n%s", d.out)
		case <-deadline:
			return nil, errors.Join(fmt.Errorf("greenroom dev was not ready in 10 minutes:\n%s", d.out), d.stop(syscall.SIGINT))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// launchDev starts a greenroom dev and returns at once.
func launchDev(args ...string) (d *devProcess, readyFile string, err error) {
	dir, err := os.MkdirTemp("", "greenroom-test-ready-")
	if err != nil {
		return nil, "", err
	}
	readyFile = filepath.Join(dir, "ready.json")
	d = &devProcess{out: new(buffer), done: make(chan struct{})}
	d.cmd = command(append([]string{"dev", "--ready-file", readyFile}, args...)...)
	d.cmd.Stdout, d.cmd.Stderr = d.out, d.out
	if err := d.cmd.Start(); err != nil {
		return nil, "", err
	}
	go func() { _ = d.cmd.Wait(); close(d.done) }()
	return d, readyFile, nil
}

// stop sends the process a signal and waits for its end, which must come in time and
// with exit code 0.
func (d *devProcess) stop(sig syscall.Signal) error {
	began := time.Now()
	if err := d.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-d.done:
	case <-time.After(agenttest.EndPatience):
		_ = d.cmd.Process.Kill()
		return fmt.Errorf("greenroom dev did not end within %s of %s:\n%s", agenttest.EndPatience, sig, d.out)
	}
	measured("greenroom dev ended %.1f s after %s\n", time.Since(began).Seconds(), sig)
	if code := d.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("greenroom dev ended with exit code %d:\n%s", code, d.out)
	}
	return nil
}

// dir returns the directory of the servers' data, from the table that greenroom dev printed.
func (d *devProcess) dir(t *testing.T) string {
	t.Helper()
	for line := range strings.Lines(d.out.String()) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == "logs" {
			return f[1]
		}
	}
	t.Fatalf("the table names no log directory:\n%s", d.out)
	return ""
}

// sharedDev returns the greenroom dev that tests share, and starts it at the first call. It
// runs in Docker if a daemon answers; in CI one must.
func sharedDev(t *testing.T) *devProcess {
	t.Helper()
	shared.once.Do(func() {
		if os.Getenv("CI") == "true" {
			if shared.err = devcluster.DockerAvailable(context.Background()); shared.err != nil {
				return
			}
		}
		shared.dev, shared.err = startDev()
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			for _, agent := range []string{"broker", "scaler", "gateway"} {
				b, _ := os.ReadFile(filepath.Join(shared.dev.dir(t), "greenroom", agent+".log"))
				lines := strings.Split(string(b), "\n")
				t.Logf("the end of the log of the %s:\n%s", agent, strings.Join(lines[max(0, len(lines)-40):], "\n"))
			}
		}
	})
	return shared.dev
}
