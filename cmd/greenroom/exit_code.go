package main

import (
	"fmt"
)

// The exit codes, as the help lists them.
const (
	exitOK = iota
	exitFailed
	exitUsage
	exitNotFound
	exitInvalid
	exitNoCapacity
	exitUnavailable
	exitChanges
	exitUnwell
)

// exitError ends a command with an exit code of which its output has said why.
type exitError int

// Error implements error.
func (e exitError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// usageError says that the command was not called as it wants to be.
type usageError struct{ error }

// Unwrap gives the cause.
func (e usageError) Unwrap() error { return e.error }

// badUsage says that a command was not called as it must be; its exit code is exitUsage.
func badUsage(err error) error { return usageError{err} }
