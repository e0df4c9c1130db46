package redisstore

import (
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/internal/staging"
)

// callError says which call on what failed, for example "redis: retire session gr-1: EOF".
// It returns nil if err is nil.
func callError(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("redis: %s: %w", fmt.Sprintf(format, args...), err)
}

// expect returns an error unless the script moved the session to the wanted state: err if
// the call failed, or a *staging.StateError with the state that forbids the move.
func expect(id, got string, err error, want staging.State) error {
	switch {
	case err != nil:
		return err
	case got == "fenced":
		return &staging.StateError{Session: id, Fenced: true}
	case got != string(want):
		return &staging.StateError{Session: id, State: staging.State(got)}
	}
	return nil
}

// refusedError is an error that Redis answered with. A full disk, for example, makes it refuse
// every write, and pings too.
type refusedError struct{ answer redis.Error }

// Error implements error.
func (e refusedError) Error() string { return e.answer.Error() }

// Refused returns Redis's own words.
func (e refusedError) Refused() string { return e.answer.Error() }

// Unwrap returns the error of the client.
func (e refusedError) Unwrap() error { return e.answer }
