package cli

import (
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/client"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/resources"
	"github.com/greenroom/greenroom/internal/nomadfleet"
)

// runError marks an error that a command's own code returned. All other errors are cobra's,
// about wrong usage.
type runError struct{ error }

// Unwrap returns the cause.
func (e runError) Unwrap() error { return e.error }

// markRuns wraps the errors of cmd and of every command below it in a runError.
func markRuns(cmd *cobra.Command) {
	if run := cmd.RunE; run != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			if err := run(cmd, args); err != nil {
				return runError{err}
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		markRuns(sub)
	}
}

// exitCode returns the exit code of an error: what a script needs to react to it.
func exitCode(err error) int {
	var (
		usage       exit.UsageError
		ran         runError
		refused     *client.ProblemError
		invalid     *resources.FilesError
		unreachable *client.UnreachableError
	)
	var status exit.Error
	switch {
	case err == nil:
		return exit.OK
	case errors.As(err, &status):
		return int(status)
	case errors.As(err, &usage):
		return exit.Usage
	case errors.As(err, new(*absentError)):
		return exit.NotFound
	case errors.Is(err, nomadfleet.ErrUnavailable):
		return exit.Unavailable
	case errors.As(err, &invalid):
		return exit.Invalid
	case errors.As(err, &unreachable):
		return exit.Unavailable
	case errors.As(err, &refused):
		return exitCodeOf(refused)
	case errors.As(err, &ran):
		return exit.Failed
	}
	return exit.Usage
}

func exitCodeOf(p *client.ProblemError) int {
	switch refusal.Kind(p.Code) {
	case refusal.NoCapacity:
		return exit.NoCapacity
	case refusal.ConsulUnavailable, refusal.NomadUnavailable, refusal.RedisUnavailable, refusal.Kind(httpapi.CodeIssuerUnavailable):
		return exit.Unavailable
	}
	switch p.Status {
	case http.StatusNotFound:
		return exit.NotFound
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		return exit.Invalid
	}
	return exit.Failed
}

// report prints an error for a person, and returns its exit code.
func report(cmd *cobra.Command, err error, stderr io.Writer) int {
	code := exitCode(err)
	if code == exit.OK {
		return code
	}
	if errors.As(err, new(exit.Error)) {
		return code
	}
	fmt.Fprintf(stderr, "greenroom: %s\n", err)
	if code == exit.Usage {
		fmt.Fprintf(stderr, "Run '%s --help' to see how it is used.\n", cmd.CommandPath())
	}
	return code
}

// absentError means that what a command was called for does not exist; the exit code is
// exit.NotFound.
type absentError struct{ error }

// Unwrap returns the cause.
func (e *absentError) Unwrap() error { return e.error }
