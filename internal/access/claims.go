package access

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
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
	// GroupsPrefix begins the groups that count, and is removed from them; "" for all groups.
	GroupsPrefix string
	// Required are claims and the value that each must have, or have in its list. A token
	// without one of them is refused.
	Required map[string]string
	// Role is the claim whose values Roles maps to roles; "" for none.
	Role  string
	Roles map[string]Role
}

// nameClaim is the standard claim of OpenID Connect for a user's display name.
const nameClaim = "name"

// Caller returns the caller that the claims describe. With several roles it has the most
// powerful one; without any it has the role User. Errors are a *RefusedError.
func (m Mapping) Caller(claims map[string]any) (Caller, error) {
	for _, name := range slices.Sorted(maps.Keys(m.Required)) {
		if !slices.Contains(stringsOf(claimAt(claims, name)), m.Required[name]) {
			return Caller{}, &RefusedError{Reason: fmt.Sprintf("the token's claim %q does not have the value that this broker requires: sign in with another account", name)}
		}
	}
	c := Caller{Role: User}
	c.Subject, _ = claimAt(claims, m.User).(string)
	if c.Subject == "" || len(c.Subject) > staging.MaxUserIDLength || strings.ContainsRune(c.Subject, 0) {
		return Caller{}, &RefusedError{Reason: fmt.Sprintf("the token's claim %q must be the user's id, with at most %d bytes", m.User, staging.MaxUserIDLength)}
	}
	c.UserName, _ = claims[nameClaim].(string)
	if m.Groups != "" {
		c.Groups = withPrefix(stringsOf(claimAt(claims, m.Groups)), m.GroupsPrefix)
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

// withPrefix returns the rest of those names that begin with a prefix. A name that is the
// prefix alone has no rest.
func withPrefix(names []string, prefix string) []string {
	var rest []string
	for _, name := range names {
		if after, found := strings.CutPrefix(name, prefix); found && after != "" {
			rest = append(rest, after)
		}
	}
	return rest
}

// Claims are claims of an identity provider's token.
type Claims map[string]any

// Keep returns what Caller needs of claims, by the names of the mapping, so that both have the
// same caller: a login keeps it in the browser's cookie, which is small. It drops groups that do
// not count: all of them, for another role than User. Errors are a *RefusedError.
func (m Mapping) Keep(claims Claims) (Claims, error) {
	c, err := m.Caller(claims)
	if err != nil {
		return nil, err
	}
	// Several settings may name one claim, so its values are collected.
	values := map[string][]any{}
	for name, value := range m.Required {
		values[name] = append(values[name], value)
	}
	if c.Role == User {
		for _, group := range c.Groups {
			values[m.Groups] = append(values[m.Groups], m.GroupsPrefix+group)
		}
	} else {
		for _, v := range stringsOf(claimAt(claims, m.Role)) {
			if _, ok := m.Roles[v]; ok {
				values[m.Role] = append(values[m.Role], v)
			}
		}
	}
	kept := Claims{}
	for name, all := range values {
		kept[name] = all
	}
	for _, name := range []string{m.User, nameClaim} {
		if v := claimAt(claims, name); v != nil {
			kept[name] = v
		}
	}
	return kept, nil
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

// stringsOf returns a claim's values as strings: a string, true or false, or those in a list.
func stringsOf(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case bool:
		return []string{strconv.FormatBool(v)}
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
