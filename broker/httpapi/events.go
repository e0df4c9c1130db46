package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

const (
	mediaEvents       = "text/event-stream"
	headerLastEventID = "Last-Event-ID"
	// heartbeat is the time without an event after which a comment is sent, because proxies
	// close silent connections, and a failed write shows that the client is gone.
	heartbeat = 15 * time.Second
	// slowest is how long a client may take to read what was sent.
	slowest = 10 * time.Second
	// reconnectMS is how long clients wait before they reconnect.
	reconnectMS = 1000
	// eventGap is the type of the event which says that some may have been missed.
	eventGap = "gap"
)

// follow streams events to a client until either side hangs up. Nothing is queued: a page
// is sent, then the next is read. Before each page the caller is checked again: a token
// that was revoked or has expired meanwhile gets nothing more.
func (e *edge) follow(c *gin.Context, ending context.Context) {
	after := c.GetHeader(headerLastEventID)
	if after != "" && !staging.ValidEventID(after) {
		refuseWith(c, refuseParameter(CodeInvalidParameter, headerLastEventID, "is no event's id; send the last one that came, or leave it out"))
		return
	}
	filter, err := eventFilterOf(c)
	if err != nil {
		refuseWith(c, err)
		return
	}
	ctx, stop := until(c.Request.Context(), ending)
	defer stop()
	stream, err := e.broker.Events.Follow(ctx, after)
	if err != nil {
		refuseWith(c, err)
		return
	}
	defer stream.Close()
	c.Header("Content-Type", mediaEvents)
	c.Header("Cache-Control", "no-store")
	// Proxies, nginx above all, would buffer the stream.
	c.Header("X-Accel-Buffering", "no")
	c.Status(http.StatusOK)
	out := fmt.Appendf(nil, "retry: %d\n\n", reconnectMS)
	for send(c, out) {
		found, gap, err := stream.Next(ctx, heartbeat)
		if err != nil {
			// The client reconnects by itself, with the last id that it received.
			return
		}
		caller, still := e.still(c)
		if !still {
			// When the client reconnects, it gets the refusal.
			return
		}
		call := access.CallOf(ctx)
		call.Caller = caller
		shown, err := e.shown(call.In(ctx), found, filter)
		if err != nil {
			// The client reconnects with the last id that it received, and misses nothing.
			return
		}
		if out = sseOf(found, gap, func(e staging.Event) bool { return shown[e.ID] }); len(out) == 0 {
			out = []byte(": nothing new\n\n")
		}
	}
}

// shown returns the ids of those events that the caller asks for and may see.
func (e *edge) shown(ctx context.Context, found []staging.Event, filter eventFilter) (map[string]bool, error) {
	ids := map[string]bool{}
	// Most events are about few sessions: each is looked up once.
	about := map[[2]string]bool{}
	for _, event := range found {
		if !filter.wants(event) {
			continue
		}
		key := [2]string{event.Session, event.Pool}
		visible, known := about[key]
		if !known || event.Session == "" {
			var err error
			if visible, err = showsEvent(ctx, e.broker, event); err != nil {
				return nil, err
			}
			about[key] = visible
		}
		ids[event.ID] = visible
	}
	return ids, nil
}

// send writes to the client, and reports whether the client read it in time.
func send(c *gin.Context, out []byte) bool {
	conn := http.NewResponseController(c.Writer)
	// The recorder of tests has no deadlines.
	_ = conn.SetWriteDeadline(time.Now().Add(slowest))
	if _, err := c.Writer.Write(out); err != nil {
		return false
	}
	return conn.Flush() == nil
}

// sseOf returns the wanted events as server-sent events.
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
		e.Audit.Action = access.Action(e.Audit.Operation)
		data, err := json.Marshal(e)
		if err != nil {
			panic("httpapi: an event always marshals: " + err.Error())
		}
		// JSON contains no line break, which would end the data.
		fmt.Fprintf(&out, "id: %s\nevent: %s\ndata: %s\n\n", e.ID, e.Type, data)
	}
	if skipped != "" {
		// An id alone is no event to a client, but the client continues after it when it
		// reconnects.
		fmt.Fprintf(&out, "id: %s\n\n", skipped)
	}
	return out.Bytes()
}

// until returns a request's context that also ends when the broker stops.
func until(ctx, ending context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(ending, cancel)
	return ctx, func() { stop(); cancel() }
}
