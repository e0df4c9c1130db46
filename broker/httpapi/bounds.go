package httpapi

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/greenroom/greenroom/broker"
)

// Bounds are how many requests are served at once. What is past them is refused
// at once: it would otherwise wait, and make others wait.
type Bounds struct {
	// Launches are those of sessions, which may wait for minutes.
	Launches int
	// Others are all other requests but health and metrics, which have no bound:
	// they must be answered when nothing else is.
	Others int
}

// DefaultBounds bound what is under way, not the bodies that are still being read:
// those the number of connections bounds.
var DefaultBounds = Bounds{Launches: 512, Others: 1024}

// othersTimeout bounds a request that does not wait, from its body to the end of its answer.
const othersTimeout = 30 * time.Second

// routeLaunch is the only path that waits.
const routeLaunch = "/v1/sessions"

// routeCheck takes a whole set of resources.
const routeCheck = "/v1/resources/check"

// unbounded are the paths that are answered whatever else goes on.
var unbounded = map[string]bool{"/v1/health/live": true, "/v1/health/ready": true, "/metrics": true}

func (b Bounds) middleware() gin.HandlerFunc {
	launches, others := make(chan struct{}, b.Launches), make(chan struct{}, b.Others)
	return func(c *gin.Context) {
		places, of := others, "requests"
		switch {
		case unbounded[c.FullPath()]:
			return
		case c.Request.Method == http.MethodPost && c.FullPath() == routeLaunch:
			places, of = launches, "launches"
		}
		select {
		case places <- struct{}{}:
			defer func() { <-places }()
			if of == "requests" {
				// Whoever reads the answer slowly does not hold the place for long.
				_ = http.NewResponseController(c.Writer).SetWriteDeadline(time.Now().Add(othersTimeout))
			}
			c.Next()
		default:
			refuseWith(c, &refusal{
				code: Code(broker.Overloaded), retryAfter: defaultRetryAfter,
				detail: "this broker is at its bound of " + of + " at once; nothing was done: repeat shortly, here or at another broker",
			})
		}
	}
}
