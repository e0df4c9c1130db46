package httpapi

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/logfield"
	"github.com/greenroom/greenroom/internal/staging"
)

// authenticate identifies the caller, and refuses the call where the caller's role may not
// make it, by the table in internal/access.
func (e *edge) authenticate(c *gin.Context) {
	call := access.Call{
		Operation: c.Request.Method + " " + clipped(access.Hide(c.Request.URL.Path)), Remote: remoteOf(c), RequestID: c.GetString(keyRequestID),
	}
	rule := access.Signed
	if op, ok := e.contract[operationKey(c.Request.Method, c.FullPath())]; ok {
		call.Operation, rule = op.id, e.guard.Rule(op.id)
	} else if !strings.HasPrefix(c.Request.URL.Path, "/v1/") {
		// Outside the API there is nothing to guard.
		rule.Open = true
	}
	var (
		byCookie bool
		refused  error
	)
	if !rule.Open {
		call.Caller, byCookie, refused = e.callerNow(c.Request)
	}
	c.Request = c.Request.WithContext(call.In(c.Request.Context()))
	sets := call.Operation == operationLogin || call.Operation == operationLogout || call.Operation == operationBootstrap
	if byCookie && !e.site.fromOwnPage(c.Request) || sets && e.site.sameOrigin.Check(c.Request) != nil {
		refuseForeign(c)
		return
	}
	if !e.guard.On && rebound(c.Request) {
		refuseWith(c, refuse(CodeCrossOrigin,
			"this broker takes calls without a token, and only from this machine: use its address, such as %s, and not another name for it", localAddress(c.Request)))
		return
	}
	if rule.Open {
		return
	}
	if refused != nil {
		e.refuseCaller(c, rule, refused)
		return
	}
	e.used(c, call)
	if !rule.Allows(call.Caller.Role) {
		refuseWith(c, refuse(CodeRoleNeeded, "%s needs the role %s; this token has %s", access.ActionOf(call.Operation), rule.Needs(), call.Caller.Role))
		return
	}
	if scope := call.Caller.Scope; !rule.Reaches(scope) {
		refuseWith(c, refuse(Code(refusal.Forbidden), "%s reaches all of the installation; this token's scope is %s", access.ActionOf(call.Operation), scope))
	}
}

// used notes that a caller's token is in use.
func (e *edge) used(c *gin.Context, call access.Call) {
	if !e.guard.On {
		return
	}
	now := time.Now()
	if e.uses.first(call.Caller.Who(), call.Remote, now) {
		e.broker.Auditor.Used(c.Request.Context())
	}
	if call.Caller.Stored() && e.lastUses.first(call.Caller.Accessor, "", now) {
		e.broker.Tokens.Used(call.Caller.Accessor, now)
	}
}

// rebound reports whether a request to an address of this machine alone names another host.
// A browser sends such a request for a page elsewhere, whose name was made to mean this
// machine (DNS rebinding). It is then the page's own origin, so nothing else holds it back.
// Access checks and health are for proxies, which pass on the name that a user knows.
func rebound(r *http.Request) bool {
	local, err := netip.ParseAddrPort(localAddress(r))
	if err != nil || !local.Addr().IsLoopback() || unbounded[r.URL.Path] || strings.HasSuffix(r.URL.Path, "/authorize") {
		return false
	}
	host := hostOf(r.Host)
	named, err := netip.ParseAddr(host)
	return !(err == nil && named.IsLoopback() || host == "localhost" || strings.HasSuffix(host, ".localhost"))
}

// localAddress returns the address that a request was sent to; "" where it came by no
// connection.
func localAddress(r *http.Request) string {
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		return local.String()
	}
	return ""
}

// callerNow returns the caller of a request: by its bearer token, or else by the login that is
// sealed in its cookie, which byCookie reports. Every check of a caller is made here, so that a
// login counts wherever a token does.
func (e *edge) callerNow(r *http.Request) (c access.Caller, byCookie bool, err error) {
	ctx, token, now := r.Context(), bearer(r), time.Now()
	if token == "" && e.guard.On {
		if sealed := e.site.sealedIn(cookieLogin, r); sealed != "" {
			c, err = e.guard.IdentifyLogin(ctx, sealed, now)
			return c, err == nil, err
		}
	}
	c, err = e.guard.Identify(ctx, token, now)
	if e.guard.On && err == nil && !accessorFits(ctx, c) {
		return access.Caller{}, false, access.ErrUnknown
	}
	return c, false, err
}

