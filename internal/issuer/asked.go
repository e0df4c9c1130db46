package issuer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"golang.org/x/time/rate"
)

// awayError: the issuer did not answer as it should.
type awayError struct{ cause error }

// Error implements error.
func (e *awayError) Error() string { return e.cause.Error() }

// Unwrap gives the cause.
func (e *awayError) Unwrap() error { return e.cause }

var errOften = errors.New("it was asked a moment ago")

// maxAnswer bounds what is read of the issuer's answers.
const maxAnswer = 1 << 20

// asked is how the issuer is asked: not too often, and with every failure told
// apart from what its answer says.
type asked struct {
	next  http.RoundTripper
	limit *rate.Limiter
}

// RoundTrip implements http.RoundTripper.
func (a *asked) RoundTrip(r *http.Request) (*http.Response, error) {
	if !a.limit.Allow() {
		return nil, &awayError{errOften}
	}
	res, err := a.next.RoundTrip(r)
	if err != nil {
		return nil, &awayError{err}
	}
	if res.StatusCode != http.StatusOK {
		res.Body.Close()
		return nil, &awayError{fmt.Errorf("%s answered %s", r.URL.Redacted(), res.Status)}
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	res.Body.Close()
	if err == nil && !json.Valid(body) {
		err = fmt.Errorf("%s answered something that is not JSON", r.URL.Redacted())
	}
	if err != nil {
		return nil, &awayError{err}
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	return res, nil
}
