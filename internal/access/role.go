package access

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// Role decides what a caller may do; see the table of rules.
type Role string

// The roles, the most powerful first.
const (
	// Admin may do everything.
	Admin Role = "admin"
	// Launcher may launch for any user, read and end any session, and read the resources.
	// A portal or a matchmaker has it.
	Launcher Role = "launcher"
	// Viewer may read everything and change nothing.
	Viewer Role = "viewer"
	// User is a user of the identity provider. It may launch for itself, and read and end
	// only its own sessions. No stored token has it.
	User Role = "user"
)

// TokenRoles are the roles that a stored token may have, the most powerful first.
var TokenRoles = []Role{Admin, Launcher, Viewer}

// ParseRole parses a role that a stored token or a claim's value may have.
func ParseRole(s string) (Role, error) {
	if r := Role(s); slices.Contains(TokenRoles, r) {
		return r, nil
	}
	return "", fmt.Errorf("must be %s, is %q", joinRoles(TokenRoles), s)
}

// joinRoles returns, for example, "admin, launcher or viewer".
func joinRoles(roles []Role) string {
	names := make([]string, len(roles))
	for i, r := range roles {
		names[i] = string(r)
	}
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}

// Caller is an authenticated caller of the API. The zero value is nobody.
type Caller struct {
	Role Role
	// Accessor identifies the stored token; "" for a user of the identity provider. See
	// AccessorAgent and AccessorAnybody for callers without a stored token.
	Accessor string
	// Name is the token's name.
	Name string
	// Subject is the user's id at the identity provider; "" for a token.
	Subject string
	// UserName is the user's name at the provider; "" if the provider does not send it.
	UserName string
	// Groups are the user's groups at the provider.
	Groups []string
	// Rate is the token's limit in launches per second; 0 is no limit.
	Rate float64
	// Scope is what the token reaches; the zero value is everything.
	Scope Scope
	// ExpiresAt is when the stored token, or this secret of it, expires; zero is never.
	ExpiresAt time.Time
}

// Who returns the caller's name in audit events: "token:ACCESSOR", "user:ID", "anybody" if
// the API requires no token, or "nobody".
func (c Caller) Who() string {
	switch {
	case c.Subject != "":
		return "user:" + c.Subject
	case c.Accessor == AccessorAnybody:
		return AccessorAnybody
	case c.Accessor != "":
		return "token:" + c.Accessor
	}
	return "nobody"
}

// KeyScope is what the caller's Idempotency-Keys belong to: the same key in another scope is
// another key. Administrators who reach everything share one scope, which is "", whomever they
// launch for.
func (c Caller) KeyScope() string {
	if c.Role == Admin && c.Scope.IsZero() {
		return ""
	}
	return c.Who()
}

// Owns reports whether the caller may see the sessions of a user. With the role User it may
// see only its own; other roles may see all. userID is "" for a session without a user.
func (c Caller) Owns(userID string) bool {
	return c.Role != User || userID != "" && userID == c.Subject
}

// Sees reports whether the caller may see a session: with the role User its own, and whatever
// its role what its scope reaches.
func (c Caller) Sees(s staging.Session) bool {
	user := ""
	if s.User != nil {
		user = s.User.ID
	}
	return c.Owns(user) && c.Scope.AllowsSession(s)
}

// SeesAll reports whether the caller may see every session.
func (c Caller) SeesAll() bool { return c.Role != User && c.Scope.IsZero() }

// Stored reports whether the caller has a stored token.
func (c Caller) Stored() bool {
	return c.Accessor != "" && c.Accessor != AccessorAgent && c.Accessor != AccessorAnybody
}

// Accessors of callers without a stored token.
const (
	// AccessorAgent is the caller with the broker's own GREENROOM_TOKEN.
	AccessorAgent = "agent"
	// AccessorAnybody is every caller of an API that requires no token.
	AccessorAnybody = "anybody"
)

// Anybody is every caller of an API that requires no token.
var Anybody = Caller{Role: Admin, Accessor: AccessorAnybody}
