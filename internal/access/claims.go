package access

import (
	"fmt"
	"slices"
	"strings"

	"github.com/greenroom/greenroom/internal/staging"
)

// Mapping says how the claims of an identity provider's token become a caller. A claim is
// given by its name, or by its path with dots, such as realm_access.roles.
type Mapping struct {
	// User is the claim with the user's id. A token without it is refused.
	User string
	// Groups is the claim with the user's groups; "" for none.
	Groups string
	// Role is the claim whose values Roles maps to roles; "" for none.
	Role  string
	Roles map[string]Role
}

// nameClaim is the standard claim of OpenID Connect for a user's display name.
const nameClaim = "name"

// Caller returns the caller that the claims describe. With several roles it has the most
// powerful one; without any it has the role User. Errors are a *RefusedError.
func (m Mapping) Caller(claims map[string]any) (Caller, error) {
	c := Caller{Role: User}
	c.Subject, _ = claimAt(claims, m.User).(string)
	if c.Subject == "" || len(c.Subject) > staging.MaxUserIDLength || strings.ContainsRune(c.Subject, 0) {
		return Caller{}, &RefusedError{fmt.Sprintf("the token's claim %q must be the user's id, with at most %d bytes", m.User, staging.MaxUserIDLength)}
	}
	c.UserName, _ = claims[nameClaim].(string)
	if m.Groups != "" {
		c.Groups = stringsOf(claimAt(claims, m.Groups))
	}
	if m.Role == "" {
		return c, nil
	}
	values := stringsOf(claimAt(claims, m.Role))
	for _, role := range TokenRoles {
		if slices.ContainsFunc(values, func(v string) bool { return m.Roles[v] == role }) {
			c.Role = role
			break
		}
	}
	return c, nil
}

// claimAt returns a claim by its name, else by its path.
func claimAt(claims map[string]any, name string) any {
	if v, ok := claims[name]; ok {
		return v
	}
	first, rest, nested := strings.Cut(name, ".")
	inner, ok := claims[first].(map[string]any)
	if !nested || !ok {
		return nil
	}
	return claimAt(inner, rest)
}

// stringsOf returns a claim's strings. Providers send one string or a list.
func stringsOf(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		var all []string
		for _, e := range v {
			if s, ok := e.(string); ok {
				all = append(all, s)
			}
		}
		return all
	}
	return nil
}
