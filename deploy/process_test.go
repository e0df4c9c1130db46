package deploy_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/devcluster"
)

// program returns the path of a running server's program, which devcluster found or built.
func program(t testing.TB, p *devcluster.Process) string {
	t.Helper()
	path, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", p.PID()))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// agent writes a configuration and runs an agent with it until the test ends.
func agent(t *testing.T, path, dir, flag, config string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	file := dir + ".hcl"
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(dir + ".log")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "agent", flag, file)
	cmd.Env, cmd.Stdout, cmd.Stderr = plainEnvironment(), log, log
	// If this process dies before its clean-up, the kernel kills the agent.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started, done := make(chan error), make(chan struct{})
	go func() {
		// The kernel sends that signal when the thread that started the agent ends. So
		// this thread stays locked and waits for the agent.
		runtime.LockOSThread()
		defer close(done)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// This fails only if the agent has ended already.
		_ = cmd.Process.Signal(syscall.SIGTERM)
		kill := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
		<-done
		kill.Stop()
		log.Close()
		unmountBelow(t, dir)
		if t.Failed() {
			b, _ := os.ReadFile(dir + ".log")
			t.Logf("the end of %s:\n%s", filepath.Base(dir)+".log", b[max(0, len(b)-6000):])
		}
	})
}

// unmountBelow unmounts the secrets directories that a Nomad agent mounts for its tasks.
// The agent does not unmount them when it ends.
func unmountBelow(t *testing.T, dir string) {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if at := strings.Fields(line)[1]; strings.HasPrefix(at, dir+"/") {
			if err := syscall.Unmount(at, 0); err != nil {
				t.Errorf("unmount %s: %v", at, err)
			}
		}
	}
}

// plainEnvironment returns our environment without variables that change the behaviour
// of the servers and their command lines: AWS_CA_BUNDLE, for example, keeps a Nomad
// client from starting.
func plainEnvironment() []string {
	var env []string
	for _, kv := range os.Environ() {
		switch prefix, _, _ := strings.Cut(kv, "_"); prefix {
		case "AWS", "NOMAD", "CONSUL", "VAULT", "GREENROOM":
		default:
			env = append(env, kv)
		}
	}
	return env
}

// freePorts returns ports on which nothing listens. Neither the kernel (for outgoing
// connections) nor devcluster uses ports from their range, so they are still free when
// the servers start.
func freePorts(t *testing.T, n int) []int {
	t.Helper()
	const first, last = 7000, 9999
	var ports []int
	start := rand.IntN(last - first)
	for i := range last - first {
		port := first + (start+i)%(last-first)
		l, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		l.Close()
		if ports = append(ports, port); len(ports) == n {
			return ports
		}
	}
	t.Fatalf("no %d ports are free between %d and %d", n, first, last)
	return nil
}
