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
	// events: each holds a connection and little else. No caller with a token gets more streams
	// than StreamsPerCaller.
	Waits, Streams, StreamsPerCaller int
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
var DefaultBounds = Bounds{Launches: 512, Waits: 1024, Streams: 256, StreamsPerCaller: 32, Checks: 1024, Open: 256, OpenPerAddress: 32, Others: 1024}

// orDefault returns the bounds with each that is 0 as it is in DefaultBounds.
func (b Bounds) orDefault() Bounds {
	d := DefaultBounds
	return Bounds{
		Launches: cmp.Or(b.Launches, d.Launches), Waits: cmp.Or(b.Waits, d.Waits), Streams: cmp.Or(b.Streams, d.Streams),
		StreamsPerCaller: cmp.Or(b.StreamsPerCaller, d.StreamsPerCaller),
		Checks:           cmp.Or(b.Checks, d.Checks), Open: cmp.Or(b.Open, d.Open), OpenPerAddress: cmp.Or(b.OpenPerAddress, d.OpenPerAddress),
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

// bounded holds the requests of callers to their bounds.
func (e *edge) bounded(b Bounds) gin.HandlerFunc {
	if !e.guard.On {
		b.StreamsPerCaller = b.Streams // all are one caller
	}
	launches, others := newShares(int64(b.Launches)), newShares(int64(b.Others))
	waiting, streams := newShares(int64(b.Waits)), newShares(int64(b.Streams))
	return func(c *gin.Context) {
		if unbounded[c.FullPath()] || c.GetBool(keyPlaced) {
			return
		}
		caller := callerOf(c.Request.Context())
		who := caller.Who()
		conn := http.NewResponseController(c.Writer)
		all, share, of := others, shareOf(caller, int64(b.Others)), "requests"
		switch {
		case c.FullPath() == routeEvents:
			all, share, of = streams, int64(b.StreamsPerCaller), "streams of events"
		case c.Request.Method == http.MethodPost && c.FullPath() == routeLaunch:
			// Those of each user are bounded where it is known whom they are for.
			all, share, of = launches, int64(b.Launches), "launches"
		case waits(c):
			all, share, of = waiting, shareOf(caller, int64(b.Waits)), "waits for a session"
		}
		if !all.take(who, 1, share) {
			refuseWith(c, atBound(of))
			return
		}
		defer all.free(who, 1)
		switch all {
		case others:
			// A client that reads the answer slowly does not hold its place for long.
			_ = conn.SetWriteDeadline(time.Now().Add(othersTimeout))
		case waiting, streams:
			// The request is read. Without a read deadline the server notices a client
			// that goes away for as long as it waits.
			_ = conn.SetReadDeadline(time.Time{})
		}
		c.Next()
	}
}

func atBound(of string) *problemError {
	return &problemError{
		code: Code(refusal.Overloaded), retryAfter: defaultRetryAfter,
		detail: "this broker is at its bound of " + of + " at once, or this caller has its share of them; nothing was done: repeat shortly, here or at another broker",
	}
}
