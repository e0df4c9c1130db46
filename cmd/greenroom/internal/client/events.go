package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/internal/staging"
)

// EventGap is the type of the event that says that some before it are not kept.
const EventGap = staging.EventType("gap")

// BeforeAllEvents is the position before every event that is kept.
const BeforeAllEvents = "0-1"

// RawEvent is an event, as the broker sent it and read.
type RawEvent struct {
	staging.Event
	Raw json.RawMessage
}

// Follower takes what a stream of events has.
type Follower struct {
	// Filter has the parameters of the request that say which events to send; none for all.
	Filter url.Values
	// After is the id of the event to go on after; "" for from now on.
	After string
	// Event takes each event. An error ends the stream.
	Event func(RawEvent) error
	// Active is called for every line of the stream, also for those that hold no event; nil for
	// not at all.
	Active func()
}

// Events follows the events until ctx is done, f.Event returns an error, or the broker hangs
// up, which is io.EOF.
func (c *Client) Events(ctx context.Context, f Follower) error {
	api, ok := c.ClientInterface.(*httpapi.Client)
	if !ok {
		return errors.New("this client has no HTTP")
	}
	target, err := url.JoinPath(api.Server, "v1", "events")
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return err
	}
	r.URL.RawQuery = f.Filter.Encode()
	if f.After != "" {
		r.Header.Set("Last-Event-ID", f.After)
	}
	for _, edit := range api.RequestEditors {
		if err := edit(ctx, r); err != nil {
			return err
		}
	}
	answer, err := api.Client.Do(r)
	if err != nil {
		var transport *url.Error
		if errors.As(err, &transport) {
			err = transport.Err
		}
		return &UnreachableError{c.Address, err}
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK || !strings.HasPrefix(answer.Header.Get("Content-Type"), "text/event-stream") {
		return c.noEvents(answer)
	}
	return f.read(answer.Body)
}

// noEvents returns the error of an answer that is no stream of events.
func (c *Client) noEvents(answer *http.Response) error {
	body, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	var p httpapi.Problem
	if json.Unmarshal(body, &p) == nil && p.Code != "" {
		return &ProblemError{p}
	}
	err := fmt.Errorf("it answered %s, which is no answer of a greenroom broker", answer.Status)
	if answer.StatusCode >= http.StatusBadGateway {
		return &UnreachableError{c.Address, err}
	}
	return fmt.Errorf("the broker at %s: %w", c.Address, err)
}

// maxEvent bounds the bytes of one event.
const maxEvent = 4 << 20

// read reads server-sent events.
func (f Follower) read(stream io.Reader) error {
	lines := bufio.NewScanner(stream)
	lines.Buffer(nil, maxEvent)
	for lines.Scan() {
		if f.Active != nil {
			f.Active()
		}
		data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data: "))
		if !ok {
			continue // its id and type are in the data, and comments keep the connection
		}
		e := RawEvent{Raw: bytes.Clone(data)}
		if err := json.Unmarshal(data, &e.Event); err != nil {
			return fmt.Errorf("an event of the broker's: %w", err)
		}
		if err := f.Event(e); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return io.EOF
}
