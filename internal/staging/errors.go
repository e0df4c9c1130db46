package staging

import (
	"errors"
	"fmt"
)

var (
	// ErrNoSession: no such session is known.
	ErrNoSession = errors.New("no such session")
	// ErrNoResource: no such zone, image, staging config or fate is stored.
	ErrNoResource = errors.New("no such resource")
)

// StateError says that a session is in a state that forbids the move asked for.
type StateError struct {
	Session string
	// State is the one it is in; "" when the session is not known.
	State State
	// Fenced: it is held by another claim than the one given.
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
