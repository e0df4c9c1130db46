package hook

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// NotStartedError means that no byte of the hook's script was sent. The session is
// unused and unchanged.
type NotStartedError struct {
	Hook  staging.HookName
	Cause error
}

// Error implements error.
func (e *NotStartedError) Error() string {
	return fmt.Sprintf("the %s hook was not started: %v", e.Hook, e.Cause)
}

// Unwrap returns the cause.
func (e *NotStartedError) Unwrap() error { return e.Cause }

// FailedError means that the hook ran to its end and its exit code was not 0.
type FailedError struct {
	Hook     staging.HookName
	ExitCode int
	// LastLine is the last line of its stderr, else of its stdout; "" if both are empty.
	LastLine string
}

// Error implements error.
func (e *FailedError) Error() string {
	if e.LastLine == "" {
		return fmt.Sprintf("the %s hook failed with exit code %d", e.Hook, e.ExitCode)
	}
	return fmt.Sprintf("the %s hook failed with exit code %d: %s", e.Hook, e.ExitCode, e.LastLine)
}

// UnknownError means that some of the hook's script was sent and its exit code did not
// arrive before the deadline or before the connection was lost. The hook may have run,
// may still run, or may never have started.
type UnknownError struct {
	Hook  staging.HookName
	Cause error
}

// Error implements error.
func (e *UnknownError) Error() string {
	return fmt.Sprintf("the %s hook's outcome is not known: %v", e.Hook, e.Cause)
}

// Unwrap returns the cause.
func (e *UnknownError) Unwrap() error { return e.Cause }

// Report returns the *staging.HookError of a failed run, for events and conditions. It
// returns nil if err is nil.
func Report(name staging.HookName, r Result, err error) error {
	if err == nil {
		return nil
	}
	e := &staging.HookError{Hook: name, ExitCode: exitCode(err), Stdout: r.Stdout, Stderr: r.Stderr, Cause: err}
	var notStarted *NotStartedError
	var invalid *staging.InvalidError
	e.Untouched = errors.As(err, &notStarted) || errors.As(err, &invalid)
	return e
}

// timeoutError means that the hook was still running at its deadline.
type timeoutError struct {
	after    time.Duration
	lastLine string
	cause    error
}

// Error implements error.
func (e *timeoutError) Error() string {
	text := fmt.Sprintf("it did not end within %s", staging.Rounded(e.after))
	if e.lastLine != "" {
		text += "; its last line: " + e.lastLine
	}
	return text
}

// Unwrap returns the cause.
func (e *timeoutError) Unwrap() error { return e.cause }

// errUnprovenSuccess is explained at ExitSuccess.
var errUnprovenSuccess = errors.New("exit code 0 was reported, which the hook's script never returns")

// maxLastLine bounds the last line of output in an error, in bytes.
const maxLastLine = 300

func lastLine(r Result) string {
	for _, out := range []string{r.Stderr, r.Stdout} {
		out = strings.TrimSpace(out)
		if out == "" {
			continue
		}
		line := strings.TrimSpace(out[strings.LastIndexByte(out, '\n')+1:])
		if len(line) > maxLastLine {
			line = line[:maxLastLine]
		}
		return strings.ToValidUTF8(line, "\uFFFD")
	}
	return ""
}
