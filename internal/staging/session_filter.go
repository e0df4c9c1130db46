package staging

import (
	"cmp"
	"slices"
	"strings"
)

// SessionFilter selects the sessions of a list. A field that is not set selects all.
type SessionFilter struct {
	States []State
	Origin Origin
	// Zone, Image and Staging are names; User is a user's id.
	Zone, Image, Staging, User string
	// Revision is what the session was made from, or how that begins; or OldRevision, which
	// selects those that Outdated reports.
	Revision string
	Outdated func(Session) bool
	// Only selects further, such as what a caller may see; nil selects all.
	Only func(Session) bool
}

// Lets reports whether the filter selects a session.
func (f SessionFilter) Lets(s Session) bool {
	return (len(f.States) == 0 || slices.Contains(f.States, s.State)) &&
		(f.Origin == "" || f.Origin == s.Origin) &&
		(f.Zone == "" || f.Zone == s.Zone) &&
		(f.Image == "" || f.Image == s.Image) &&
		(f.Staging == "" || f.Staging == s.Staging) &&
		(f.User == "" || s.User != nil && f.User == s.User.ID) &&
		f.letsRevision(s) &&
		(f.Only == nil || f.Only(s))
}

// OldRevision, as a filter, is every revision that sessions are no longer made from. Revisions are
// hexadecimal.
const OldRevision = "old"

// MinRevision is how many characters of a revision a filter needs at least.
const MinRevision = 4

func (f SessionFilter) letsRevision(s Session) bool {
	if f.Revision == OldRevision {
		return f.Outdated != nil && f.Outdated(s)
	}
	return strings.HasPrefix(s.Revision, f.Revision)
}

// Unassigned reports whether the filter selects only unassigned sessions.
func (f SessionFilter) Unassigned() bool {
	return len(f.States) > 0 && !slices.ContainsFunc(f.States, func(s State) bool { return !s.Unassigned() })
}

// Ended reports whether the filter selects sessions that have ended. No list has both those
// and others.
func (f SessionFilter) Ended() bool { return slices.Contains(f.States, Ended) }

// Position is a place in a list of sessions. The list is sorted by creation and then by id; that
// of ended ones the other way round, by when they ended. The zero Position is before all.
type Position struct {
	// At is that time, in milliseconds since 1970.
	At int64
	ID string
}

// PositionOf returns the position of a session that has not ended.
func PositionOf(s Session) Position { return Position{At: s.CreatedAt.UnixMilli(), ID: s.ID} }

// Compare returns a negative number if p is before q.
func (p Position) Compare(q Position) int {
	return cmp.Or(cmp.Compare(p.At, q.At), cmp.Compare(p.ID, q.ID))
}

// SessionPage is a part of a list of sessions.
type SessionPage struct {
	Items []Session
	// More: the list continues after Next. Next may be past the last of Items: a page may be
	// short or empty if few sessions match the filter.
	More bool
	Next Position
}
