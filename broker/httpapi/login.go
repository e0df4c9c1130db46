package httpapi

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// Operations that need no token and change something: no other site may make a browser log in
// or out, or create the first token.
const (
	operationLogin     = "login"
	operationLogout    = "logout"
	operationBootstrap = "bootstrap"
)

// fromOwnPage reports whether a request that changes something comes from a page of this
// broker, by headers that browsers set and pages cannot change. A page on the same site,
// such as a session on another port, is not the broker's.
func (s site) fromOwnPage(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		return true
	}
	if r.Header.Get("Origin") == "" && r.Header.Get("Sec-Fetch-Site") == "" {
		return false
	}
	return s.sameOrigin.Check(r) == nil
}

func refuseForeign(c *gin.Context) {
	refuseWith(c, refuse(CodeCrossOrigin,
		"this call is not from the page of this broker, and a login alone does not count for it: send a bearer token"))
}

// Login implements StrictServerInterface.
func (h *handlers) Login(ctx context.Context, r LoginRequestObject) (LoginResponseObject, error) {
	c, ok := ctx.(*gin.Context)
	if !ok || !h.guard.On {
		return Login204Response{}, nil
	}
	wrong := func(code Code, err error) error {
		return &problemError{code: code, detail: err.Error(), fields: []staging.FieldError{{Field: "token", Message: err.Error()}}}
	}
	caller, err := h.guard.Identify(requestContext(ctx), r.Body.Token, time.Now())
	if err != nil {
		if away, ok := errors.AsType[*access.UnavailableError](err); ok {
			return nil, issuerUnavailable(away)
		}
		if locked, ok := errors.AsType[*access.LockedError](err); ok {
			return nil, lockedOut(locked)
		}
		if err := h.tooManyWrong(c); err != nil {
			return nil, err
		}
		return nil, wrong(CodeUnauthorized, err)
	}
	sealed, err := h.guard.Login(requestContext(ctx), r.Body.Token, time.Now())
	if away, ok := errors.AsType[*access.UnavailableError](err); ok {
		return nil, issuerUnavailable(away)
	}
	if errors.Is(err, access.ErrTokenTooLong) {
		return nil, wrong(CodeInvalidField, err)
	}
	if err != nil {
		return nil, err
	}
	c.Header("Set-Cookie", h.site.cookieHeader(cookieLogin, c.Request, sealed))
	call := access.CallOf(requestContext(ctx))
	call.Caller = caller
	h.broker.Auditor.Trace(call.In(requestContext(ctx)), "login of", caller.Who(), nil)
	return Login204Response{}, nil
}

// Logout implements StrictServerInterface.
func (h *handlers) Logout(ctx context.Context, _ LogoutRequestObject) (LogoutResponseObject, error) {
	if c, ok := ctx.(*gin.Context); ok {
		c.Header("Set-Cookie", h.site.cookieHeader(cookieLogin, c.Request, ""))
	}
	return Logout204Response{}, nil
}

// GetSelf implements StrictServerInterface.
func (h *handlers) GetSelf(ctx context.Context, _ GetSelfRequestObject) (GetSelfResponseObject, error) {
	c := callerOf(ctx)
	return GetSelf200JSONResponse{
		Who: c.Who(), Role: c.Role, Name: cmp.Or(c.Name, c.UserName), Guarded: h.guard.On, Scope: c.Scope,
	}, nil
}
