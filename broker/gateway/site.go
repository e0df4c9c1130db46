package gateway

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/greenroom/greenroom/internal/staging"
)

// Site is where browsers find the gateway: by a host name for each session, such as
// https://SESSION.desk.example.org/, or by a path, such as https://desk.example.org/s/SESSION/.
// A port's label comes first, as in PORT--SESSION. With a host name each session is an origin of
// its own; with paths all sessions share one, so that their pages can reach each other.
type Site struct {
	scheme string
	// host is the host, with the port unless it is the scheme's; of paths, or below which the
	// sessions' names are.
	host, hostname, port string
	// perSession: each session has a host name of its own.
	perSession bool
}

// NewSite returns the site with an address, such as https://desk.example.org. domain is the
// domain below which each session has a name of its own, or "" for paths; with a domain, the
// address may be "", and says no more than scheme and port.
func NewSite(address, domain string) (Site, error) {
	if address == "" && domain == "" {
		return Site{}, errors.New("a gateway needs the address by which browsers reach it, or a domain")
	}
	if address == "" {
		address = "https://" + domain
	}
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https":
		return Site{}, fmt.Errorf("must be a URL such as https://desk.example.org, is %q", address)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "":
		return Site{}, fmt.Errorf("must have a scheme and a host, and at most a port, is %q", address)
	}
	s := Site{scheme: u.Scheme, hostname: canonical(u.Hostname()), port: u.Port()}
	if domain != "" {
		if !domainName.MatchString(domain) {
			return Site{}, fmt.Errorf("must be a domain such as desk.example.org, is %q", domain)
		}
		s.hostname, s.perSession = canonical(domain), true
	}
	if s.port == map[string]string{"http": "80", "https": "443"}[s.scheme] {
		s.port = ""
	}
	if s.host = s.hostname; strings.Contains(s.host, ":") {
		s.host = "[" + s.host + "]"
	}
	if s.port != "" {
		s.host = net.JoinHostPort(s.hostname, s.port)
	}
	return s, nil
}

// domainName is what a domain must match.
var domainName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$`)

// canonical returns a host name as it is compared.
func canonical(hostname string) string { return strings.ToLower(strings.TrimSuffix(hostname, ".")) }

// secure reports whether browsers speak TLS.
func (s Site) secure() bool { return s.scheme == "https" }

// pathRoot begins the paths of sessions.
const pathRoot = "/s/"

// target is what a request is for.
type target struct {
	// session is the session's id, label the port's; "" for the session's default port.
	session, label string
	// prefix is what of the path names the session, without a slash at its end; "" where the
	// host does.
	prefix string
	// path is the rest of the path, as it was sent. It is "" where the slash after the prefix
	// is missing.
	path string
}

// name matches how a target is named: a session's id, after a port's label or not.
var name = regexp.MustCompile(`^(?:([a-z0-9]+(?:[-_]+[a-z0-9]+)*)--)?(gr-[a-z0-9]{1,60})$`)

// parseName splits a target's name. ok is false if it is none.
func parseName(text string) (session, label string, ok bool) {
	m := name.FindStringSubmatch(strings.ToLower(text))
	if m == nil {
		return "", "", false
	}
	return m[2], m[1], true
}

var (
	// errHost: the request's host is none of the gateway's.
	errHost = errors.New("this gateway does not serve this host name")
	// errNoTarget: the request names no session.
	errNoTarget = errors.New("this address names no session")
)

// target returns what a request is for.
func (s Site) target(r *http.Request) (target, error) {
	host, path := canonical(hostnameOf(r.Host)), r.URL.EscapedPath()
	if s.perSession {
		first, rest, _ := strings.Cut(host, ".")
		if rest != s.hostname {
			return target{}, errHost
		}
		session, label, ok := parseName(first)
		if !ok {
			return target{}, errNoTarget
		}
		return target{session: session, label: label, path: path}, nil
	}
	if host != s.hostname {
		return target{}, errHost
	}
	rest, ok := strings.CutPrefix(path, pathRoot)
	if !ok {
		return target{}, errNoTarget
	}
	text, _, _ := strings.Cut(rest, "/")
	session, label, ok := parseName(text)
	if !ok {
		return target{}, errNoTarget
	}
	prefix := pathRoot + text
	return target{session: session, label: label, prefix: prefix, path: path[len(prefix):]}, nil
}

// hostnameOf returns a Host without its port.
func hostnameOf(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		return h
	}
	return strings.Trim(host, "[]")
}

// at returns the URL of a session's port, without a slash at its end.
func (s Site) at(session, label string) string {
	text := session
	if label != "" {
		text = staging.PortLabel(label) + "--" + session
	}
	if s.perSession {
		return s.scheme + "://" + text + "." + s.host
	}
	return s.scheme + "://" + s.host + pathRoot + text
}

// origin returns the origin of a target's pages.
func (s Site) origin(t target) string {
	if s.perSession {
		return s.at(t.session, t.label)
	}
	return s.scheme + "://" + s.host
}

// ownOrigin reports whether an origin is one of the session's own: that of any of its ports.
func (s Site) ownOrigin(t target, origin string) bool {
	if origin == s.origin(t) {
		return true
	}
	if !s.perSession {
		return false
	}
	first, ok := strings.CutSuffix(strings.TrimPrefix(origin, s.scheme+"://"), "."+s.host)
	session, _, named := parseName(first)
	return ok && named && session == t.session && strings.HasPrefix(origin, s.scheme+"://")
}
