package hook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// Execer runs a command in a session, as Nomad's alloc exec does. Its error means that
// the exit code is not known. It must return soon after ctx is done. It may still read
// stdin then; the Runner ends that read.
type Execer interface {
	Exec(ctx context.Context, session staging.Session, task string, cmd []string,
		stdin io.Reader, stdout, stderr io.Writer) (exitCode int, err error)
}

// Runner runs hooks. It needs only Exec, and is safe for concurrent use.
type Runner struct {
	Exec Execer
}

// Result is what is known about a run of a hook, also about one that failed.
type Result struct {
	// ExitCode is the command's exit code, -1 if it is not known.
	ExitCode int
	// Stdout and Stderr are the ends of the output, at most TailBytes each. The values
	// of the hook's and the launch's environment are redacted.
	Stdout, Stderr string
	// Duration is the time from the call to the exit code or the error.
	Duration time.Duration
	// Armings is how many shells the run opened: 0 if it used one that was opened ahead
	// of time. More than 1 is a sign that Docker starts them slowly.
	Armings int
}

// shell is the whole argument vector that Nomad sees. It must never contain a user's
// data, because Nomad writes the command lines of execs to its log.
var shell = []string{"/bin/sh"}

const (
	// maxShellAttempts bounds how often a run opens a shell if Nomad reports that it ended
	// with exit code 0 before it was ready; see ExitSuccess.
	maxShellAttempts = 10
	// maxBrokenAttempts bounds how often a run opens a shell if the connection to it breaks
	// before it is ready. On a busy node, Docker answers Nomad's requests late or cuts them
	// off. Nomad (1.10.5) then closes the exec's connection without a reason, which arrives
	// here as "unexpected EOF", and the next exec succeeds.
	maxBrokenAttempts = 3
	// brokenWithin is the time after the start of a run in which a broken connection is
	// made again. One that breaks later is a node that hangs, and the user has waited.
	brokenWithin = time.Second
)

// Run runs a hook in the session until ctx or the hook's deadline ends it. A once-only
// hook gets a second and an eighth of its deadline more, to report its outcome.
//
// Run sends the script only after the shell has reported that it is ready. A shell that ends
// before that has received nothing of the user. Run opens another one if its exit code was 0
// or its connection broke, a few times.
//
// After a *staging.InvalidError (the hook cannot be written as a script) or a
// *NotStartedError the session is still unused. After a *FailedError or an
// *UnknownError it is used.
func (r Runner) Run(ctx context.Context, session staging.Session, name staging.HookName, h staging.Hook, in Input) (Result, error) {
	return r.RunIn(ctx, nil, session, name, h, in)
}

// RunIn is Run in a shell that was opened in the session ahead of time. The shell cannot
// be used again, and the caller closes it, which can wait until the hook's success is acted on: to
// close it gives the servers on the way to it something to do. If armed is nil, or has ended before it read any of the script, RunIn
// opens another shell, as Run does.
func (r Runner) RunIn(ctx context.Context, armed *Shell, session staging.Session, name staging.HookName, h staging.Hook, in Input) (Result, error) {
	script, err := Script(name, h, in)
	if err != nil {
		if armed != nil {
			armed.Close()
		}
		return Result{}, err
	}
	timeout := h.Deadline()
	if in.Once {
		timeout += onceGracePeriod(timeout)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	secrets := newRedactor(h, in)
	start := time.Now()
	for attempts := 0; ; {
		shell, wasArmed := armed, armed != nil
		if armed = nil; !wasArmed {
			shell = r.open(ctx, session, h.Task, false)
			attempts++
		}
		result, delivered, err := shell.run(ctx, script, wasArmed)
		result.Duration, result.Armings = time.Since(start), attempts
		result.Stdout, result.Stderr = secrets.redact(result.Stdout), secrets.redact(result.Stderr)
		switch {
		case !delivered && wasArmed && ctx.Err() == nil:
			continue
		case !delivered && openAgain(ctx, attempts, start, result.ExitCode, err):
			continue
		}
		// The script of a once-only hook reports by ExitUnfinished that the deadline passed.
		unfinished := err == nil && delivered && result.ExitCode == ExitUnfinished
		if unfinished {
			err = context.DeadlineExceeded
		}
		if unfinished || err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
			err = &timeoutError{after: h.Deadline(), lastLine: lastLine(result), cause: err}
		}
		err = outcome(name, result, delivered, err)
		result.ExitCode = exitCode(err)
		return result, err
	}
}

func outcome(name staging.HookName, r Result, delivered bool, err error) error {
	switch {
	case err != nil && !delivered:
		return &NotStartedError{Hook: name, Cause: err}
	case !delivered:
		return &NotStartedError{Hook: name, Cause: fmt.Errorf("the session's /bin/sh ended with exit code %d before it was ready: %s", r.ExitCode, lastLine(r))}
	case err != nil:
		return &UnknownError{Hook: name, Cause: err}
	case r.ExitCode == ExitSuccess:
		return nil
	case r.ExitCode == 0:
		return &UnknownError{Hook: name, Cause: errUnprovenSuccess}
	}
	return &FailedError{Hook: name, ExitCode: r.ExitCode, LastLine: lastLine(r)}
}

// exitCode returns the command's exit code for an outcome; -1 if it is not known.
func exitCode(err error) int {
	var failed *FailedError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &failed):
		return failed.ExitCode
	}
	return -1
}

// openAgain reports whether a run should open another shell, after its last one of several
// attempts ended with an exit code or an error before it was ready. It pauses before it
// returns true.
func openAgain(ctx context.Context, attempts int, start time.Time, code int, err error) bool {
	switch {
	case errors.Is(err, staging.ErrExecDenied):
		return false
	case err != nil:
		return attempts < maxBrokenAttempts && time.Since(start) < brokenWithin && pause(ctx)
	case code == 0:
		return attempts < maxShellAttempts && pause(ctx)
	}
	return false
}

// pause waits before the next attempt to open a shell. It returns false if ctx is done.
func pause(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(20 * time.Millisecond):
		return true
	}
}
