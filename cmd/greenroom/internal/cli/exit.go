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

// runError is whatever a command that did run returned. All other errors are
// cobra's, about how it was called.
type runError struct{ error }

// Unwrap gives the cause.
func (e runError) Unwrap() error { return e.error }

// markRuns has every command below cmd tell its own errors from cobra's.
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

// exitCode sorts an error by what a script can do about it.
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

// report prints an error for a person and returns its exit code.
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

// absentError says that what a command is about is not there.
type absentError struct{ error }

// Unwrap gives the cause.
func (e *absentError) Unwrap() error { return e.error }
