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

// Process is one server of a cluster. Its methods may be called from any
// goroutine; Kill, Pause, Resume and Restart are there to hurt it in tests.
type Process struct {
	// Name says which server it is: "consul", "redis", "nomad-server", "nomad-client-dc1" ...
	Name string
	// LogPath is the file that holds its output, over all its restarts.
	LogPath string

	// addr is the URL of a Nomad client's own API.
	addr string
	path string
	args []string
	env  []string
	// nice is by how much it lets others go first, as nice(1) counts.
	nice  int
	spawn *spawner
	// ready returns nil once the server does its work.
	ready func(context.Context) error

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{}
	err  error
}

// pollInterval is how often a starting server is asked whether it is ready.
const pollInterval = 50 * time.Millisecond

// start runs the server's command and returns once it is under way.
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
	// A group of its own: a Ctrl-C in the terminal reaches only us, and we stop
	// the servers in their order. Should we die without stopping them, the
	// kernel kills them.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := p.spawn.run(cmd.Start); err != nil {
		return err
	}
	if p.nice != 0 {
		// It has one thread yet, from which the others have it. Without it all works, too.
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

// waitReady returns nil once the server is ready, and an error when it exits
// first or ctx ends.
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

// Done is closed when the server's present process has exited.
func (p *Process) Done() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.done
}

// PID is that of the server's present or last process.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

// running reports whether the server's process is there.
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

// signal sends a signal; to a process that has exited it does nothing.
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

// Kill ends the server at once, as a crash would, and waits until it is gone.
// What a Nomad client runs goes on without it.
func (p *Process) Kill() error {
	if err := p.signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.Done()
	return nil
}

// Pause freezes the server: it holds its connections and answers nothing.
func (p *Process) Pause() error { return p.signal(syscall.SIGSTOP) }

// Resume lets a paused server go on.
func (p *Process) Resume() error { return p.signal(syscall.SIGCONT) }

// Restart starts the server again on the same ports and data, ending it first
// when it still runs, and returns once it is ready. Its error is a *StartError,
// or the reason for which the caller's ctx ended.
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
		return fmt.Errorf("starting %s was cut short: %w", p.Name, context.Cause(ctx))
	default:
		return p.startError(err)
	}
}

// stop asks the server to end, paused or not, and kills it after grace. It
// returns once the process is gone.
func (p *Process) stop(grace time.Duration) {
	if !p.running() {
		return
	}
	// The process is our child and not yet waited for, so the signals cannot
	// reach another, and the only failure is that it has just exited.
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

// tailBytes bounds how much of a log is read for its tail.
const tailBytes = 64 << 10

// LogTail returns the last n lines of the server's output, or says why it
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

// StartError says which server could not be started, and why as far as its own
// log tells.
type StartError struct {
	// Server is the process's name.
	Server string
	// LogTail holds the last lines of its output; "" when it has none.
	LogTail string
	Err     error
}

// tailLines is how much of a log goes into an error.
const tailLines = 20

func (p *Process) startError(err error) *StartError {
	return &StartError{Server: p.Name, LogTail: p.LogTail(tailLines), Err: err}
}

// Error implements error; it ends with the log's tail, over several lines.
func (e *StartError) Error() string {
	msg := fmt.Sprintf("%s did not start: %v", e.Server, e.Err)
	if e.LogTail != "" {
		msg += "\nThe end of its log:\n    " + strings.ReplaceAll(e.LogTail, "\n", "\n    ")
	}
	return msg
}

// Unwrap gives the cause.
func (e *StartError) Unwrap() error { return e.Err }
