package httpapi

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/logfield"
	"github.com/greenroom/greenroom/internal/staging"
	"github.com/greenroom/greenroom/internal/tracing"
)

// edge is the middleware that every request passes before its handler.
type edge struct {
	// broker is the broker as each caller sees it, see within.
	broker   Broker
	log      *logrus.Entry
	metrics  metrics
	guard    access.Guard
	contract contract
	bodies   bodies
	// wrong are calls without a valid token, wrongLogins logins that the provider did not confirm,
	// wrongCallbacks those that belong to no attempt of the browser, and wrongChecks access checks
	// without a session's token. Each leaves the others alone.
	wrong, wrongLogins, wrongCallbacks, wrongChecks *wrongTokens

	proxies Proxies
	site    site
	// uses are those that auditors see, lastUses those that the tokens' list shows.
	uses, lastUses *tokenUses
}

// Keys of a request's context.
const (
	keyRequestID = "request_id"
	keyProblem   = "problem"
	keyServed    = "served"
)

// served adds a launch's sessions to the request's line in the access log, so that one
// line shows everything about a launch that was served.
func served(ctx context.Context, sessions ...staging.Session) {
	if c, ok := ctx.(*gin.Context); ok {
		c.Set(keyServed, sessions)
	}
}

const headerRequestID = "X-Request-Id"

// saneRequestID is what a caller's request id must match, because it is written to logs.
var saneRequestID = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,128}$`)

// identify sets the request's id: the caller's, or a fresh one.
func (e *edge) identify(c *gin.Context) {
	id := c.GetHeader(headerRequestID)
	if !saneRequestID.MatchString(id) || access.Hide(id) != id {
		id = strings.ToLower(rand.Text())
	}
	c.Set(keyRequestID, id)
	c.Header(headerRequestID, id)
	if strings.HasPrefix(c.Request.URL.Path, "/v1/") || c.FullPath() == routeTranslated {
		// Answers are a caller's own, and never a script or a page, whatever is in them.
		c.Header("X-Content-Type-Options", "nosniff")
		c.Header("Cache-Control", noStore)
	}
}

// observe counts, times and logs the request: one line each. Bodies, queries and
// headers are not logged, since they hold users' data and tokens.
func (e *edge) observe(c *gin.Context) {
	start := time.Now()
	c.Next()
	took := time.Since(start)
	route := c.FullPath()
	if route == "" {
		route = "unmatched"
	}
	method := boundedMethod(c.Request.Method)
	status := c.Writer.Status()
	e.metrics.requests.WithLabelValues(route, method, strconv.Itoa(status)).Inc()
	if route != routeEvents {
		// A stream lasts as long as its client wants.
		e.metrics.seconds.WithLabelValues(route, method).Observe(took.Seconds())
	}

	log := e.log.WithFields(logrus.Fields{
		logfield.RequestID: c.GetString(keyRequestID), logfield.Method: c.Request.Method, logfield.Path: access.Hide(c.Request.URL.Path),
		logfield.Route: route, logfield.Status: status, logfield.Bytes: max(c.Writer.Size(), 0), logfield.Remote: remoteOf(c),
		logfield.DurationMS: float64(took.Microseconds()) / 1000,
	})
	if id := tracing.ID(c.Request.Context()); id != "" {
		log.Data[logfield.TraceID] = id
	}
	if who := access.CallOf(c.Request.Context()).Caller; who.Role != "" && who.Accessor != access.AccessorAnybody {
		log.Data[logfield.Caller] = who.Who()
	}
	if v, ok := c.Get(keyServed); ok {
		sessions := v.([]staging.Session)
		s := sessions[0]
		maps.Copy(log.Data, logrus.Fields{
			logfield.Session: s.ID, logfield.Image: s.Image, logfield.Zone: s.Zone, logfield.Origin: s.Origin, logfield.State: s.State,
		})
		if len(sessions) > 1 {
			ids := make([]string, len(sessions))
			for i := range sessions {
				ids[i] = sessions[i].ID
			}
			log.Data[logfield.Sessions] = strings.Join(ids, " ")
			delete(log.Data, logfield.Session)
		}
		if s.User != nil {
			log.Data[logfield.UserID] = s.User.ID
		}
	}
	level := logrus.InfoLevel
	if strings.HasPrefix(route, "/v1/health/") || route == "/metrics" {
		level = logrus.DebugLevel
	}
	if v, ok := c.Get(keyProblem); ok {
		r := v.(*problemError)
		e.audit(c, r)
		log = log.WithField(logfield.Code, r.code)
		if status >= http.StatusInternalServerError {
			log, level = log.WithError(r), logrus.WarnLevel
		}
		switch {
		case r.code == CodeInternal:
			level = logrus.ErrorLevel
		case r.quiet:
			level = logrus.DebugLevel
		}
	}
	log.Log(level, "request")
}

// recover answers a panic as an internal error. Its value and stack are for the log alone.
func (e *edge) recover(c *gin.Context) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		if v == http.ErrAbortHandler {
			panic(v)
		}
		e.log.WithFields(logrus.Fields{
			logfield.RequestID: c.GetString(keyRequestID), logfield.Route: c.FullPath(), logfield.Stack: string(debug.Stack()),
		}).Errorf("panic: %v", v)
		refuseWith(c, fmt.Errorf("%w: %v", errPanic, v))
	}()
	c.Next()
}

// boundedMethod keeps callers from creating metric labels.
func boundedMethod(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	}
	return "other"
}

type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

func newMetrics(r *prometheus.Registry) metrics {
	m := metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "greenroom_http_requests_total",
			Help: "Requests that were answered, by route, method and status.",
		}, []string{"route", "method", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "greenroom_http_request_duration_seconds",
			Help: "Time to the answer, by route and method.",
			// From a claim without a hook to the longest wait for a session on demand.
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 600},
		}, []string{"route", "method"}),
	}
	r.MustRegister(m.requests, m.seconds)
	return m
}
