package hook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// Execer runs a command in a session, as Nomad's alloc exec does. Its error
// says that the exit code is not known. It must return soon after ctx is done.
// It may still be reading stdin then: the Runner sees to it that the read ends.
type Execer interface {
	Exec(ctx context.Context, session staging.Session, task string, cmd []string,
		stdin io.Reader, stdout, stderr io.Writer) (exitCode int, err error)
}

// Runner runs hooks. The zero value of all but Exec is ready for use,
// and one Runner serves any number of hooks at once.
type Runner struct {
	Exec Execer
}

// Result is what is known of a hook that was handed over, also of one that failed.
type Result struct {
	// ExitCode is the command's, -1 where it is not known.
	ExitCode int
	// Stdout and Stderr are the ends of what it wrote, TailBytes at most, without the
	// values of the hook's and the launch's environment.
	Stdout, Stderr string
	// Duration is from the call to the exit code, or to the error.
	Duration time.Duration
	// Armings is how many shells were asked for: none where one was armed ahead of
	// time; more than 1 is a sign of a Docker that is slow to start them.
	Armings int
}

// shell is the whole argument vector that Nomad sees. Nothing of the user's
// may ever join it: Nomad writes exec command lines to its log.
var shell = []string{"/bin/sh"}

// maxArming bounds how often a shell is asked for that Nomad says has ended
// before it said a word; see ExitSuccess.
const maxArming = 10

// Run runs a hook in the session, bounded by ctx and the hook's own deadline, a
// once-only hook by an eighth and a second more, for its last words.
//
// It first has the shell say that it is there, and only then hands the script
// over. A shell that never says so has been given nothing of the user's, and
// another one is asked for.
//
// The error is nil, or a *staging.InvalidError (it cannot be written as a
// script) or *NotStartedError, after both of which the session is unused; or a
// *FailedError or *UnknownError, after which it is not.
func (r Runner) Run(ctx context.Context, session staging.Session, name staging.HookName, h staging.Hook, in Input) (Result, error) {
	return r.RunIn(ctx, nil, session, name, h, in)
}

// RunIn is Run in a shell that was armed in the session, which it uses up. Where
// there is none (nil), or it has ended without taking any of the script, it asks for
// another as Run does.
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
		timeout += onceGrace(timeout)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	hider := newHider(h, in)
	start := time.Now()
	for armings := 0; ; {
		shell, waited := armed, armed != nil
		if armed = nil; !waited {
			shell = r.open(ctx, session, h.Task)
			armings++
		}
		result, fed, err := shell.run(ctx, script)
		result.Duration, result.Armings = time.Since(start), armings
		result.Stdout, result.Stderr = hider.hide(result.Stdout), hider.hide(result.Stderr)
		switch {
		case !fed && waited && ctx.Err() == nil:
			continue
		case !fed && err == nil && result.ExitCode == 0 && armings < maxArming && pause(ctx):
			continue
		}
		// A once-only hook's script keeps the time, too.
		unfinished := err == nil && fed && result.ExitCode == ExitUnfinished
		if unfinished {
			err = context.DeadlineExceeded
		}
		if unfinished || err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
			err = &timeoutError{after: h.Deadline(), lastLine: lastLine(result), cause: err}
		}
		err = verdict(name, result, fed, err)
		result.ExitCode = exitCode(err)
		return result, err
	}
}

func verdict(name staging.HookName, r Result, fed bool, err error) error {
	switch {
	case err != nil && !fed:
		return &NotStartedError{Hook: name, Cause: err}
	case !fed:
		return &NotStartedError{Hook: name, Cause: fmt.Errorf("the session's /bin/sh ended with exit code %d before it said a word: %s", r.ExitCode, lastLine(r))}
	case err != nil:
		return &UnknownError{Hook: name, Cause: err}
	case r.ExitCode == ExitSuccess:
		return nil
	case r.ExitCode == 0:
		return &UnknownError{Hook: name, Cause: errNoProof}
	}
	return &FailedError{Hook: name, ExitCode: r.ExitCode, LastLine: lastLine(r)}
}

// exitCode is the command's, as far as a verdict tells it.
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

// pause waits a moment before the next shell, and reports whether there is
// time for one.
func pause(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(20 * time.Millisecond):
		return true
	}
}
