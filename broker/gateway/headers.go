package gateway

import (
	"net/http"
	"strings"
)

// beyond are the headers of an answer that reach beyond the session that sends them, or last longer
// than it. A gateway drops them. What holds for one document alone, such as Permissions-Policy or
// Reporting-Endpoints, is the session's own business; cookies are confined, not dropped.
var beyond = []string{
	"Clear-Site-Data", // it clears the cookies of the whole registrable domain: all sessions' and greenroom's
	// The browser keeps these for a host and its subdomains, also without the session. How a host is
	// reached is the gateway's to say.
	"Strict-Transport-Security", "Public-Key-Pins", "Public-Key-Pins-Report-Only", "Expect-Ct",
	"Alt-Svc",          // it leads the browser past the gateway, and so past its checks
	"Nel", "Report-To", // the browser reports addresses of the whole origin, with their links' codes, wherever these say
}

// beyondPath are those that reach beyond a session if it shares its origin with others. A session
// with a host name of its own is an origin of its own, and may send them.
var beyondPath = []string{
	"Service-Worker-Allowed", // a worker of one session would serve the pages of all
	"Origin-Agent-Cluster",   // the first page's wish holds for all pages of the origin
	"Accept-Ch", "Critical-Ch",
	"Set-Login",
	"Use-As-Dictionary", // it may be for the addresses of other sessions
}

// own are the headers of a request that only the gateway may set, besides those that begin with
// ourHeaders.
var own = map[string]bool{
	"Forwarded": true, "X-Forwarded-For": true, "X-Forwarded-Host": true, "X-Forwarded-Proto": true,
	headerPrefix: true, headerRequestID: true,
}

// spelled returns a header's name as programs may take it: CGI and its heirs, WSGI among them, know
// no difference of case, nor of - and _ and other marks.
func spelled(key string) string {
	return http.CanonicalHeaderKey(strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' {
			return c
		}
		return '-'
	}, key))
}

// withoutClaims removes what a client says of itself in the gateway's headers, in any spelling.
func withoutClaims(h http.Header) {
	for key := range h {
		if name := spelled(key); own[name] || strings.HasPrefix(name, ourHeaders) {
			delete(h, key)
		}
	}
}

// withoutReach removes the headers of an answer that only greenroom may send, and those that reach
// beyond the session. shared says that the session shares its origin with others.
func withoutReach(h http.Header, shared bool) {
	withoutClaims(h)
	for _, key := range beyond {
		h.Del(key)
	}
	if shared {
		for _, key := range beyondPath {
			h.Del(key)
		}
	}
}
