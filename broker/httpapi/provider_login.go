package httpapi

import (
	"cmp"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/logfield"
)

// A login with OpenID Connect has two steps, both of which a browser opens as a page:
//
//	GET /v1/login/oidc           seals an attempt into a cookie, and leads to the provider
//	GET /v1/login/oidc/callback  opens the attempt, exchanges the code, and leads to the page
//
// Nothing is kept between them, so that the second may reach another broker. Both always lead
// elsewhere: no code stays in the browser's address bar or history, also not of a login that
// failed.
const (
	routeBeginLogin  = "/v1/login/oidc"
	routeFinishLogin = "/v1/login/oidc/callback"
)

// pagePaths are the paths of the pages.
var pagePaths = map[access.Page]string{access.PageOperators: "/ui/", access.PageUsers: "/"}

// failedFragment begins the fragment by which the page learns why a login failed. No server
// sees it.
const failedFragment = "#login-failed="

// LoginCallback returns the URL at which logins with a provider finish, for a broker's
// external URL.
func LoginCallback(external string) string { return external + routeFinishLogin }

// saneView is what a view of the page must match: a path and a query. It is put behind the #
// of the page's own URL, so it cannot lead elsewhere.
var saneView = regexp.MustCompile(`^(/[A-Za-z0-9/?&=%.,:~_'()!*+-]{0,511})?$`)

// GetLogin implements StrictServerInterface.
func (h *handlers) GetLogin(context.Context, GetLoginRequestObject) (GetLoginResponseObject, error) {
	options := LoginOptions{}
	if p := h.guard.Provider; p != nil {
		options.Provider = &LoginProvider{Name: p.Name(), URL: h.site.at(routeBeginLogin)}
	}
	return GetLogin200JSONResponse(options), nil
}

// at returns the URL of a path by which browsers reach it.
func (s site) at(path string) string {
	if s.external == nil {
		return path
	}
	return s.external.String() + path
}

// leadTo ends a request by leading the browser elsewhere.
func leadTo(c *gin.Context, url string) {
	c.Header("Location", url)
	c.Header("Referrer-Policy", "no-referrer")
	c.Status(http.StatusSeeOther)
	c.Writer.WriteHeaderNow()
}

// beginLogin leads a browser to the provider.
func (e *edge) beginLogin(c *gin.Context) {
	page, view := access.Page(c.DefaultQuery("page", string(access.PageOperators))), c.Query("view")
	if pagePaths[page] == "" {
		refuseWith(c, refuseParameter(CodeInvalidParameter, "page", fmt.Sprintf("must be %s or %s", access.PageUsers, access.PageOperators)))
		return
	}
	if !saneView.MatchString(view) {
		refuseWith(c, refuseParameter(CodeInvalidParameter, "view", "must be a path within the page, such as /sessions"))
		return
	}
	// Another site's page must not make a browser log in. On our page a person decides.
	if e.guard.Provider == nil || ledFromElsewhere(c.Request) {
		leadTo(c, e.site.page(page, view))
		return
	}
	ctx, attempt := c.Request.Context(), access.NewAttempt(view)
	attempt.Page = page
	sealed, err := e.guard.SealAttempt(ctx, attempt, time.Now())
	if err != nil {
		e.failLogin(c, attempt, err, e.wrongLogins)
		return
	}
	at, err := e.guard.Provider.Begin(ctx, attempt)
	if err != nil {
		e.failLogin(c, attempt, err, e.wrongLogins)
		return
	}
	c.Header("Set-Cookie", e.site.cookieHeader(cookieAttempt, c.Request, sealed))
	leadTo(c, at)
}

// ledFromElsewhere reports whether another site's page, also one on another port, led a browser
// to a page of this broker. Browsers of before 2023 do not say.
func ledFromElsewhere(r *http.Request) bool {
	from := r.Header.Get("Sec-Fetch-Site")
	return from == "cross-site" || from == "same-site"
}

// page returns the URL of a view of a page.
func (s site) page(page access.Page, view string) string {
	at := s.at(pagePaths[cmp.Or(page, access.PageOperators)])
	if view == "" {
		return at
	}
	return at + "#" + view
}

