package access

import (
	"fmt"
	"slices"
	"strings"

	"github.com/greenroom/greenroom/internal/staging"
)

// Mapping says which claims of an identity provider's token mean what. A claim is
// named as it is, or by the way to it with dots: realm_access.roles.
type Mapping struct {
	// User is the claim that is the user's id; it must be there.
	User string
	// Groups is the claim that lists the user's groups; "" for none.
	Groups string
	// Role is the claim whose values Roles gives a role; "" for none.
	Role  string
	Roles map[string]Role
}

// claimUserName is what OpenID Connect calls a user's name for people.
const claimUserName = "name"

// Caller is who the claims are about: of several roles the mightiest, and a user
// where there is none.
func (m Mapping) Caller(claims map[string]any) (Caller, error) {
	c := Caller{Role: User}
	c.Subject, _ = claimAt(claims, m.User).(string)
	if c.Subject == "" || len(c.Subject) > staging.MaxUserIDLength || strings.ContainsRune(c.Subject, 0) {
		return Caller{}, &RefusedError{fmt.Sprintf("the token's claim %q must name its user, in at most %d bytes", m.User, staging.MaxUserIDLength)}
	}
	c.UserName, _ = claims[claimUserName].(string)
	if m.Groups != "" {
		c.Groups = textsOf(claimAt(claims, m.Groups))
	}
	if m.Role == "" {
		return c, nil
	}
	values := textsOf(claimAt(claims, m.Role))
	for _, role := range TokenRoles {
		if slices.ContainsFunc(values, func(v string) bool { return m.Roles[v] == role }) {
			c.Role = role
			break
		}
	}
	return c, nil
}

// claimAt finds a claim by its own name, or else by the way to it.
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

// textsOf gives a claim's texts: providers send one, or a list.
func textsOf(v any) []string {
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
