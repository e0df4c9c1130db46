package access

import (
	"fmt"
	"slices"
	"strings"
)

// Role is what a caller may do; Rules has the table.
type Role string

// The roles, the mightiest first.
const (
	// Admin may do everything.
	Admin Role = "admin"
	// Launcher launches for any user that it names, reads and ends any session, and
	// reads the resources: a portal, a matchmaker.
	Launcher Role = "launcher"
	// Viewer reads, and changes nothing.
	Viewer Role = "viewer"
	// User is one user of the identity provider: launches for itself, and sees and
	// ends its own sessions alone. No token has it.
	User Role = "user"
)

// TokenRoles are those that a token may have.
var TokenRoles = []Role{Admin, Launcher, Viewer}

// ParseRole reads a role that a token, or a claim's value, may stand for.
func ParseRole(s string) (Role, error) {
	if r := Role(s); slices.Contains(TokenRoles, r) {
		return r, nil
	}
	return "", fmt.Errorf("must be %s, is %q", inWords(TokenRoles), s)
}

// inWords joins roles as people do: admin, launcher or viewer.
func inWords(roles []Role) string {
	names := make([]string, len(roles))
	for i, r := range roles {
		names[i] = string(r)
	}
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}

// Caller is who a request is from. The zero value is nobody.
type Caller struct {
	Role Role
	// Accessor names the token that was shown; "" where it was none of the stored ones.
	Accessor string
	// Name is the token's, for people.
	Name string
	// Subject is the user's id at the identity provider; "" for a token.
	Subject string
	// UserName is what the provider calls the user; "" where it does not say.
	UserName string
	// Groups are the user's, as the provider has them.
	Groups []string
	// Rate bounds the token's launches a second; 0 is no bound.
	Rate float64
}

// Who names the caller in audit events: "token:ACCESSOR", "user:ID", "anybody" where
// access is not guarded, or "nobody".
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

// Owns reports whether a session of this user is the caller's to see: every one
// is but to a user, who has only its own. userID is "" for a session of nobody.
func (c Caller) Owns(userID string) bool {
	return c.Role != User || userID != "" && userID == c.Subject
}

// Accessors of callers that no stored token stands for.
const (
	// AccessorAgent is the broker's own GREENROOM_TOKEN.
	AccessorAgent = "agent"
	// AccessorAnybody is everybody, where access is not guarded.
	AccessorAnybody = "anybody"
)

// Anybody is who calls where access is not guarded.
var Anybody = Caller{Role: Admin, Accessor: AccessorAnybody}
