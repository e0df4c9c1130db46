package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/broker/refusal"
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
		usage       usageError
		ran         runError
		refused     *problemError
		invalid     *filesError
		unreachable *unreachableError
	)
	var exit exitError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &exit):
		return int(exit)
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, new(*absentError)):
		return exitNotFound
	case errors.Is(err, nomadfleet.ErrUnavailable):
		return exitUnavailable
	case errors.As(err, &invalid):
		return exitInvalid
	case errors.As(err, &unreachable):
		return exitUnavailable
	case errors.As(err, &refused):
		return exitCodeOf(refused)
	case errors.As(err, &ran):
		return exitFailed
	}
	return exitUsage
}

func exitCodeOf(p *problemError) int {
	switch refusal.Kind(p.Code) {
	case refusal.NoCapacity:
		return exitNoCapacity
	case refusal.ConsulUnavailable, refusal.NomadUnavailable, refusal.RedisUnavailable, refusal.Kind(httpapi.CodeIssuerUnavailable):
		return exitUnavailable
	}
	switch p.Status {
	case http.StatusNotFound:
		return exitNotFound
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		return exitInvalid
	}
	return exitFailed
}

// report prints an error for a person and returns its exit code.
func report(cmd *cobra.Command, err error, stderr io.Writer) int {
	code := exitCode(err)
	if code == exitOK {
		return code
	}
	if errors.As(err, new(exitError)) {
		return code
	}
	fmt.Fprintf(stderr, "greenroom: %s\n", err)
	if code == exitUsage {
		fmt.Fprintf(stderr, "Run '%s --help' to see how it is used.\n", cmd.CommandPath())
	}
	return code
}

// absentError says that what a command is about is not there.
type absentError struct{ error }

// Unwrap gives the cause.
func (e *absentError) Unwrap() error { return e.error }
