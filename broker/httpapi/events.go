package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// Of a stream of events.
const (
	mediaEvents       = "text/event-stream"
	headerLastEventID = "Last-Event-ID"
	// heartbeat is after how long without an event a comment is sent: proxies close
	// what is silent, and a client that is gone is noticed.
	heartbeat = 15 * time.Second
	// slowest is how long a client may take for what it is sent.
	slowest = 10 * time.Second
	// reconnectMS is how long clients wait before they come back.
	reconnectMS = 1000
	// eventGap is the type of what says that some may have been missed.
	eventGap = "gap"
)

// events sends what happens to one who follows it, until either hangs up. Nothing is
// queued: a page is sent, then the next is asked for. Before each, the caller is held
// to the rules anew: a token that is revoked or expires meanwhile gets nothing more.
func (e *edge) follow(c *gin.Context, ending context.Context) {
	after := c.GetHeader(headerLastEventID)
	if after != "" && !staging.ValidEventID(after) {
		refuseWith(c, refuseParameter(CodeInvalidParameter, headerLastEventID, "is no event's id; send the last one that came, or leave it out"))
		return
	}
	var types []string
	if t := c.Query("type"); t != "" {
		types = strings.Split(t, ",")
	}
	for _, t := range types {
		if !slices.Contains(staging.EventTypes, staging.EventType(t)) {
			refuseWith(c, refuseParameter(CodeInvalidParameter, "type", fmt.Sprintf("has no type %q in it: they are %s", t, joined(staging.EventTypes))))
			return
		}
	}
	ctx, stop := until(c.Request.Context(), ending)
	defer stop()
	stream, err := e.events.Follow(ctx, after)
	if err != nil {
		refuseWith(c, err)
		return
	}
	defer stream.Close()
	c.Header("Content-Type", mediaEvents)
	c.Header("Cache-Control", "no-store")
	// nginx, above all, would gather what is to be sent at once.
	c.Header("X-Accel-Buffering", "no")
	c.Status(http.StatusOK)
	out := fmt.Appendf(nil, "retry: %d\n\n", reconnectMS)
	for send(c, out) {
		found, gap, err := stream.Next(ctx, heartbeat)
		if err != nil {
			// The client comes back by itself, with the last id that it got.
			return
		}
		caller, still := e.still(c)
		if !still {
			// Coming back, the client is told why.
			return
		}
		auditor := access.Admins.Allows(caller.Role)
		if out = sseOf(found, gap, func(e staging.Event) bool {
			// What auditors are told is the administrators' alone.
			return (len(types) == 0 || slices.Contains(types, string(e.Type))) && (auditor || e.Type != staging.EventAudit)
		}); len(out) == 0 {
			out = []byte(": nothing new\n\n")
		}
	}
}

// send writes to the client, and reports whether it took it in time.
func send(c *gin.Context, out []byte) bool {
	conn := http.NewResponseController(c.Writer)
	// A recorder of tests has no deadlines.
	_ = conn.SetWriteDeadline(time.Now().Add(slowest))
	if _, err := c.Writer.Write(out); err != nil {
		return false
	}
	return conn.Flush() == nil
}

// sseOf is what is sent of some events, those that are wanted.
func sseOf(found []staging.Event, gap bool, wanted func(staging.Event) bool) []byte {
	var out bytes.Buffer
	if gap {
		fmt.Fprintf(&out, "event: %s\ndata: {\"type\":%q,\"reason\":\"what happened after the Last-Event-ID is not all kept; read the lists anew\"}\n\n", eventGap, eventGap)
	}
	skipped := ""
	for _, e := range found {
		if skipped = ""; !wanted(e) {
			skipped = e.ID
			continue
		}
		data, err := json.Marshal(e)
		if err != nil {
			panic("httpapi: an event is texts and times and always marshals: " + err.Error())
		}
		// JSON has no line break in it, which would end the data.
		fmt.Fprintf(&out, "id: %s\nevent: %s\ndata: %s\n\n", e.ID, e.Type, data)
	}
	if skipped != "" {
		// An id alone is no event to a client, and it goes on after it when it comes back.
		fmt.Fprintf(&out, "id: %s\n\n", skipped)
	}
	return out.Bytes()
}

// until is a request's context that also ends when the broker stops.
func until(ctx, ending context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(ending, cancel)
	return ctx, func() { stop(); cancel() }
}

func joined(types []staging.EventType) string {
	texts := make([]string, len(types))
	for i, t := range types {
		texts[i] = string(t)
	}
	return strings.Join(texts, ", ")
}
