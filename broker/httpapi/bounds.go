package httpapi

import (
	"cmp"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/greenroom/greenroom/broker/refusal"
)

// Bounds are how many requests are served at once. A request past them is refused
// immediately: it would otherwise wait, and make others wait.
type Bounds struct {
	// Launches are launches of sessions, which may wait for minutes.
	Launches int
	// Waits are requests that wait for a session's change, Streams those that follow the
	// events: each holds a connection and little else.
	Waits, Streams int
	// Checks are the access checks of sessions (authorize). They have places of their own:
	// one that is refused cuts a user off.
	Checks int
	// Open are requests that everybody may make: the login, the documents and the page. Their
	// places are of no use to anything else, and no address gets more than OpenPerAddress.
	Open, OpenPerAddress int
	// Others are all other requests except health and metrics, which have no bound:
	// they must be answered when nothing else is.
	Others int
}

// DefaultBounds bound the requests of callers after their body was read: a slow caller holds
// memory (see bodies) and no place. Requests that everybody may make have their place before.
var DefaultBounds = Bounds{Launches: 512, Waits: 1024, Streams: 256, Checks: 1024, Open: 256, OpenPerAddress: 32, Others: 1024}

// orDefault returns the bounds with each that is 0 as it is in DefaultBounds.
func (b Bounds) orDefault() Bounds {
	d := DefaultBounds
	return Bounds{
		Launches: cmp.Or(b.Launches, d.Launches), Waits: cmp.Or(b.Waits, d.Waits), Streams: cmp.Or(b.Streams, d.Streams),
		Checks: cmp.Or(b.Checks, d.Checks), Open: cmp.Or(b.Open, d.Open), OpenPerAddress: cmp.Or(b.OpenPerAddress, d.OpenPerAddress),
		Others: cmp.Or(b.Others, d.Others),
	}
}

const (
	// othersTimeout bounds a request that does not wait, from its body to the end of its answer.
	othersTimeout = 30 * time.Second
	// openTimeout is the same for a request that everybody may make, and for an access check.
	openTimeout = 10 * time.Second
)

// The paths that wait.
const (
	routeLaunch  = "/v1/sessions"
	routeSession = "/v1/sessions/:id"
	routeEvents  = "/v1/events"
)

// waits reports whether a request waits for a session's change.
func waits(c *gin.Context) bool {
	index := c.Query("index")
	return c.Request.Method == http.MethodGet && c.FullPath() == routeSession && index != "" && index != "0"
}

// unbounded are the paths that are always answered, however busy the broker is.
var unbounded = map[string]bool{"/v1/health/live": true, "/v1/health/ready": true, "/metrics": true}

func (b Bounds) middleware() gin.HandlerFunc {
	launches, others := make(chan struct{}, b.Launches), make(chan struct{}, b.Others)
	waiting, streams := make(chan struct{}, b.Waits), make(chan struct{}, b.Streams)
	return func(c *gin.Context) {
		places, of := others, "requests"
		switch {
		case unbounded[c.FullPath()], c.GetBool(keyPlaced):
			return
		case c.Request.Method == http.MethodPost && c.FullPath() == routeLaunch:
			places, of = launches, "launches"
		case waits(c):
			places, of = waiting, "waits for a session"
		case c.FullPath() == routeEvents:
			places, of = streams, "streams of events"
		}
		select {
		case places <- struct{}{}:
			defer func() { <-places }()
			conn := http.NewResponseController(c.Writer)
			switch of {
			case "requests":
				// A client that reads the answer slowly does not hold its place for long.
				_ = conn.SetWriteDeadline(time.Now().Add(othersTimeout))
			case "waits for a session", "streams of events":
				// The request is read. Without a read deadline the server notices a client
				// that goes away for as long as it waits.
				_ = conn.SetReadDeadline(time.Time{})
			}
			c.Next()
		default:
			refuseWith(c, atBound(of))
		}
	}
}

func atBound(of string) *problemError {
	return &problemError{
		code: Code(refusal.Overloaded), retryAfter: defaultRetryAfter,
		detail: "this broker is at its bound of " + of + " at once; nothing was done: repeat shortly, here or at another broker",
	}
}
