package refusal

import (
	"errors"
	"fmt"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// retryUnavailable is the hint for a call that failed because a server did not answer,
// or because the broker is at a bound.
const retryUnavailable = 2 * time.Second

// NoRedis refuses because a call to Redis failed with err, or because Redis answers and is
// not trusted; err then says so.
func NoRedis(err error) *Error {
	return &Error{
		Kind: RedisUnavailable, Detail: "Redis does not answer, so no session can be claimed; try again shortly",
		RetryAfter: retryUnavailable, Cause: err,
	}
}

// NoConsul refuses because a call to Consul failed with err, or because what the call would
// have changed was stored by a newer greenroom.
func NoConsul(err error) *Error {
	if newer, ok := errors.AsType[*staging.NewerError](err); ok {
		return &Error{Kind: StoredByNewer, Detail: newer.Error(), Cause: err}
	}
	return &Error{
		Kind: ConsulUnavailable, Detail: "Consul does not answer, and no session is given away without it; try again shortly",
		RetryAfter: retryUnavailable, Cause: err,
	}
}

// NoNomad refuses because a call to Nomad failed with err.
func NoNomad(err error) *Error {
	return &Error{
		Kind: NomadUnavailable, Detail: "Nomad does not answer; try again shortly",
		RetryAfter: retryUnavailable, Cause: err,
	}
}

// AtBound refuses because the limit of something, such as "hooks at once", is reached.
func AtBound(limit int, of string) *Error {
	return &Error{
		Kind: Overloaded, RetryAfter: retryUnavailable,
		Detail: fmt.Sprintf("this broker is at its bound of %d %s; nothing was claimed: repeat shortly, here or at another broker", limit, of),
	}
}
