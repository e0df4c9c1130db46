package httpapi

import (
	"net/http"
	"time"

	"github.com/greenroom/greenroom/internal/access"
)

// sealedCookie is a cookie whose value only brokers can read.
type sealedCookie struct {
	name     string
	sameSite http.SameSite
	life     time.Duration
}

var (
	// cookieLogin is the cookie of a browser that is logged in.
	cookieLogin = sealedCookie{"greenroom_login", http.SameSiteStrictMode, access.LoginLife}
	// cookieAttempt is the cookie of a browser that is at the provider. The provider's page leads
	// back here, so it is sent when another site's link is followed, and not otherwise.
	cookieAttempt = sealedCookie{"greenroom_login_attempt", http.SameSiteLaxMode, access.AttemptLife}
)

// nameOf returns the cookie's name. Over TLS it has the prefix with which browsers let no other
// host set it.
func (s site) nameOf(k sealedCookie, r *http.Request) string {
	if s.secure(r) {
		return "__Host-" + k.name
	}
	return k.name
}

// cookieHeader returns the header that sets a cookie; with "" the browser deletes it.
func (s site) cookieHeader(k sealedCookie, r *http.Request, sealed string) string {
	c := http.Cookie{
		Name: s.nameOf(k, r), Value: sealed, Path: "/", HttpOnly: true, SameSite: k.sameSite,
		MaxAge: int(k.life.Seconds()), Secure: s.secure(r),
	}
	if sealed == "" {
		c.MaxAge = -1
	}
	return c.String()
}

// sealedIn returns the value of a cookie of a request; "" for none.
func (s site) sealedIn(k sealedCookie, r *http.Request) string {
	if cookie, err := r.Cookie(s.nameOf(k, r)); err == nil {
		return cookie.Value
	}
	return ""
}
