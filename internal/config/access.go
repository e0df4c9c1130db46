package config

import (
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"

	"github.com/greenroom/greenroom/internal/access"
)

// Access configures the access to the broker's API.
type Access struct {
	// Enforced requires a token of every caller; greenroom bootstrap creates the first.
	Enforced bool
	// Issuer is the URL of an OpenID Connect issuer whose JWTs are accepted; "" for none.
	Issuer string
	// Audience must be among the audiences of a JWT.
	Audience string
	// UserClaim, GroupsClaim and RoleClaim are the claims with the user's id, groups and
	// roles. GroupsClaim and RoleClaim may be "" for none.
	UserClaim, GroupsClaim, RoleClaim string
	// Roles maps values of RoleClaim to a role: admin, launcher or viewer.
	Roles map[string]string
	// GroupsPrefix begins the groups that count, and is removed from them; "" for all groups.
	GroupsPrefix string
	// RequiredClaims are claims of a JWT, and the value that each must have.
	RequiredClaims map[string]string
	// ClientID is the broker's client at the issuer, with which browsers log in; "" for no
	// such login. ClientSecret is the client's secret; "" for a public client.
	ClientID     string
	ClientSecret Secret
	// ProviderName is the issuer's name for people, on the button that logs them in; "" is
	// the host of its URL.
	ProviderName string
	// Scopes are requested beside openid when a browser logs in.
	Scopes []string
}

// Guards reports whether every caller needs a token.
func (a Agent) Guards() bool { return a.Token != "" || a.Access.Enforced || a.Access.Issuer != "" }

// Mapping returns the mapping from a JWT's claims to a caller. Access must be valid.
func (a Access) Mapping() access.Mapping {
	m := access.Mapping{
		User: a.UserClaim, Groups: a.GroupsClaim, GroupsPrefix: a.GroupsPrefix, Required: a.RequiredClaims,
		Role: a.RoleClaim, Roles: map[string]access.Role{},
	}
	for value, role := range a.Roles {
		m.Roles[value] = access.Role(role)
	}
	return m
}

// MapsAdmins reports whether a JWT of the issuer can have the role admin.
func (a Access) MapsAdmins() bool {
	return a.Issuer != "" && slices.Contains(slices.Collect(maps.Values(a.Roles)), string(access.Admin))
}

// namesIssuersTokens reports whether there is a setting for the tokens of an issuer.
func (a Access) namesIssuersTokens() bool {
	return a.Audience != "" || a.GroupsClaim != "" || a.GroupsPrefix != "" || len(a.RequiredClaims) > 0 || a.RoleClaim != "" || len(a.Roles) > 0
}

// setsClient reports whether there is a setting for the broker's client at the issuer, beside
// its id.
func (a Access) setsClient() bool {
	return a.ClientSecret != "" || a.ProviderName != "" || len(a.Scopes) > 0
}

// validate calls add for every setting that cannot be used.
func (a Access) validate(add func(flag, format string, args ...any)) {
	if a.Issuer == "" {
		if a.namesIssuersTokens() || a.ClientID != "" || a.setsClient() {
			add("oidc-issuer", "must be set if other --oidc flags are")
		}
		return
	}
	u, err := url.Parse(a.Issuer)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https"):
		add("oidc-issuer", "must be a URL such as https://login.example.org, is %q", a.Issuer)
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		// An attacker who changes the issuer's responses could sign as any user.
		add("oidc-issuer", "must be https, unless it is on loopback; is %q", a.Issuer)
	}
	if a.Audience == "" {
		add("oidc-audience", "must name the audience of accepted JWTs, so that a JWT for another service is refused")
	}
	if a.UserClaim == "" {
		add("oidc-user-claim", "must name the claim that holds the user's id, such as sub")
	}
	if (a.RoleClaim == "") != (len(a.Roles) == 0) {
		add("oidc-role-claim", "and --oidc-role must be set together: the claim, and the role of each of its values")
	}
	if a.GroupsPrefix != "" && a.GroupsClaim == "" {
		add("oidc-groups-prefix", "has no effect without --oidc-groups-claim, which names the claim with the user's groups")
	}
	for _, claim := range slices.Sorted(maps.Keys(a.RequiredClaims)) {
		if a.RequiredClaims[claim] == "" {
			add("oidc-required-claim", "%s: must have a value, as in NAME=VALUE", claim)
		}
	}
	if a.ClientID == "" && a.setsClient() {
		add("oidc-client-id", "must be set if the client's secret, the provider's name or a scope is: it is the id of the broker's client at the issuer")
	}
	for _, value := range slices.Sorted(maps.Keys(a.Roles)) {
		if _, err := access.ParseRole(a.Roles[value]); err != nil {
			add("oidc-role", "%s: the role %v", value, err)
		}
	}
}

// isLoopback reports whether only this machine can reach a host.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback() || host == "localhost"
}

// Guarded returns an error if other machines could reach an API that requires no token.
func (a Agent) Guarded() error {
	if a.Guards() {
		return nil
	}
	if u := a.External(); u != nil && !isLoopback(u.Hostname()) {
		return fmt.Errorf("others can reach the broker by --external-url %s, and the API requires no token: "+
			"start it with --access (or GREENROOM_ACCESS=true) and run greenroom bootstrap, or set GREENROOM_TOKEN or --oidc-issuer", a.ExternalURL)
	}
	host, _, err := net.SplitHostPort(a.Bind)
	if err != nil {
		return fmt.Errorf("--bind %q: %w", a.Bind, err)
	}
	if isLoopback(host) {
		return nil
	}
	return fmt.Errorf("other machines can reach --bind %s, and the API requires no token: "+
		"start it with --access (or GREENROOM_ACCESS=true) and run greenroom bootstrap, set GREENROOM_TOKEN or --oidc-issuer, or bind to 127.0.0.1", a.Bind)
}