// finishLogin logs in a browser that comes back from the provider.
func (e *edge) finishLogin(c *gin.Context) {
	if e.guard.Provider == nil {
		leadTo(c, e.site.page(access.PageOperators, ""))
		return
	}
	sealed := e.site.sealedIn(cookieAttempt, c.Request)
	// An attempt counts once.
	c.Writer.Header().Add("Set-Cookie", e.site.cookieHeader(cookieAttempt, c.Request, ""))
	ctx, now := c.Request.Context(), time.Now()
	attempt, err := e.guard.OpenAttempt(ctx, sealed, now)
	if err != nil {
		e.failLogin(c, access.Attempt{}, err, e.wrongCallbacks)
		return
	}
	response, err := responseOf(c.Request.URL.Query(), attempt)
	if err != nil {
		e.failLogin(c, attempt, err, e.wrongCallbacks)
		return
	}
	// Each code costs the provider a request, so an address may try few that are wrong.
	if e.wrongLogins.exhausted(strangerOf(c), now) {
		e.failLogin(c, attempt, errManyLogins, e.wrongLogins)
		return
	}
	sealed, caller, err := e.providerLogin(ctx, attempt, response, now)
	if err != nil {
		e.failLogin(c, attempt, err, e.wrongLogins)
		return
	}
	call := access.CallOf(ctx)
	call.Caller = caller
	ctx = call.In(ctx)
	c.Request = c.Request.WithContext(ctx)
	if err := e.broker.Auditor.Attempt(ctx, auditedPath(c)); err != nil {
		e.failLogin(c, attempt, &access.UnavailableError{What: "the audit log", Stored: true, Cause: err}, e.wrongLogins)
		return
	}
	c.Writer.Header().Add("Set-Cookie", e.site.cookieHeader(cookieLogin, c.Request, sealed))
	e.broker.Auditor.Trace(ctx, "login of", caller.Who(), nil)
	leadTo(c, e.site.page(attempt.Page, attempt.View))
}

// providerLogin returns the sealed login of whoever the provider's response is for.
func (e *edge) providerLogin(ctx context.Context, a access.Attempt, r access.ProviderResponse, now time.Time) (sealed string, caller access.Caller, err error) {
	claims, err := e.guard.Provider.Finish(ctx, a, r)
	if err != nil {
		return "", caller, err
	}
	if caller, err = e.guard.ProviderCaller(claims); err != nil {
		return "", caller, err
	}
	sealed, err = e.guard.ProviderLogin(ctx, claims, now)
	return sealed, caller, err
}

// responseOf returns the provider's response in a query, or an error if it is not for the
// attempt. A parameter that is there twice is not the provider's.
func responseOf(query url.Values, a access.Attempt) (access.ProviderResponse, error) {
	one := func(name string) string {
		if values := query[name]; len(values) == 1 {
			return values[0]
		}
		return ""
	}
	if subtle.ConstantTimeCompare([]byte(one("state")), []byte(a.State)) != 1 {
		return access.ProviderResponse{}, fmt.Errorf("%w (its state belongs to another attempt)", access.ErrLoginOver)
	}
	return access.ProviderResponse{Code: one("code"), Error: one("error"), Issuer: one("iss")}, nil
}

// errManyLogins means that too many logins failed from one address.
var errManyLogins = &access.RefusedError{Login: access.LoginTooMany, Reason: "too many logins failed from this address"}

// failLogin leads a browser whose login failed to the page, which says why and what to do.
// The reason itself is for the audit: it may be about the broker's settings. The failure counts
// among those of its kind: what another site makes a browser send costs nobody a login.
func (e *edge) failLogin(c *gin.Context, a access.Attempt, err error, of *wrongTokens) {
	if hungUp(c, err) {
		giveUp(c)
		return
	}
	why := access.FailureOf(err)
	problem := &problemError{code: CodeUnauthorized, detail: err.Error()}
	if why == access.LoginUnavailable {
		problem = &problemError{code: CodeIssuerUnavailable, detail: "the login cannot be checked now", cause: err}
		e.log.WithField(logfield.RequestID, c.GetString(keyRequestID)).WithError(err).Warn("a login with OpenID Connect cannot be checked now")
	} else if locked, ok := errors.AsType[*access.LockedError](err); ok {
		problem = lockedOut(locked)
	} else if many := e.tooMany(c, of); many != nil {
		problem = problemOf(many)
	}
	c.Set(keyProblem, problem)
	leadTo(c, e.site.page(a.Page, "")+failedFragment+string(why)+a.View)
}
