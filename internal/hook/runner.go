package hook

import (
	"context"
	"io"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// Execer runs a command in a session, as Nomad's alloc exec does. Its error
// says that the exit code is not known. It must return soon after ctx is done,
// and may still be reading stdin then, but not for ever.
type Execer interface {
	Exec(ctx context.Context, session staging.Session, task string, cmd []string,
		stdin io.Reader, stdout, stderr io.Writer) (exitCode int, err error)
}

// Runner runs assign hooks. The zero value of all but Exec is ready for use,
// and one Runner serves any number of hooks at once.
type Runner struct {
	Exec Execer
}

// Result is what is known of a hook that was handed over, also of one that failed.
type Result struct {
	ExitCode int
	// Stdout and Stderr are the ends of what it wrote, TailBytes at most.
	Stdout, Stderr string
	// Duration is from the call to the exit code, or to the error.
	Duration time.Duration
}

// shell is the whole argument vector that Nomad sees. Nothing of the user's
// may ever join it: Nomad writes exec command lines to its log.
var shell = []string{"/bin/sh"}

// Run runs a hook in the session, bounded by the hook's own deadline and ctx.
//
// The error is nil, or a *staging.InvalidError (it cannot be written as a
// script) or *NotStartedError, after both of which the session is unused; or a
// *FailedError or *UnknownError, after which it is not.
func (r Runner) Run(ctx context.Context, session staging.Session, h staging.Hook, vars map[string]string) (Result, error) {
	script, err := Script(h, vars)
	if err != nil {
		return Result{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, h.Deadline())
	defer cancel()

	start := time.Now()
	in := &feed{rest: script}
	var stdout, stderr tail
	code, err := r.Exec.Exec(ctx, session, h.Task, shell, in, &stdout, &stderr)
	// From here on nothing more is handed over, whoever still holds the reader.
	fed := in.close()

	result := Result{ExitCode: code, Stdout: stdout.String(), Stderr: stderr.String(), Duration: time.Since(start)}
	switch {
	case err != nil && !fed:
		return result, &NotStartedError{Cause: err}
	case err != nil:
		return result, &UnknownError{Cause: err}
	case !fed:
		// A shell that ended without having been given anything ran nothing.
		return result, &NotStartedError{Cause: errShellEnded}
	case code != 0:
		return result, &FailedError{ExitCode: code, LastLine: lastLine(result)}
	}
	return result, nil
}
