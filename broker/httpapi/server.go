package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/broker/launch"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// Options set up the edge.
type Options struct {
	// Guard identifies callers; the zero value lets everybody do everything.
	Guard access.Guard
	// Log receives the access log and internal errors.
	Log *logrus.Entry
	// Registry holds the edge's metrics, and is served as /metrics. Nil: one of its own.
	Registry *prometheus.Registry
	// Page adds the users' and the operators' page; nil for none. Missing answers a browser at an
	// address that there is not, outside the API, and reports whether it did; nil never does.
	Page    func(gin.IRouter)
	Missing func(*gin.Context) bool
	// Translated returns an API of another product, below /api/, which translates its requests
	// into calls of this one; nil for none. See WithAccessor.
	Translated func(api http.Handler) http.Handler
	// Tracer begins a trace with each request of the API; nil for none.
	Tracer Tracer
	// Bounds are how much is done at once; each that is 0 is DefaultBounds'.
	Bounds Bounds
	// UserRate is how many launches a second are taken for one user; 0 is no limit.
	UserRate float64
	// Proxies are trusted to name the clients that they serve.
	Proxies Proxies
	// External is the URL by which browsers reach the broker, without a slash at its end. Nil
	// if they reach it by the address that it listens on.
	External *url.URL
	// Ending is done when the broker stops: requests that wait or follow events end then.
	// Nil: never.
	Ending context.Context
	// Draining reports whether the broker is about to stop: it then answers that it is not
	// ready, so that load balancers send callers elsewhere. Nil: never.
	Draining func() bool
}

// New returns the handler of the whole API. It panics where Registry already
// holds its metrics: one registry, one handler.
func New(b Broker, o Options) http.Handler {
	if o.Registry == nil {
		o.Registry = prometheus.NewRegistry()
	}
	if o.Draining == nil {
		o.Draining = func() bool { return false }
	}
	if o.Ending == nil {
		o.Ending = context.Background()
	}
	b.Zones, b.Images, b.Groups = redacting[staging.Zone]{b.Zones}, redacting[staging.Image]{b.Images}, redacting[staging.Group]{b.Groups}
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	engine.HandleMethodNotAllowed = true
	// A redirect would lose a body or a token; a wrong path gets a problem instead.
	engine.RedirectTrailingSlash = false
	engine.RedirectFixedPath = false
	// locate decides whose address a request has: gin's own rule looks at one line of a header.
	engine.ForwardedByClientIP = false

	b = within(b)
	e := &edge{broker: b, log: o.Log, metrics: newMetrics(o.Registry), guard: o.Guard, contract: loadContract(), bodies: newBodies(), wrong: newWrongTokens(), wrongLogins: newWrongTokens(), wrongCallbacks: newWrongTokens(), wrongChecks: newWrongTokens(), proxies: o.Proxies, site: newSite(o.External), uses: newTokenUses(useEvery), lastUses: newTokenUses(lastUseEvery)}
	bounds := o.Bounds.orDefault()
	// The bounds of callers come after the body is read, so that a slow one holds no place.
	if o.Tracer != nil {
		engine.Use(e.identify, traced(o.Tracer))
	} else {
		engine.Use(e.identify)
	}
	engine.Use(e.locate, e.observe, e.recover, e.authenticate, e.strangers(bounds), e.admit, e.bounded(bounds), e.attempt)
	engine.NoRoute(func(c *gin.Context) {
		if o.Missing != nil && !strings.HasPrefix(c.Request.URL.Path, "/v1/") && o.Missing(c) {
			return
		}
		refuseWith(c, refuse(CodeRouteNotFound, "there is no %s here; GET /v1/openapi.yaml lists the paths", c.Request.URL.Path))
	})
	engine.NoMethod(func(c *gin.Context) {
		refuseWith(c, refuse(CodeMethodNotAllowed, "%s is not for this path; use one of: %s",
			c.Request.Method, c.Writer.Header().Get("Allow")))
	})

	strict := NewStrictHandlerWithOptions(&handlers{broker: b, guard: o.Guard, draining: o.Draining, ending: o.Ending, rates: newRates(o.UserRate), underWay: newUnderWay(o.UserRate, bounds.Launches), tooManyWrong: e.tooManyWrong, site: e.site}, nil, StrictGinServerOptions{
		// admit has checked the body against its schema; the cause of an error after that
		// stays in the log.
		RequestErrorHandlerFunc: func(c *gin.Context, err error) {
			refuseWith(c, &problemError{code: CodeMalformedBody, detail: "the body does not fit this operation", cause: err})
		},
		HandlerErrorFunc: e.answerOrForward,
		ResponseErrorHandlerFunc: func(c *gin.Context, err error) {
			if notWritten(c, err) {
				giveUp(c)
				return
			}
			refuseWith(c, fmt.Errorf("write the answer: %w", err))
		},
	})
	RegisterHandlersWithOptions(engine, strict, GinServerOptions{
		ErrorHandler: func(c *gin.Context, err error, _ int) { refuseWith(c, refuse(CodeInvalidParameter, "%v", err)) },
	})
	engine.GET(routeAuthorize, e.authorize)
	engine.GET(routeEvents, func(c *gin.Context) { e.follow(c, o.Ending) })
	engine.GET(routeBeginLogin, e.beginLogin)
	engine.GET(routeFinishLogin, e.finishLogin)
	engine.GET(routeDocs, docs)
	engine.GET(routeContract, func(c *gin.Context) { c.Data(http.StatusOK, "application/yaml", openapiYAML) })
	if o.Page != nil {
		o.Page(engine)
	}
	if o.Translated != nil {
		engine.Any(routeTranslated, translate(o.Translated(engine)))
	}
	engine.GET("/metrics", gin.WrapH(promhttp.HandlerFor(o.Registry, promhttp.HandlerOpts{})))
	return engine
}

// Timeouts of the server. A launch may wait for launch.MaxWait, then run its
// hook and write to its servers: an answer has longer than all of that.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second
	writeTimeout      = launch.MaxWait + 2*staging.MaxHookTimeout + time.Minute
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 32 << 10
	// maxStreams bounds the requests at a time of one connection of HTTP/2.
	maxStreams = 100
)

// NewServer returns a server for the handler with every timeout and bound set. Past the
// number of connections, or half of the files that the process may open, it closes those
// that have been idle for longest; one address has half of them at most, unless it is a
// trusted proxy's.
func NewServer(addr string, handler http.Handler, connections int, proxies Proxies) *http.Server {
	return &http.Server{
		ConnState:         newConnections(connections, proxies).follow,
		Addr:              addr,
		Handler:           handler,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
	}
}

// requestContext returns the request's own context: the generated code passes gin's,
// which gin reuses for another request once this one is answered.
func requestContext(ctx context.Context) context.Context {
	if c, ok := ctx.(*gin.Context); ok {
		return c.Request.Context()
	}
	return ctx
}

// callerOf returns the caller of a handler's request.
func callerOf(ctx context.Context) access.Caller {
	return access.CallOf(requestContext(ctx)).Caller
}

// requestHost returns the host that the request was sent to, without port.
func requestHost(ctx context.Context) string {
	if c, ok := ctx.(*gin.Context); ok {
		return hostOf(c.Request.Host)
	}
	return ""
}

func hostOf(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return strings.Trim(hostport, "[]")
}

// errPanic is the error for a panic. The panic's value and stack go to the log.
var errPanic = errors.New("panic")
