package hook

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// NotStartedError: no byte of the hook was handed over. The session has not
// seen its user and is as it was.
type NotStartedError struct {
	Hook  staging.HookName
	Cause error
}

// Error implements error.
func (e *NotStartedError) Error() string {
	return fmt.Sprintf("the %s hook was not started: %v", e.Hook, e.Cause)
}

// Unwrap gives the cause.
func (e *NotStartedError) Unwrap() error { return e.Cause }

// FailedError: the hook ran to its end and its exit code was not 0.
type FailedError struct {
	Hook     staging.HookName
	ExitCode int
	// LastLine is the last line that it wrote to stderr, or else to stdout; it may be "".
	LastLine string
}

// Error implements error.
func (e *FailedError) Error() string {
	if e.LastLine == "" {
		return fmt.Sprintf("the %s hook failed with exit code %d", e.Hook, e.ExitCode)
	}
	return fmt.Sprintf("the %s hook failed with exit code %d: %s", e.Hook, e.ExitCode, e.LastLine)
}

// UnknownError: some of the hook was handed over and its exit code never came
// back, because its time was up or the connection was lost. It may have run,
// may still be running, or may never have begun.
type UnknownError struct {
	Hook  staging.HookName
	Cause error
}

// Error implements error.
func (e *UnknownError) Error() string {
	return fmt.Sprintf("the %s hook's outcome is not known: %v", e.Hook, e.Cause)
}

// Unwrap gives the cause.
func (e *UnknownError) Unwrap() error { return e.Cause }

// Report puts a run that failed into one *staging.HookError, for events and
// conditions; nil for one that did not.
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

// timeoutError: the hook was still running when its time was up.
type timeoutError struct {
	after    time.Duration
	lastLine string
	cause    error
}

// Error implements error.
func (e *timeoutError) Error() string {
	text := fmt.Sprintf("it did not end within %s", e.after)
	if e.lastLine != "" {
		text += "; its last line: " + e.lastLine
	}
	return text
}

// Unwrap gives the cause.
func (e *timeoutError) Unwrap() error { return e.cause }

// errNoProof: see ExitSuccess.
var errNoProof = errors.New("exit code 0 was reported, which the hook's script never gives")

// maxLastLine bounds a line that goes into an error, a log line and an attempt's reason.
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
