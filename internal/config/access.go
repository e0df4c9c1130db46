package config

import (
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"

	"github.com/greenroom/greenroom/internal/access"
)

// Access says who may call the broker.
type Access struct {
	// Enforced demands a token of every caller; greenroom bootstrap makes the first.
	Enforced bool
	// Issuer is the URL of an OpenID Connect issuer whose JWTs are taken; "" for none.
	Issuer string
	// Audience must be among those of a JWT.
	Audience string
	// UserClaim, GroupsClaim and RoleClaim are the claims that name the user, the
	// user's groups and roles; the latter two "" for none.
	UserClaim, GroupsClaim, RoleClaim string
	// Roles gives values of RoleClaim a role: admin, launcher or viewer.
	Roles map[string]string
}

// Guards reports whether a token is demanded of every caller.
func (a Agent) Guards() bool { return a.Token != "" || a.Access.Enforced || a.Access.Issuer != "" }

// Mapping is how the claims of a JWT become a caller. Access has been validated.
func (a Access) Mapping() access.Mapping {
	m := access.Mapping{User: a.UserClaim, Groups: a.GroupsClaim, Role: a.RoleClaim, Roles: map[string]access.Role{}}
	for value, role := range a.Roles {
		m.Roles[value] = access.Role(role)
	}
	return m
}

// MapsAdmins reports whether the issuer has administrators.
func (a Access) MapsAdmins() bool {
	return a.Issuer != "" && slices.Contains(slices.Collect(maps.Values(a.Roles)), string(access.Admin))
}

// validate names every setting that cannot be used.
func (a Access) validate(bad func(flag, format string, args ...any)) {
	if a.Issuer == "" {
		if a.Audience != "" || a.GroupsClaim != "" || a.RoleClaim != "" || len(a.Roles) > 0 {
			bad("oidc-issuer", "must be given where other --oidc flags are")
		}
		return
	}
	u, err := url.Parse(a.Issuer)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https"):
		bad("oidc-issuer", "must be a URL such as https://login.example.org, is %q", a.Issuer)
	case u.Scheme == "http" && !loopback(u.Hostname()):
		// Who can change its answers could sign as anybody.
		bad("oidc-issuer", "must be https, but on loopback; is %q", a.Issuer)
	}
	if a.Audience == "" {
		bad("oidc-audience", "must say which audience a JWT is to be for: one for another service must not open this one")
	}
	if a.UserClaim == "" {
		bad("oidc-user-claim", "must name the claim that is the user's id, such as sub")
	}
	if (a.RoleClaim == "") != (len(a.Roles) == 0) {
		bad("oidc-role-claim", "and --oidc-role belong together: the claim, and which of its values is which role")
	}
	for _, value := range slices.Sorted(maps.Keys(a.Roles)) {
		if _, err := access.ParseRole(a.Roles[value]); err != nil {
			bad("oidc-role", "%s: the role %v", value, err)
		}
	}
}

// loopback reports whether a host is this machine, and no other can reach it.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback() || host == "localhost"
}

// Guarded returns an error when an API that demands no token would be reachable
// from another machine.
func (a Agent) Guarded() error {
	if a.Guards() {
		return nil
	}
	host, _, err := net.SplitHostPort(a.Bind)
	if err != nil {
		return err
	}
	if loopback(host) {
		return nil
	}
	return fmt.Errorf("--bind %s can be reached from other machines, and no token guards the API: "+
		"start it with --access (or GREENROOM_ACCESS=true) and run greenroom bootstrap, set GREENROOM_TOKEN or --oidc-issuer, or bind to 127.0.0.1", a.Bind)
}
