package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

const (
	mediaJSON    = "application/json"
	mediaProblem = "application/problem+json"
)

// defaultRetryAfter is the hint where a repeat may succeed and the refusal has no hint.
const defaultRetryAfter = 2 * time.Second

// problemError is an error that becomes a problem document.
type problemError struct {
	code   Code
	detail string
	fields []staging.FieldError
	// attempts are the steps of a failed launch.
	attempts []staging.Attempt
	// sessions are those that are too many for a user.
	sessions []string
	// limit is the limit of sessions that is reached.
	limit *staging.LimitReached
	// unhealthy are those of them that are not healthy.
	unhealthy  []string
	retryAfter time.Duration
	// denied: the call is audited, as every 401 and 403 is.
	denied bool
	// quiet: the request is logged at debug level only, and not audited: it is one of many of
	// an address, which are counted.
	quiet bool
	// cause is for the log.
	cause error
}

// Error implements error.
func (r *problemError) Error() string {
	if r.cause != nil {
		return r.cause.Error()
	}
	return r.detail
}

func refuse(code Code, format string, args ...any) *problemError {
	return &problemError{code: code, detail: fmt.Sprintf(format, args...)}
}

// problemOf returns the problem for an error. An error of no known type is internal: its
// text stays in the log.
func problemOf(err error) *problemError {
	var (
		already *problemError
		invalid *staging.InvalidError
		refused *refusal.Error
	)
	switch {
	case errors.As(err, &already):
		return already
	// Refusals come before invalid values, because an invalid value may be a refusal's cause.
	case errors.As(err, &refused):
		r := &problemError{
			code: Code(refused.Kind), detail: refused.Detail, attempts: refused.Attempts, sessions: refused.Sessions, limit: refused.Limit, unhealthy: refused.Unhealthy,
			retryAfter: refused.RetryAfter, cause: err,
		}
		if r.retryAfter == 0 && retryable[r.code] {
			r.retryAfter = defaultRetryAfter
		}
		return r
	case errors.As(err, &invalid):
		return &problemError{code: CodeInvalidField, detail: inWords(invalid.What+" is not valid", invalid.Fields), fields: invalid.Fields}
	}
	return &problemError{
		code:   CodeInternal,
		detail: "the broker failed at this; its log has the cause, by the request id",
		cause:  err,
	}
}

// problemOfFaults returns one problem for all faults of a body. Faults of its form decide
// the code before faults of its values. more is how many there are beyond them.
func problemOfFaults(faults []fault, more int) *problemError {
	r := &problemError{code: CodeInvalidField}
	for _, f := range faults {
		if f.code != CodeInvalidField && r.code == CodeInvalidField {
			r.code = f.code
		}
		if f.Field == "" {
			return refuse(f.code, "%s", f.Message)
		}
		r.fields = append(r.fields, f.FieldError)
	}
	r.detail = inWords("the body is not valid", r.fields)
	if more > 0 {
		r.detail += fmt.Sprintf("; and %d more", more)
	}
	return r
}

func inWords(what string, fields []staging.FieldError) string {
	parts := make([]string, len(fields))
	for i, f := range fields {
		parts[i] = f.Field + " " + f.Message
	}
	return what + ": " + strings.Join(parts, "; ")
}

// refuseWith answers with err's problem document and ends the request. The access log
// takes the problem from the context.
func refuseWith(c *gin.Context, err error) {
	r := problemOf(err)
	if hungUp(c, r.cause) {
		giveUp(c)
		return
	}
	c.Set(keyProblem, r)
	c.Abort()
	if c.Writer.Written() {
		// It is too late for another answer; the problem is only logged.
		return
	}
	status, ok := statuses[r.code]
	if !ok {
		status = http.StatusInternalServerError
	}
	body, err := json.Marshal(Problem{
		Type:              "urn:greenroom:problem:" + string(r.code),
		Title:             http.StatusText(status),
		Status:            status,
		Detail:            r.detail,
		Code:              string(r.code),
		Errors:            r.fields,
		Attempts:          r.attempts,
		Sessions:          r.sessions,
		Limit:             r.limit,
		UnhealthySessions: r.unhealthy,
		RequestID:         c.GetString(keyRequestID),
	})
	media := mediaProblem
	if c.FullPath() == routeTranslated {
		media = mediaJSON
		body, err = json.Marshal(refusedTranslated{r.detail})
	}
	if err != nil {
		panic("httpapi: a problem document always marshals: " + err.Error())
	}
	if r.retryAfter > 0 {
		c.Header("Retry-After", strconv.Itoa(seconds(r.retryAfter)))
	}
	c.Data(status, media, body)
}

// seconds rounds up: a caller that comes back too early must come back again.
func seconds(d time.Duration) int { return int(math.Ceil(d.Seconds())) }
