package devcluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Process is one server of a cluster. Its methods are safe for concurrent use. Tests
// use Kill, Pause, Resume and Restart to inject failures.
type Process struct {
	// Name identifies the server: "consul", "redis", "nomad-server", "nomad-client-dc1" ...
	Name string
	// LogPath is the file with the server's output, across restarts.
	LogPath string

	// addr is the URL of a Nomad client's own API.
	addr string
	path string
	args []string
	env  []string
	// nice is the process's nice value, as in nice(1).
	nice  int
	spawn *spawner
	// ready returns nil once the server is ready.
	ready func(context.Context) error

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{}
	err  error
}

// pollInterval is the time between two checks whether a starting server is ready.
const pollInterval = 50 * time.Millisecond

// start starts the server's process. It does not wait until the server is ready.
func (p *Process) start() error {
	log, err := os.OpenFile(p.LogPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(p.path, p.args...)
	cmd.Env = p.env
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = log, log
	// With its own process group, a Ctrl-C in the terminal does not reach the server, and
	// Stop ends the servers in order. If this process dies first, the kernel kills them.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := p.spawn.run(cmd.Start); err != nil {
		return err
	}
	if p.nice != 0 {
		// The process still has one thread, and later threads inherit the value. A failure
		// is ignored, because the cluster also works without it.
		_ = syscall.Setpriority(syscall.PRIO_PROCESS, cmd.Process.Pid, p.nice)
	}
	done := make(chan struct{})
	p.mu.Lock()
	p.cmd, p.done, p.err = cmd, done, nil
	p.mu.Unlock()
	go func() {
		err := cmd.Wait()
		p.mu.Lock()
		p.err = err
		p.mu.Unlock()
		close(done)
	}()
	return nil
}

// waitReady waits until the server is ready. It returns an error if the server exits or
// ctx ends first.
func (p *Process) waitReady(ctx context.Context) error {
	done := p.Done()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		attempt, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := p.ready(attempt)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-done:
			return fmt.Errorf("it exited: %w", p.exitError())
		case <-ctx.Done():
			return fmt.Errorf("it is not ready: %w (%w)", err, context.Cause(ctx))
		case <-tick.C:
		}
	}
}

func (p *Process) exitError() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		return errors.New("exit status 0")
	}
	return p.err
}

// Done returns a channel that is closed when the server's current process has exited.
func (p *Process) Done() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.done
}

// PID returns the id of the server's current or last process, 0 before the first.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

// running reports whether the server's process exists.
func (p *Process) running() bool {
	done := p.Done()
	if done == nil {
		return false
	}
	select {
	case <-done:
		return false
	default:
		return true
	}
}

// signal sends a signal to the process. It does nothing if the process has exited.
func (p *Process) signal(sig syscall.Signal) error {
	p.mu.Lock()
	cmd := p.cmd
	p.mu.Unlock()
	if cmd == nil {
		return fmt.Errorf("%s was never started", p.Name)
	}
	if err := cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("%s: signal %v: %w", p.Name, sig, err)
	}
	return nil
}

// Kill ends the server at once, as a crash would, and waits until it is gone. The tasks
// of a Nomad client keep running.
func (p *Process) Kill() error {
	if err := p.signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.Done()
	return nil
}

// Pause freezes the server: it keeps its connections and does not answer.
func (p *Process) Pause() error { return p.signal(syscall.SIGSTOP) }

// Resume continues a paused server.
func (p *Process) Resume() error { return p.signal(syscall.SIGCONT) }

// Restart stops the server if it runs, starts it again with the same ports and data,
// and returns once it is ready. Its error is a *StartError, or the cause of ctx if ctx
// ended.
func (p *Process) Restart(ctx context.Context) error {
	p.stop(stopGrace)
	if err := p.start(); err != nil {
		return p.startError(err)
	}
	limited, cancel := context.WithTimeoutCause(ctx, startTimeout, errStartTimeout)
	defer cancel()
	err := p.waitReady(limited)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("start of %s canceled: %w", p.Name, context.Cause(ctx))
	default:
		return p.startError(err)
	}
}

// stop terminates the server, even a paused one, and kills it after grace. It returns
// once the process is gone.
func (p *Process) stop(grace time.Duration) {
	if !p.running() {
		return
	}
	// The signals cannot reach another process, because this one is our child and was
	// not reaped yet. They fail only if it has just exited.
	_ = p.signal(syscall.SIGTERM)
	_ = p.signal(syscall.SIGCONT)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.Done():
		return
	case <-timer.C:
	}
	_ = p.signal(syscall.SIGKILL)
	<-p.Done()
}

// tailBytes limits how much of a log LogTail reads.
const tailBytes = 64 << 10

// LogTail returns the last n lines of the server's output, or an error text if the log
// cannot be read.
func (p *Process) LogTail(n int) string {
	f, err := os.Open(p.LogPath)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > tailBytes {
		if _, err := f.Seek(-tailBytes, io.SeekEnd); err != nil {
			return err.Error()
		}
	}
	b, err := io.ReadAll(io.LimitReader(f, tailBytes))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return strings.Join(lines, "\n")
}

// StartError is the error of a server that did not start.
type StartError struct {
	// Server is the process's name.
	Server string
	// LogTail holds the last lines of its output, or "".
	LogTail string
	// Err is the cause.
	Err error
}

// tailLines is how many lines of a log an error includes.
const tailLines = 20

func (p *Process) startError(err error) *StartError {
	return &StartError{Server: p.Name, LogTail: p.LogTail(tailLines), Err: err}
}

// Error implements error. The text ends with the last lines of the log.
func (e *StartError) Error() string {
	msg := fmt.Sprintf("%s did not start: %v", e.Server, e.Err)
	if e.LogTail != "" {
		msg += "\nThe end of its log:\n    " + strings.ReplaceAll(e.LogTail, "\n", "\n    ")
	}
	return msg
}

// Unwrap returns the cause.
func (e *StartError) Unwrap() error { return e.Err }
