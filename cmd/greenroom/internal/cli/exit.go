package cli

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/client"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/output"
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
	case errors.As(err, new(exit.DeclinedError)):
		return exit.Declined
	case errors.As(err, new(*absentError)):
		return exit.NotFound
	case errors.Is(err, nomadfleet.ErrNoCommand):
		return exit.NoCommand
	case errors.Is(err, nomadfleet.ErrNotExecutable):
		return exit.NotExecutable
	case errors.Is(err, nomadfleet.ErrEnded):
		return exit.Refused
	case nomadfleet.Denied(err):
		return exit.Forbidden
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

// exitCodeOf returns the exit code of a broker's problem document: that of its code, or
// else of its status.
func exitCodeOf(p *client.ProblemError) int {
	switch refusal.Kind(p.Code) {
	case refusal.NoCapacity:
		return exit.NoCapacity
	case refusal.ConsulUnavailable, refusal.NomadUnavailable, refusal.RedisUnavailable, refusal.Overloaded, refusal.Stopping,
		refusal.Kind(httpapi.CodeIssuerUnavailable), refusal.Kind(httpapi.CodeAuditUnavailable):
		return exit.Unavailable
	case refusal.SessionLimit:
		return exit.Limit
	}
	switch p.Status {
	case http.StatusUnauthorized:
		return exit.Unauthorized
	case http.StatusForbidden:
		return exit.Forbidden
	case http.StatusNotFound:
		return exit.NotFound
	case http.StatusConflict:
		return exit.Refused
	case http.StatusTooManyRequests:
		return exit.RateLimited
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		return exit.Invalid
	}
	return exit.Failed
}

// errInterrupted is the error of a command that Ctrl-C ended.
var errInterrupted = errors.New("interrupted")

// report prints an error for a person, or with -o json for a program, and returns its exit
// code. args are greenroom's arguments.
func report(cmd *cobra.Command, args []string, err error, stderr io.Writer) int {
	code := exitCode(err)
	if code == exit.OK || errors.As(err, new(exit.Error)) {
		return code
	}
	if ctx := cmd.Context(); code == exit.Unavailable && ctx != nil && ctx.Err() != nil {
		// Its call ended with Ctrl-C: that is no outage of the server that was called.
		err, code = errInterrupted, exit.Failed
	}
	asJSON := output.WantsJSON(cmd) || asksForJSON(args)
	printError(asJSON, err, code, stderr)
	if code == exit.Usage && !asJSON {
		fmt.Fprintf(stderr, "Run '%s --help' to see how it is used.\n", cmd.CommandPath())
	}
	return code
}

// printError prints an error: as a problem document, or in a line.
func printError(asJSON bool, err error, code int, stderr io.Writer) {
	if asJSON && output.IndentedJSON(stderr, problemOf(err, code)) == nil {
		return
	}
	fmt.Fprintf(stderr, "greenroom: %s\n", err)
}

// goesOn prints an error after which a command goes on.
func goesOn(cmd *cobra.Command, err error) {
	printError(output.WantsJSON(cmd), err, exitCode(err), cmd.ErrOrStderr())
}

// asksForJSON reports whether arguments ask for JSON, also where cobra did not parse them,
// because an argument before is wrong.
func asksForJSON(args []string) bool {
	if end := slices.Index(args, "--"); end >= 0 {
		args = args[:end]
	}
	for i, arg := range args {
		switch arg {
		case "--json", "-ojson", "-o=json", "--output=json":
			return true
		case "-o", "--output":
			if i+1 < len(args) && args[i+1] == "json" {
				return true
			}
		}
	}
	return false
}

// problem is a problem document of the command line: the broker's, or one of the same form.
type problem struct {
	httpapi.Problem
	// Status is the broker's HTTP status; 0 for an error of the command line's own.
	Status int `json:"status,omitempty"`
	// ExitCode is the command's.
	ExitCode int `json:"exit_code"`
}

// ownProblems are the codes and titles of the errors that are not a broker's, by exit code.
var ownProblems = map[int][2]string{
	exit.Failed:        {"failed", "The command failed"},
	exit.Usage:         {"usage", "The command was called wrongly"},
	exit.NotFound:      {"not_found", "Not found"},
	exit.Invalid:       {"files_not_valid", "Resource files are not valid"},
	exit.Unavailable:   {"unreachable", "A server does not answer"},
	exit.Forbidden:     {"forbidden", "Forbidden"},
	exit.Declined:      {"not_confirmed", "It was not confirmed"},
	exit.Refused:       {"refused", "Not possible as things stand"},
	exit.NotExecutable: {"not_executable", "The command cannot be executed"},
	exit.NoCommand:     {"no_command", "There is no such command"},
}

// problemOf returns an error as a problem document.
func problemOf(err error, code int) problem {
	var refused *client.ProblemError
	if errors.As(err, &refused) {
		p := problem{Problem: refused.Problem, Status: refused.Status, ExitCode: code}
		if text := err.Error(); text != refused.Error() {
			p.Detail = text // what the broker's refusal was about, and what was not done
		}
		return p
	}
	own, ok := ownProblems[code]
	if !ok {
		own = ownProblems[exit.Failed]
	}
	return problem{ExitCode: code, Problem: httpapi.Problem{
		Type: "urn:greenroom:problem:" + own[0], Code: own[0], Title: own[1], Detail: err.Error(),
	}}
}

// absentError means that what a command was called for does not exist; the exit code is
// exit.NotFound.
type absentError struct{ error }

// Unwrap returns the cause.
func (e *absentError) Unwrap() error { return e.error }
