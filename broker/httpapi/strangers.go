package httpapi

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
)

// What everybody may call, also without a token, has bounds of its own: whoever reads slowly,
// or calls often, keeps nobody from a session.

// keyPlaced says that a request has its place already.
const keyPlaced = "placed"

// strangers gives requests that everybody may make their place, before anything of a body
// is read.
func (e *edge) strangers(b Bounds) gin.HandlerFunc {
	checks := make(chan struct{}, b.Checks)
	open := newShares(int64(b.Open))
	return func(c *gin.Context) {
		if unbounded[c.FullPath()] || !e.isOpen(c) {
			return
		}
		address := strangerOf(c)
		if c.FullPath() == routeAuthorize {
			select {
			case checks <- struct{}{}:
				defer func() { <-checks }()
			default:
				refuseWith(c, atBound("access checks"))
				return
			}
		} else if open.take(address, 1, int64(b.OpenPerAddress)) {
			if c.FullPath() == routeTranslated {
				e.serveTranslated(c, func() { open.free(address, 1) })
				return
			}
			defer open.free(address, 1)
		} else {
			refuseWith(c, atBound("open requests"))
			return
		}
		// A client that reads the answer slowly does not hold its place for long.
		_ = http.NewResponseController(c.Writer).SetWriteDeadline(time.Now().Add(openTimeout))
		c.Set(keyPlaced, true)
		c.Next()
	}
}

// isOpen reports whether everybody may make a request, also one for which there is no route.
func (e *edge) isOpen(c *gin.Context) bool {
	op, ok := e.contract[operationKey(c.Request.Method, c.FullPath())]
	return !ok || e.guard.Rule(op.id).Open
}
