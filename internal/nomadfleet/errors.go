package nomadfleet

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	nomadapi "github.com/hashicorp/nomad/api"
)

// ErrUnavailable is what every error of this package is, by errors.Is, that
// means: Nomad did not answer, or would not do this now. The same call may go
// through later.
var ErrUnavailable = errors.New("nomad is unavailable")

var (
	errNotPlaced = errors.New("it has none yet")
	errStalled   = errors.New("the event stream has gone silent")
	errEnded     = errors.New("the event stream has ended")
)

// UnavailableError is an ErrUnavailable with what was tried and what came back.
type UnavailableError struct {
	// Op completes "Nomad could not".
	Op    string
	Cause error
}

// Error implements error.
func (e *UnavailableError) Error() string {
	return fmt.Sprintf("Nomad could not %s: %v", e.Op, e.Cause)
}

// Unwrap gives ErrUnavailable and the cause.
func (e *UnavailableError) Unwrap() []error { return []error{ErrUnavailable, e.Cause} }

func unavailable(op string, cause error) error { return &UnavailableError{Op: op, Cause: cause} }

// answer is the status and text of a reply that was not a success, if err is one.
func answer(err error) (status int, body string, ok bool) {
	var e nomadapi.UnexpectedResponseError
	if !errors.As(err, &e) || !e.HasStatusCode() {
		return 0, "", false
	}
	return e.StatusCode(), strings.TrimSpace(e.Body()), true
}

func notFound(err error) bool {
	status, _, ok := answer(err)
	return ok && status == http.StatusNotFound
}
