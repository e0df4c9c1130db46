package devtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	// endWithin is how long a process may take to end when its test does.
	endWithin = 10 * time.Second
	// tailBytes is how much of a process's log a failed test prints.
	tailBytes = 6000
)

// Process is a server that one test started beside a cluster's.
type Process struct {
	Name string

	cmd  *exec.Cmd
	done chan struct{}
}

// StartProcess runs a program in a directory until the test ends. It does not wait until the
// server answers. Its environment has no variables that change the behaviour of the
// servers of Nomad and Consul.
func StartProcess(t testing.TB, name, dir, program string, args ...string) *Process {
	t.Helper()
	log, err := os.Create(filepath.Join(dir, name+".log"))
	if err != nil {
		t.Fatal(err)
	}
	p := &Process{Name: name, done: make(chan struct{})}
	p.cmd = exec.Command(program, args...)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr, p.cmd.Env = dir, log, log, PlainEnvironment()
	// If this process dies before its clean-up, the kernel kills the server.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		// The kernel sends that signal when the thread that started the server ends. So
		// this thread stays locked and waits for the server.
		runtime.LockOSThread()
		defer close(p.done)
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	t.Cleanup(func() {
		// These fail only if the server has ended already.
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		_ = p.cmd.Process.Signal(syscall.SIGCONT)
		kill := time.AfterFunc(endWithin, func() { _ = p.cmd.Process.Kill() })
		<-p.done
		kill.Stop()
		log.Close()
		if t.Failed() {
			b, _ := os.ReadFile(log.Name())
			t.Logf("the end of the log of %s:\n%s", name, b[max(0, len(b)-tailBytes):])
		}
	})
	return p
}

// PlainEnvironment is our environment without variables of the servers' own programs.
// AWS_CA_BUNDLE, for example, keeps a Nomad client from starting.
func PlainEnvironment() []string {
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

// Kill ends the process at once, as the loss of its machine does.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it fails if the process has ended
	<-p.done
}

// Runs reports whether the process has not ended.
func (p *Process) Runs() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Pause stops the process without an end: it answers nothing, and its connections stay.
func (p *Process) Pause(t testing.TB) { p.signal(t, syscall.SIGSTOP) }

// Resume continues a paused process.
func (p *Process) Resume(t testing.TB) { p.signal(t, syscall.SIGCONT) }

func (p *Process) signal(t testing.TB, sig syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		t.Fatalf("%s: %v", p.Name, err)
	}
}
