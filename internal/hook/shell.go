package hook

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// Shell is a /bin/sh in a session that waits for a script. It prints a marker when it is
// probed. It has received nothing of any user, so its session stays unused until a script
// is sent.
type Shell struct {
	stdin  *stdinFeed
	stdout *stdoutWatcher
	stderr tail
	// ready is closed when the shell has printed readyMarker.
	ready  <-chan struct{}
	cancel context.CancelFunc
	// ended is closed when the exec has returned. code and err are set then.
	ended chan struct{}
	code  int
	err   error
}

// open starts to open a shell, which lives until ctx is done or it is closed; armed: ahead of time.
func (r Runner) open(ctx context.Context, session staging.Session, task string, armed bool) *Shell {
	// The marker proves success, so it is random and the command cannot know it.
	successMarker := rand.Text()
	s := &Shell{stdin: newStdinFeed(successMarker, armed), stdout: newStdoutWatcher(successMarker), ended: make(chan struct{})}
	s.ready = s.stdout.expect(readyMarker)
	ctx, s.cancel = context.WithCancel(ctx)
	go func() {
		defer close(s.ended)
		s.code, s.err = r.Exec.Exec(ctx, session, task, shell, s.stdin, s.stdout, &s.stderr)
	}()
	return s
}

// Arm opens a shell in a task of the session ahead of time ("" is the main task) and
// returns it once it is ready. The shell lives until Close or until its session ends. An
// error means that no shell is open and that the session is unused.
func (r Runner) Arm(ctx context.Context, session staging.Session, task string) (*Shell, error) {
	start := time.Now()
	for attempt := 1; ; attempt++ {
		s := r.open(context.WithoutCancel(ctx), session, task, true)
		select {
		case <-s.ready:
			return s, nil
		case <-s.ended:
		case <-ctx.Done():
		}
		s.Close()
		switch {
		case ctx.Err() != nil:
			return nil, fmt.Errorf("open a shell in session %s: %w", session.ID, ctx.Err())
		case openAgain(ctx, attempt, start, s.code, s.err):
		case s.err != nil:
			return nil, s.err
		default:
			return nil, fmt.Errorf("open a shell in session %s: /bin/sh ended with exit code %d before it was ready", session.ID, s.code)
		}
	}
}

// Alive lets the shell print a marker, and reports whether it arrived before ctx was
// done. It must not be called concurrently, nor after a script was sent.
func (s *Shell) Alive(ctx context.Context) bool {
	marker := rand.Text()
	seen := s.stdout.expect(marker)
	s.stdin.probe(marker)
	select {
	case <-seen:
		return true
	case <-s.ended:
	case <-ctx.Done():
	}
	return false
}

// hasEnded reports whether the shell has ended.
func (s *Shell) hasEnded() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

// Close ends the shell by closing its stdin, and waits for it. It may be called twice.
func (s *Shell) Close() {
	s.stdin.close()
	s.cancel()
	<-s.ended
}

// run sends the script once the shell is ready, and waits for its end. delivered reports
// whether any byte of the script was read. The shell cannot be used again. It is closed then,
// but with leaveOpen not after a success: the caller closes it when nobody waits.
func (s *Shell) run(ctx context.Context, script []byte, leaveOpen bool) (result Result, delivered bool, err error) {
	select {
	case <-s.ready:
		s.stdin.sendScript(script)
	case <-s.ended:
	case <-ctx.Done():
	}
	// Nomad's docker driver polls, and notices the shell's end much later than the
	// success marker arrives. So a success does not wait for the exec to return.
	code := -1
	select {
	case <-s.stdout.success:
		if leaveOpen {
			return Result{ExitCode: ExitSuccess, Stdout: s.stdout.String(), Stderr: s.stderr.String()}, true, nil
		}
	case <-s.ended:
		code, err = s.code, s.err
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	// The library may still be blocked in a read after the exec has returned. From here
	// on no byte of the script is delivered.
	delivered = s.stdin.close()
	s.Close() // after it, all output has arrived
	if s.stdout.hasSucceeded() {
		code, err = ExitSuccess, nil
	}
	return Result{ExitCode: code, Stdout: s.stdout.String(), Stderr: s.stderr.String()}, delivered, err
}
