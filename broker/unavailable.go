package broker

import "time"

func redisUnavailable(err error) *Error {
	return &Error{
		Kind: RedisUnavailable, Detail: "Redis does not answer, so no session can be claimed; try again shortly",
		RetryAfter: 2 * time.Second, Cause: err,
	}
}

func consulUnavailable(err error) *Error {
	return &Error{
		Kind: ConsulUnavailable, Detail: "Consul does not answer, and no session is given away without it; try again shortly",
		RetryAfter: 2 * time.Second, Cause: err,
	}
}

func nomadUnavailable(err error) *Error {
	return &Error{
		Kind: NomadUnavailable, Detail: "Nomad does not answer; try again shortly",
		RetryAfter: 2 * time.Second, Cause: err,
	}
}
