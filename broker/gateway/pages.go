package gateway

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"html/template"
	"net/http"
	"strconv"
	"strings"

	"github.com/greenroom/greenroom/broker/refusal"
)

//go:embed page.html
var pageSource string

var pageTemplate = template.Must(template.New("page").Parse(pageSource))

// pagePolicy lets the gateway's own pages do nothing but their form.
const pagePolicy = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'"

// notice is what a browser is told instead of the session's answer.
type notice struct {
	status int
	// code is for programs.
	code          string
	Title, Detail string
	// Retry, End and Launch offer to try again, to end the session, and to launch.
	Retry, End, Launch bool
	// again is the Retry-After in seconds; 0 for none.
	again int
}

// statusHungUp is the status in the log of a request whose client did not wait.
const statusHungUp = 499

// notices are by the error that they are for.
var notices = []struct {
	err error
	notice
}{
	{errHost, notice{status: http.StatusMisdirectedRequest, code: "unknown_host", Title: "Not served here", Detail: "No session has this host name. Open your session by the link that you were given."}},
	{errNoTarget, notice{status: http.StatusNotFound, code: "not_found", Title: "No such page", Detail: "This address names no session. Open your session by the link that you were given.", Launch: true}},
	{errOrigin, notice{status: http.StatusForbidden, code: "forbidden", Title: "Not from here", Detail: "A page of another origin has called this session. Open the session by its own link."}},
	{errPass, notice{status: http.StatusUnauthorized, code: "unauthorized", Title: "Open your session by its link", Detail: "This browser has no access to the session, or has no longer: open it from where you launched it.", Launch: true}},
	{errClaim, notice{status: http.StatusUnauthorized, code: "unauthorized", Title: "Open your session by its link", Detail: "This browser has no access to the session, or has no longer: open it from where you launched it.", Launch: true}},
	{errCode, notice{status: http.StatusUnauthorized, code: "link_spent", Title: "This link counts no more", Detail: "A link opens a session once, within a minute. Open the session again from where you launched it.", Launch: true}},
	{errPreview, notice{status: http.StatusForbidden, code: "forbidden", Title: "Not opened ahead", Detail: "This link counts once, so it is not opened before its user does."}},
	{errMethod, notice{status: http.StatusMethodNotAllowed, code: "method_not_allowed", Title: "Open this address in a browser", Detail: "A link is opened by GET."}},
	{errLocked, notice{status: http.StatusForbidden, code: "user_locked", Title: "Locked", Detail: "An administrator has locked this user out."}},
	{errOver, notice{status: http.StatusGone, code: "session_over", Title: "This session has ended", Detail: "Launch a new one to go on.", Launch: true}},
	{errEnded, notice{status: http.StatusOK, code: "session_ended", Title: "You have ended this session", Detail: "Launch a new one to go on.", Launch: true}},
	{errNotUp, notice{status: http.StatusServiceUnavailable, code: "session_starting", Title: "Starting", Detail: "Your session is not up yet.", Retry: true, again: 1}},
	{errPort, notice{status: http.StatusNotFound, code: "no_such_port", Title: "No such port", Detail: "The session has no port of this name."}},
	{errMany, notice{status: http.StatusServiceUnavailable, code: "overloaded", Title: "Too much at once", Detail: "As many requests and connections are open as are allowed. Close some, or try again in a moment.", Retry: true, again: 1}},
	{errDead, notice{status: http.StatusBadGateway, code: "session_down", Title: "Your session does not answer", Detail: "Its program takes no connection: it may be starting again, or may have stopped.", Retry: true, End: true, Launch: true}},
	{errCut, notice{status: http.StatusBadGateway, code: "session_down", Title: "Your session broke off", Detail: "It closed the connection before it answered.", Retry: true, End: true, Launch: true}},
	{errSlow, notice{status: http.StatusGatewayTimeout, code: "session_slow", Title: "Your session takes too long", Detail: "It has taken the request and does not answer.", Retry: true, End: true, Launch: true}},
	{errUnread, notice{status: http.StatusServiceUnavailable, code: "unavailable", Title: "Not just now", Detail: "Your session cannot be looked up at the moment. It goes on: try again soon.", Retry: true, again: 2}},
}

// unknownError is the notice for an error that has none.
var unknownError = notice{status: http.StatusInternalServerError, code: "internal", Title: "Something went wrong", Detail: "The log of the gateway has the reason.", Retry: true}

func noticeFor(err error) notice {
	for _, n := range notices {
		if errors.Is(err, n.err) {
			return n.notice
		}
	}
	if no, ok := errors.AsType[*refusal.Error](err); ok {
		n := notice{status: http.StatusServiceUnavailable, code: string(no.Kind), Title: "Not just now", Detail: "This cannot be done at the moment. Try again soon.", Retry: true, again: 2}
		if no.Kind == refusal.NotFound {
			return noticeFor(errOver)
		}
		return n
	}
	return unknownError
}

// refuse answers a request with the notice for an error.
func (g *Gateway) refuse(v *visit, err error) { g.refuseFor(v, err, err) }

// refuseFor answers a request with the notice for an error, whose cause the log has.
func (g *Gateway) refuseFor(v *visit, err, cause error) {
	n := noticeFor(err)
	v.cause, v.code = cause, n.code
	h := v.answer.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	if n.again > 0 {
		h.Set("Retry-After", strconv.Itoa(n.again))
	}
	content, media := g.page(v, n), "text/html; charset=utf-8"
	if !strings.Contains(v.r.Header.Get("Accept"), "text/html") {
		content, media = problem(n, v.id), "application/problem+json"
	} else {
		h.Set("Content-Security-Policy", pagePolicy+"; "+g.frames(v.target))
	}
	h.Set("Content-Type", media)
	h.Set("Content-Length", strconv.Itoa(len(content)))
	v.answer.WriteHeader(n.status)
	if v.r.Method != http.MethodHead {
		_, _ = v.answer.Write(content) // a client that does not take it has hung up
	}
}

func (g *Gateway) page(v *visit, n notice) []byte {
	data := struct {
		notice
		Again, EndAt, Portal, RequestID string
	}{notice: n, Portal: g.o.Portal, RequestID: v.id, Again: v.prefix + "/", EndAt: v.prefix + endPath}
	if v.route == nil {
		data.End = false
	}
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, data); err != nil {
		return []byte(n.Title) // the template is fixed, and so are its fields
	}
	return b.Bytes()
}

// problem is the notice for programs (RFC 9457).
func problem(n notice, requestID string) []byte {
	b, err := json.Marshal(map[string]any{
		"type": "about:blank", "title": n.Title, "status": n.status, "code": n.code, "detail": n.Detail, "request_id": requestID,
	})
	if err != nil {
		return nil // strings and a number always encode
	}
	return append(b, '\n')
}

// frames returns the policy by which only allowed pages show a session in a frame.
func (g *Gateway) frames(t target) string {
	all := append([]string{"frame-ancestors 'self'"}, g.o.AllowedOrigins...)
	if t.session != "" && t.label != "" {
		all = append(all, g.site.origin(target{session: t.session}))
	}
	return strings.Join(all, " ")
}
