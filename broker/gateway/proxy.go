package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Limits of the gateway's connections to sessions.
const (
	dialTimeout      = 5 * time.Second
	tlsTimeout       = 5 * time.Second
	idleUpstream     = time.Minute
	maxIdleUpstream  = 1024
	maxIdlePerPort   = 32
	maxHeaderOfReply = 64 << 10
	proxyBuffer      = 32 << 10
)

// Headers that tell a session's program about its user. They are the same as in the answer to
// authorize, and no client can set them.
const (
	ourHeaders      = "X-Greenroom-"
	headerSession   = "X-Greenroom-Session-Id"
	headerUserID    = "X-Greenroom-User-Id"
	headerUserName  = "X-Greenroom-User-Name"
	headerPrefix    = "X-Forwarded-Prefix"
	headerRequestID = "X-Request-Id"
)

// proxy passes requests on to sessions.
type proxy struct {
	gateway   *Gateway
	reverse   *httputil.ReverseProxy
	transport *http.Transport
}

func newProxy(g *Gateway) *proxy {
	p := &proxy{gateway: g}
	p.transport = &http.Transport{
		DialContext:           (&net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout:   tlsTimeout,
		ResponseHeaderTimeout: g.o.HeaderTimeout,
		ExpectContinueTimeout: time.Second,
		IdleConnTimeout:       idleUpstream, MaxIdleConns: maxIdleUpstream, MaxIdleConnsPerHost: maxIdlePerPort,
		MaxResponseHeaderBytes: maxHeaderOfReply,
		DisableCompression:     true,
		// A session's certificate is its own. Its address is from Nomad.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12},
	}
	p.reverse = &httputil.ReverseProxy{
		Transport: p.transport, Rewrite: p.rewrite, ModifyResponse: p.modify, ErrorHandler: p.failed, BufferPool: &buffers{},
		ErrorLog: discardLog,
	}
	return p
}

func (p *proxy) close() { p.transport.CloseIdleConnections() }

// buffers lends buffers for bodies.
type buffers struct{ pool sync.Pool }

// Get implements httputil.BufferPool.
func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[proxyBuffer]byte); ok {
		return p[:]
	}
	return new([proxyBuffer]byte)[:]
}

// Put implements httputil.BufferPool.
func (b *buffers) Put(p []byte) { b.pool.Put((*[proxyBuffer]byte)(p)) }

// visitKey is the key of a request's context that has its *visit.
type visitKey struct{}

func visitOf(ctx context.Context) *visit {
	v, _ := ctx.Value(visitKey{}).(*visit)
	return v
}

// errPort: the session has no such port.
var errPort = errors.New("this session has no such port")

// serve passes a request on, and ends it when the session is over.
func (p *proxy) serve(v *visit) {
	ctx, cancel := context.WithCancelCause(context.WithValue(v.r.Context(), visitKey{}, v))
	defer cancel(nil)
	defer context.AfterFunc(v.route.ended, func() { cancel(errSessionOver) })()
	r := v.r.WithContext(ctx)
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = &body{ReadCloser: r.Body, answer: v.answer}
		// Otherwise the server would read all of the body before the answer begins. (HTTP/2 has
		// no such setting, and needs none.)
		_ = v.answer.control.EnableFullDuplex()
	}
	v.answer.sockets = p.gateway.Meter.Socket
	defer func() {
		if v.answer.hijacked {
			p.gateway.Meter.Socket(-1)
		}
	}()
	// It panics to abort an answer that was cut off: the server closes the connection.
	p.reverse.ServeHTTP(v.answer, r)
}

// rewrite makes a request the session's.
func (p *proxy) rewrite(r *httputil.ProxyRequest) {
	v := visitOf(r.In.Context())
	out := r.Out
	out.URL.Scheme, out.URL.Host = v.scheme, v.host
	out.URL.Path = strings.TrimPrefix(out.URL.Path, v.prefix)
	out.URL.RawPath = strings.TrimPrefix(out.URL.RawPath, v.prefix)
	// The session's program sees the host that its user sees, as it needs for its own checks of
	// origins.
	out.Host = r.In.Host
	withoutOurs(out.Header)
	withoutClaims(out.Header)
	out.Header.Set("X-Forwarded-For", p.gateway.o.Remote(r.In))
	out.Header.Set("X-Forwarded-Host", r.In.Host)
	out.Header.Set("X-Forwarded-Proto", p.gateway.site.scheme)
	if v.prefix != "" {
		out.Header.Set(headerPrefix, v.prefix)
	}
	out.Header.Set(headerRequestID, v.id)
	out.Header.Set(headerSession, v.session.ID)
	out.Header.Set(headerUserID, url.PathEscape(v.session.User.ID))
	out.Header.Set(headerUserName, url.PathEscape(v.session.User.Name))
}

// modify keeps a session's answer to the session's own address.
func (p *proxy) modify(r *http.Response) error {
	v := visitOf(r.Request.Context())
	h := r.Header
	confine(h, v.prefix)
	// The answer has the gateway's id of the request.
	withoutReach(h, v.prefix != "")
	if to := h.Get("Location"); to != "" {
		h.Set("Location", p.location(v, to))
	}
	h.Add("Content-Security-Policy", p.gateway.frames(v.target))
	if h.Get("Referrer-Policy") == "" {
		h.Set("Referrer-Policy", "same-origin")
	}
	p.gateway.renewPass(v)
	return nil
}

// location returns where a redirect of a session leads: one to its own address by the gateway.
func (p *proxy) location(v *visit, to string) string {
	u, err := url.Parse(to)
	if err != nil {
		return to
	}
	switch {
	case u.Host != "" && (u.Host == v.host || u.Host == v.r.Host):
		u.Scheme, u.Host = "", ""
	case u.Host != "" || u.Scheme != "":
		return to
	}
	if v.prefix != "" && strings.HasPrefix(u.Path, "/") && !strings.HasPrefix(u.Path, v.prefix+"/") {
		u.Path = v.prefix + u.Path
		if u.RawPath != "" {
			u.RawPath = v.prefix + u.RawPath
		}
	}
	return u.String()
}

var (
	// errDead: nothing takes a connection at the session's address.
	errDead = errors.New("this session does not answer")
	// errSlow: the session took the request and did not answer in time.
	errSlow = errors.New("this session takes too long to answer")
	// errCut: the connection to the session broke before its answer.
	errCut = errors.New("this session broke off before it answered")
)

// failed answers a request that the session did not answer.
func (p *proxy) failed(_ http.ResponseWriter, r *http.Request, err error) {
	v, g := visitOf(r.Context()), p.gateway
	if v.answer.hijacked {
		return
	}
	why := errCut
	var op *net.OpError
	var timeout net.Error
	switch {
	case errors.Is(context.Cause(r.Context()), errSessionOver):
		why = errOver
	case v.r.Context().Err() != nil:
		v.answer.status = statusHungUp
		return
	case errors.As(err, &op) && op.Op == "dial":
		why = errDead
		v.route.suspect.Store(true)
	case errors.As(err, &timeout) && timeout.Timeout():
		why = errSlow
	}
	g.refuseFor(v, why, err)
}
