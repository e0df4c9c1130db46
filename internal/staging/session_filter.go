package staging

import (
	"cmp"
	"slices"
)

// SessionFilter says which sessions a list is to have; what is not set lets all through.
type SessionFilter struct {
	States []State
	Origin Origin
	// Zone, Image and Staging are names, User is a user's id.
	Zone, Image, Staging, User string
}

// Lets reports whether a session is one of those wanted.
func (f SessionFilter) Lets(s Session) bool {
	return (len(f.States) == 0 || slices.Contains(f.States, s.State)) &&
		(f.Origin == "" || f.Origin == s.Origin) &&
		(f.Zone == "" || f.Zone == s.Zone) &&
		(f.Image == "" || f.Image == s.Image) &&
		(f.Staging == "" || f.Staging == s.Staging) &&
		(f.User == "" || s.User != nil && f.User == s.User.ID)
}

// Unassigned reports whether only sessions are wanted that exist and are nobody's.
func (f SessionFilter) Unassigned() bool {
	return len(f.States) > 0 && !slices.ContainsFunc(f.States, func(s State) bool { return !s.Unassigned() })
}

// Position is a place in the list of sessions, which is in the order of their creation
// and then of their ids; the zero one is before all.
type Position struct {
	// Created is in milliseconds since 1970.
	Created int64
	ID      string
}

// PositionOf is where a session stands.
func PositionOf(s Session) Position { return Position{Created: s.CreatedAt.UnixMilli(), ID: s.ID} }

// Compare is negative when p comes before q.
func (p Position) Compare(q Position) int {
	return cmp.Or(cmp.Compare(p.Created, q.Created), cmp.Compare(p.ID, q.ID))
}

// SessionPage is a part of a list of sessions.
type SessionPage struct {
	Items []Session
	// More: the list goes on after Next, which may be past the last of Items: a page may
	// be short, or empty, where few sessions are of the kind that is wanted.
	More bool
	Next Position
}