// still returns the caller as of now, and reports whether the call would still be allowed:
// a token may have been revoked, or it or the login have expired meanwhile. If that cannot be
// checked now, the caller stays authenticated.
func (e *edge) still(c *gin.Context) (access.Caller, bool) {
	call := access.CallOf(c.Request.Context())
	now, _, err := e.callerNow(c.Request)
	var away *access.UnavailableError
	if errors.As(err, &away) {
		return call.Caller, true
	}
	if err != nil {
		return now, false
	}
	call.Caller = now
	e.used(c, call)
	rule := e.guard.Rule(call.Operation)
	return now, rule.Allows(now.Role) && rule.Reaches(now.Scope)
}

// bearer returns the request's bearer token; "" for none.
func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// refuseCaller answers a call from a caller that could not be identified.
func (e *edge) refuseCaller(c *gin.Context, rule access.Rule, err error) {
	var away *access.UnavailableError
	if errors.As(err, &away) {
		// A token that names a key which the issuer has not may be one of many made up ones.
		if !away.Stored {
			if err := e.tooManyWrong(c); err != nil {
				refuseWith(c, err)
				return
			}
		}
		refuseWith(c, issuerUnavailable(away))
		return
	}
	if locked, ok := errors.AsType[*access.LockedError](err); ok {
		refuseWith(c, lockedOut(locked))
		return
	}
	if err := e.tooManyWrong(c); err != nil {
		refuseWith(c, err)
		return
	}
	c.Header("WWW-Authenticate", `Bearer realm="greenroom"`)
	refuseWith(c, refuse(CodeUnauthorized, "%v; this call needs a token with the role %s", err, rule.Needs()))
}

// tooManyWrong counts a call without a valid token, and returns its refusal where its address
// made too many of them; nil otherwise.
func (e *edge) tooManyWrong(c *gin.Context) error { return e.tooMany(c, e.wrong) }

func (e *edge) tooMany(c *gin.Context, of *wrongTokens) error {
	answered, report := of.spend(strangerOf(c), time.Now())
	if answered {
		return nil
	}
	if report > 0 {
		e.log.WithFields(logrus.Fields{logfield.Remote: remoteOf(c), logfield.Refused: report}).
			Warn("refused calls without a valid token from an address that makes too many of them; they are counted, and not logged one by one")
	}
	return &problemError{
		code: CodeRateLimited, retryAfter: time.Second / wrongPerSecond, quiet: true,
		detail: "too many calls come from this address without a token that is valid, or that can be checked now; send a valid token, or repeat after Retry-After",
	}
}

func issuerUnavailable(away *access.UnavailableError) *problemError {
	code := CodeIssuerUnavailable
	if away.Stored {
		code = Code(refusal.ConsulUnavailable)
	}
	return &problemError{
		code: code, retryAfter: defaultRetryAfter, cause: away,
		detail: "whose token this is cannot be found out now: " + away.What + " cannot be asked; repeat shortly",
	}
}

// maxAuditedPath bounds the bytes of a path in an audit record.
const maxAuditedPath = 256

func clipped(path string) string { return path[:min(len(path), maxAuditedPath)] }

// auditedPath is a request's path as audit records have it.
func auditedPath(c *gin.Context) string {
	return strings.ToValidUTF8(clipped(access.Hide(c.Request.URL.Path)), "?")
}

// audit records a call that was denied.
func (e *edge) audit(c *gin.Context, r *problemError) {
	status := statuses[r.code]
	if r.quiet || status != http.StatusUnauthorized && status != http.StatusForbidden && !r.denied {
		return
	}
	call := access.CallOf(c.Request.Context())
	e.broker.Auditor.Audit(c.Request.Context(), staging.Audit{
		Who: call.Caller.Who(), Role: string(call.Caller.Role), Operation: call.Operation, Outcome: staging.AuditDenied,
		Target: auditedPath(c), Reason: string(r.code) + ": " + r.detail,
		Remote: call.Remote, RequestID: call.RequestID,
	})
}
