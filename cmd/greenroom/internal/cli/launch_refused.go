package cli

import (
	"errors"
	"fmt"
	"strings"

	launching "github.com/greenroom/greenroom/broker/launch"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/client"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/output"
)

// launchArguments are the arguments that set a launch's fields.
var launchArguments = map[string]string{
	"image": "IMAGE", "zone": "--zone", "user.id": "--user", "user.name": "--user", "groups": "--group",
	"environment": "--env", "url": "--url", "count": "--count", "together": "--together", "wait_for_room": "--wait-for-room",
}

// rewordedError is an error of the broker's in the words of the command line.
type rewordedError struct {
	text  string
	cause error
}

// Error implements error.
func (e *rewordedError) Error() string { return e.text }

// Unwrap returns the cause.
func (e *rewordedError) Unwrap() error { return e.cause }

// refusedLaunch returns the error of a launch in the words of the command line: with its
// arguments instead of the fields of the API. Where what it names does not exist, it is an
// absentError that names the command which lists what does.
func refusedLaunch(err error) error {
	var p *client.ProblemError
	if !errors.As(err, &p) || len(p.Errors) == 0 {
		return err
	}
	var words []string
	for _, f := range p.Errors {
		field, _, _ := strings.Cut(f.Field, "[")
		message := f.Message
		if whole, _, ok := strings.Cut(field, "."); ok && whole != "user" {
			field, message = whole, f.Field+" "+message
		}
		argument, ok := launchArguments[field]
		if !ok {
			return err
		}
		if absent, ok := strings.CutPrefix(f.Message, launching.Unknown); ok && len(p.Errors) == 1 {
			absent, _, _ = strings.Cut(absent, "; GET ")
			return &absentError{&rewordedError{fmt.Sprintf("%s: %s; greenroom %ss lists them", argument, output.Printable(absent), strings.TrimSuffix(field, "s")), err}}
		}
		words = append(words, argument+": "+output.Printable(message))
	}
	return &rewordedError{fmt.Sprintf("%s (%s)", strings.Join(words, "; "), p.Code), err}
}
