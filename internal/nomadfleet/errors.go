package nomadfleet

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	nomadapi "github.com/hashicorp/nomad/api"
)

// ErrUnavailable means that Nomad did not answer or could not do the call now. The
// same call may succeed later. Test for it with errors.Is.
var ErrUnavailable = errors.New("nomad is unavailable")

var (
	errNoAllocation = errors.New("the job has no allocation yet")
	errStreamSilent = errors.New("the event stream is silent: not even a heartbeat arrived")
	// Nomad ends the stream like this when it stops, and when the token may not read events.
	errStreamEnded = errors.New("the event stream ended; if this repeats, the token lacks read-job in a namespace or node read")
)

// UnavailableError is an ErrUnavailable that names the call that failed.
type UnavailableError struct {
	// Op is the call and its object, such as "register job gr-1".
	Op    string
	Cause error
}

// Error implements error.
func (e *UnavailableError) Error() string {
	return fmt.Sprintf("nomad: %s: %v", e.Op, e.Cause)
}

// Unwrap returns ErrUnavailable and the cause.
func (e *UnavailableError) Unwrap() []error { return []error{ErrUnavailable, e.Cause} }

func unavailable(op string, cause error) error { return &UnavailableError{Op: op, Cause: cause} }

// responseError returns the status and body of an HTTP response that is not a
// success. ok is false if err is something else, so that no response arrived.
func responseError(err error) (status int, body string, ok bool) {
	var e nomadapi.UnexpectedResponseError
	if !errors.As(err, &e) || !e.HasStatusCode() {
		return 0, "", false
	}
	return e.StatusCode(), strings.TrimSpace(e.Body()), true
}

func notFound(err error) bool {
	status, _, ok := responseError(err)
	return ok && status == http.StatusNotFound
}

// Denied reports whether an error is Nomad's refusal of the token.
func Denied(err error) bool {
	status, _, ok := responseError(err)
	return ok && status == http.StatusForbidden
}
