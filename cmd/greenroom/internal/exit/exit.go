// Package exit has the exit codes that greenroom promises to scripts, and the errors
// by which a command chooses one.
package exit

import "fmt"

// The exit codes, in the order in which greenroom --help lists them.
const (
	OK           = iota
	Failed       // for any other reason
	Usage        // the command was called wrongly
	NotFound     // what the command names does not exist
	Invalid      // the broker refused the input, or resource files are not valid
	NoCapacity   // a launch found no room
	Unavailable  // the broker, or a server that it needs, does not answer or takes no more now
	Changes      // plan, restore --dry-run: there is something to change
	Unwell       // status: not all is well
	Unauthorized // there is no token, or it is not valid
	Forbidden    // the token is valid and may not do this
	Limit        // there are as many sessions as a limit of the user, the image or the zone allows
	RateLimited  // too many calls: the same call is accepted later
	Refused      // valid, and not possible as things stand, such as deleting what is in use
	NotUp        // launch: the session is its user's, and was not up within the time to wait
	Declined     // the command asks first, and was not confirmed: nothing was changed
)

// The exit codes of greenroom exec for a command that did not start, which are those of a
// shell.
const (
	NotExecutable = 126
	NoCommand     = 127
)

// Error ends a command with an exit code. It is not printed: the command's output has
// already given the reason.
type Error int

// Error implements error.
func (e Error) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// UsageError means that a command was called with wrong arguments, flags, variables or
// configuration; the exit code is Usage.
type UsageError struct{ error }

// Unwrap returns the cause.
func (e UsageError) Unwrap() error { return e.error }

// BadUsage returns err as a UsageError.
func BadUsage(err error) error { return UsageError{err} }

// DeclinedError means that a command was not confirmed; the exit code is Declined.
type DeclinedError struct{ error }

// Unwrap returns the cause.
func (e DeclinedError) Unwrap() error { return e.error }

// NotConfirmed returns err as a DeclinedError.
func NotConfirmed(err error) error { return DeclinedError{err} }
