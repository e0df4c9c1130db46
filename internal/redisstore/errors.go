package redisstore

import (
	"fmt"

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
