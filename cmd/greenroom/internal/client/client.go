// Package client calls a broker's API for the command line: it reads from flags and the
// environment which broker, pages through lists, and turns what went wrong into errors
// that name the next thing to do. An *UnreachableError means that no broker answered, a
// *ProblemError holds the problem document that one answered with.
package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/output"
	"github.com/greenroom/greenroom/internal/staging"
)

// CallTimeout bounds a call that waits for no session.
const CallTimeout = 30 * time.Second

// Client calls the API of the broker at Address.
type Client struct {
	*httpapi.ClientWithResponses
	Address string
}

// New returns a client of the broker at an address such as http://127.0.0.1:7480; an
// address without a scheme is HTTP. It sends the bearer token unless that is "".
func New(address, token string, options ...httpapi.ClientOption) (*Client, error) {
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, fmt.Errorf("must be the broker's URL, such as %s, is %q", defaultAddress, address)
	}
	authorize := func(_ context.Context, r *http.Request) error {
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		return nil
	}
	api, err := httpapi.NewClientWithResponses(address, append(options, httpapi.WithRequestEditorFn(authorize), httpapi.WithRequestEditorFn(leaveOutEmpty))...)
	if err != nil {
		return nil, err
	}
	return &Client{ClientWithResponses: api, Address: address}, nil
}

// leaveOutEmpty removes query parameters without a value: the generated client sends those
// that are not set, and the broker refuses them.
func leaveOutEmpty(_ context.Context, r *http.Request) error {
	query := r.URL.Query()
	for name, values := range query {
		if len(values) == 1 && values[0] == "" {
			query.Del(name)
		}
	}
	r.URL.RawQuery = query.Encode()
	return nil
}

// UnreachableError means that no broker answered at an address.
type UnreachableError struct {
	address string
	cause   error
}

// Error implements error. The text names the flags and variables to check.
func (e *UnreachableError) Error() string {
	var untrusted *tls.CertificateVerificationError
	if errors.As(e.cause, &untrusted) {
		return fmt.Sprintf("the broker at %s is not trusted: %v; name the authority that vouches for it with --%s or %s",
			e.address, e.cause, flagCACert, envCACert)
	}
	return fmt.Sprintf("the broker at %s does not answer: %v; is it running? Name another with --%s or %s",
		e.address, e.cause, flagAddress, envAddress)
}

// Unwrap returns the cause.
func (e *UnreachableError) Unwrap() error { return e.cause }

// ProblemError is the problem document of a broker's answer.
type ProblemError struct{ httpapi.Problem }

// Error implements error. The text holds the fields that are wrong, every attempt of a
// launch, and the request id of a failure inside the broker.
func (e *ProblemError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%s)", output.Printable(e.Detail), e.Code)
	for _, a := range e.Attempts {
		// A reason that the detail has is not said twice, and is all that a skip has to say.
		if a.Reason != "" && strings.Contains(e.Detail, a.Reason) {
			if a.Reason = ""; a.Outcome == staging.OutcomeSkipped {
				continue
			}
		}
		fmt.Fprintf(&b, "\n  tried %s", AttemptLine(a))
	}
	if e.Status == http.StatusUnauthorized {
		fmt.Fprintf(&b, "\n  give it with --%s or GREENROOM_TOKEN", flagToken)
	}
	if e.RequestID != "" && e.Status >= http.StatusInternalServerError {
		fmt.Fprintf(&b, "\n  request id: %s", e.RequestID)
	}
	return b.String()
}

// AttemptLine describes an attempt of a launch in one line.
func AttemptLine(a staging.Attempt) string {
	line := fmt.Sprintf("%s in %s: %s", a.Step, a.Zone, a.Outcome)
	if a.Reason != "" {
		line += ", " + a.Reason
	}
	return output.Printable(line)
}

// Response has the methods that every answer of the generated client has.
type Response interface {
	StatusCode() int
	Status() string
	ContentType() string
	GetApplicationProblemJSONDefault() *httpapi.Problem
}

// Answered returns the error of a call: nil if the broker answered with one of the
// statuses and, except for 204, with JSON, which the generated code has then decoded. Other
// answers of a broker are a *ProblemError, and none is an *UnreachableError.
func (c *Client) Answered(r Response, err error, statuses ...int) error {
	var transport *url.Error
	switch {
	case errors.Is(err, context.Canceled):
		return errors.New("interrupted")
	case errors.As(err, &transport):
		// The transport's text would repeat the method and the URL.
		return &UnreachableError{c.Address, transport.Err}
	case err != nil:
		return fmt.Errorf("what answers at %s is not a greenroom broker: %w", c.Address, err)
	case slices.Contains(statuses, r.StatusCode()) &&
		(r.StatusCode() == http.StatusNoContent || strings.Contains(r.ContentType(), "json")):
		return nil
	}
	if p := r.GetApplicationProblemJSONDefault(); p != nil && p.Code != "" {
		return &ProblemError{*p}
	}
	err = fmt.Errorf("it answered %s, which is no answer of a greenroom broker", r.Status())
	if r.StatusCode() >= http.StatusBadGateway {
		// Most likely an answer of a proxy whose broker is away.
		return &UnreachableError{c.Address, err}
	}
	return fmt.Errorf("the broker at %s: %w", c.Address, err)
}

// Brief returns a context for a call that waits for no session: it ends after CallTimeout.
func Brief(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, CallTimeout)
}

// LaunchGrace is how much longer than its wait a launch may take: the claim, and the hooks
// at their longest, for a few sessions one after the other.
const LaunchGrace = 2*staging.MaxHookTimeout + 30*time.Second
