package staging

import (
	"errors"
	"fmt"
)

var (
	// ErrNoSession means that there is no such session.
	ErrNoSession = errors.New("no such session")
	// ErrNoLog means that a session, or a task of it, has no log.
	ErrNoLog = errors.New("there is no log")
	// ErrSessionOver, beside ErrNoSession, means that the session's job is there, and has
	// ended or was stopped.
	ErrSessionOver = errors.New("its job has ended")
	// ErrNoResource means that no such zone, image, staging config or fate is stored.
	ErrNoResource = errors.New("no such resource")
	// ErrUncounted means that the sessions which exist could not be counted in Nomad.
	ErrUncounted = errors.New("the sessions in Nomad could not be counted")
	// ErrJobDenied means that Nomad refuses to say whether a session's job exists.
	ErrJobDenied = errors.New("nomad does not let this token read the job")
	// ErrExecDenied means that Nomad refuses to run a command in a session. It has run nothing then.
	ErrExecDenied = errors.New("nomad does not let this token run commands in the session")
)

// StateError means that the state of a session forbids a move.
type StateError struct {
	Session string
	// State is the session's state; "" if there is no such session.
	State State
	// Fenced: another claim than the given one holds the session.
	Fenced bool
}

// Error implements error.
func (e *StateError) Error() string {
	switch {
	case e.Fenced:
		return fmt.Sprintf("session %s is held by another claim", e.Session)
	case e.State == "":
		return fmt.Sprintf("session %s is not known", e.Session)
	}
	return fmt.Sprintf("session %s is %s", e.Session, e.State)
}
