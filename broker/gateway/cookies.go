package gateway

import (
	"net/http"
	"strings"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

const (
	// ourCookies begins the names of greenroom's cookies, which no session gets to see.
	ourCookies = "greenroom_"
	// hostPrefix keeps other hosts from setting a cookie; browsers take it over TLS alone.
	hostPrefix = "__Host-"
)

// passCookie returns the name of the cookie with the pass for a session. Where sessions share an
// origin, each has a cookie of its own.
func (s Site) passCookie(session string) string {
	n := ourCookies + "session"
	if !s.perSession {
		n = ourCookies + session
	}
	if s.secure() {
		return hostPrefix + n
	}
	return n
}

// setPass makes the browser keep a pass.
func (s Site) setPass(h http.Header, session string, pass string) {
	c := http.Cookie{
		Name: s.passCookie(session), Value: pass, Path: "/", HttpOnly: true, Secure: s.secure(),
		// A portal on another site may link to a session, so the cookie comes with links.
		SameSite: http.SameSiteLaxMode, MaxAge: int(passLife.Seconds()),
	}
	if pass == "" {
		c.MaxAge = -1
	}
	h.Add("Set-Cookie", c.String())
}

// passOf returns the valid pass of a request.
func (s Site) passOf(keys staging.SigningKeys, r *http.Request, session string, now time.Time) (seal, bool) {
	const most = 4 // a page can set further ones of the name, without the prefix
	for i, c := range r.CookiesNamed(s.passCookie(session)) {
		if i == most {
			break
		}
		if p, ok := verify(keys, aPass, session, c.Value, now); ok {
			return p, true
		}
	}
	return seal{}, false
}

// withoutOurs removes greenroom's cookies from a request's headers.
func withoutOurs(h http.Header) {
	lines := h["Cookie"]
	if len(lines) == 0 {
		return
	}
	var kept []string
	for _, line := range lines {
		for part := range strings.SplitSeq(line, ";") {
			if part = strings.TrimSpace(part); part != "" && !isOurs(part) {
				kept = append(kept, part)
			}
		}
	}
	if len(kept) == 0 {
		h.Del("Cookie")
		return
	}
	h["Cookie"] = []string{strings.Join(kept, "; ")}
}

// isOurs reports whether a cookie, NAME=VALUE, is greenroom's.
func isOurs(cookie string) bool {
	cookie = strings.ToLower(strings.TrimSpace(cookie))
	return strings.HasPrefix(strings.TrimPrefix(cookie, strings.ToLower(hostPrefix)), ourCookies)
}

// confine rewrites the cookies that a session sets, so that they are its own alone: not for other
// hosts of the domain, not for other sessions' paths, and never one of greenroom's names.
func confine(h http.Header, prefix string) {
	lines := h["Set-Cookie"]
	if len(lines) == 0 {
		return
	}
	kept := make([]string, 0, len(lines))
	for _, line := range lines {
		if !isOurs(line) {
			kept = append(kept, confined(line, prefix))
		}
	}
	h["Set-Cookie"] = kept
}

// confined returns a Set-Cookie line without its Domain, and below prefix.
func confined(line, prefix string) string {
	parts := strings.Split(line, ";")
	kept, path := parts[:1], ""
	for _, part := range parts[1:] {
		key, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch {
		case strings.EqualFold(key, "Domain"):
		case prefix != "" && strings.EqualFold(key, "Path"):
			path = value
		default:
			kept = append(kept, part)
		}
	}
	if prefix != "" {
		if !strings.HasPrefix(path, "/") {
			path = "/"
		}
		kept = append(kept, " Path="+prefix+path)
	}
	return strings.Join(kept, ";")
}
