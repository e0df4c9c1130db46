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

// unreachableError means that the issuer did not answer with status 200 and JSON, or that
// the limit of requests did not permit to ask it.
type unreachableError struct{ cause error }

// Error implements error.
func (e *unreachableError) Error() string { return e.cause.Error() }

// Unwrap returns the cause.
func (e *unreachableError) Unwrap() error { return e.cause }

var errRateLimited = errors.New("the limit of requests to the issuer is reached, repeat in a second")

// maxResponseBytes bounds how much of a response of the issuer is read.
const maxResponseBytes = 1 << 20

// limitedTransport limits the rate of requests to the issuer. It returns an
// unreachableError for every failure, so that these differ from errors about the content
// of a response.
type limitedTransport struct {
	next  http.RoundTripper
	limit *rate.Limiter
	// refuses is set where the issuer may refuse a request with a status 4xx, and a reason
	// as JSON, which is a response as well.
	refuses bool
}

// RoundTrip implements http.RoundTripper.
func (t *limitedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if !t.limit.Allow() {
		return nil, &unreachableError{errRateLimited}
	}
	res, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, &unreachableError{err}
	}
	refused := t.refuses && res.StatusCode >= 400 && res.StatusCode < 500 && res.StatusCode != http.StatusTooManyRequests
	if res.StatusCode != http.StatusOK && !refused {
		res.Body.Close()
		return nil, &unreachableError{fmt.Errorf("%s returned status %s", r.URL.Redacted(), res.Status)}
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxResponseBytes))
	res.Body.Close()
	if err == nil && !json.Valid(body) {
		err = fmt.Errorf("%s returned a body that is not JSON", r.URL.Redacted())
	}
	if err != nil {
		return nil, &unreachableError{err}
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	return res, nil
}
