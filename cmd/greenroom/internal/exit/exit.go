// Package exit has the exit codes that greenroom promises to scripts, and the errors
// by which a command chooses one.
package exit

import (
	"fmt"
)

// The exit codes, as the help lists them.
const (
	OK = iota
	Failed
	Usage
	NotFound
	Invalid
	NoCapacity
	Unavailable
	Changes
	Unwell
)

// Error ends a command with an exit code of which its output has said why.
type Error int

// Error implements error.
func (e Error) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// UsageError says that the command was not called as it wants to be.
type UsageError struct{ error }

// Unwrap gives the cause.
func (e UsageError) Unwrap() error { return e.error }

// BadUsage says that a command was not called as it must be; its exit code is exitUsage.
func BadUsage(err error) error { return UsageError{err} }
