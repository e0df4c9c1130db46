package httpapi

import (
	"cmp"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/greenroom/greenroom/broker/sessions"
)

// routeAuthorize is what a reverse proxy calls for every request to a session.
const routeAuthorize = "/v1/sessions/:id/authorize"

// Where a proxy sends the original request's parts: nginx by convention, Traefik by itself.
const (
	headerOriginalURI   = "X-Original-URI"
	headerForwardedURI  = "X-Forwarded-Uri"
	headerForwardedHost = "X-Forwarded-Host"
	headerAccessToken   = "X-Greenroom-Token"
	cookieAccessToken   = "greenroom_token"
	queryAccessToken    = "token"
)

// authorize answers a proxy: 200 with the session's user, or a problem with status 401,
// 403, 404 or 5xx. It is not held to the contract's parameters, since the headers are those of
// the proxy's user.
func (e *edge) authorize(c *gin.Context) {
	r := c.Request
	s, err := e.broker.Sessions.Authorize(r.Context(), sessions.Access{
		Session: c.Param("id"), Tokens: accessTokens(r),
		// Several origins are none that is allowed, whichever comes first.
		Origin:      strings.Join(r.Header.Values("Origin"), ", "),
		RequestHost: hostOf(cmp.Or(r.Header.Get(headerForwardedHost), r.Host)),
		Port:        c.Query("port"),
	})
	if err != nil {
		problem := problemOf(err)
		// A proxy's users all come from its address, so each is answered; but a stranger must not
		// fill the log and the events.
		if problem.code == CodeUnauthorized && e.tooMany(c, e.wrongChecks) != nil {
			problem.quiet = true
		}
		refuseWith(c, problem)
		return
	}
	c.Header("X-Greenroom-Session-Id", s.ID)
	c.Header("X-Greenroom-User-Id", url.PathEscape(s.User.ID))
	c.Header("X-Greenroom-User-Name", url.PathEscape(s.User.Name))
	if !s.RestartedAt.IsZero() {
		// The user is let through all the same: the page may be up before its hook has run.
		c.Header("X-Greenroom-Restarted-At", s.RestartedAt.Format(time.RFC3339))
	}
	if _, host, ok := s.Upstream(c.Query("port")); ok {
		c.Header("X-Greenroom-Upstream", host)
	}
	c.Header("Cache-Control", "no-store")
	c.Status(http.StatusOK)
}

// maxTokens bounds how many tokens of a request are tried.
const maxTokens = 8

// accessTokens returns everything in the proxy's request that may be the session's token.
// None is ever logged.
func accessTokens(r *http.Request) []string {
	var found []string
	add := func(token string) {
		if token != "" && len(found) < maxTokens {
			found = append(found, token)
		}
	}
	if scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " "); strings.EqualFold(scheme, "Bearer") {
		add(strings.TrimSpace(token))
	}
	add(r.Header.Get(headerAccessToken))
	for _, header := range []string{headerOriginalURI, headerForwardedURI} {
		if u, err := url.ParseRequestURI(r.Header.Get(header)); err == nil {
			add(u.Query().Get(queryAccessToken))
		}
	}
	for _, cookie := range r.CookiesNamed(cookieAccessToken) {
		add(cookie.Value)
	}
	return found
}
