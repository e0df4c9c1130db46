package httpapi

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/greenroom/greenroom/internal/tracing"
)

// Tracer begins the span of a request, within its caller's trace if it has one.
type Tracer interface {
	Request(r *http.Request) (context.Context, tracing.Span)
}

// traced returns the middleware that begins a trace with each request of the API. Probes and metrics
// have none, and neither have streams, which last as long as their clients want.
func traced(t Tracer) gin.HandlerFunc {
	return func(c *gin.Context) {
		route := c.FullPath()
		if !strings.HasPrefix(route, "/v1/") || strings.HasPrefix(route, "/v1/health/") || route == routeEvents {
			c.Next()
			return
		}
		ctx, span := t.Request(c.Request)
		c.Request = c.Request.WithContext(ctx)
		span.Rename(c.Request.Method + " " + route)
		span.Set("http.route", route)
		span.Set("greenroom.request_id", c.GetString(keyRequestID))
		c.Next()
		span.SetInt("http.response.status_code", c.Writer.Status())
		if status := c.Writer.Status(); status >= http.StatusInternalServerError {
			span.Fail(strconv.Itoa(status))
		}
		span.End(nil)
	}
}
