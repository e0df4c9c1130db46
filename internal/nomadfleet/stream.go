package nomadfleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"
)

// maxStreamSilence bounds the time without any data on the event stream. Nomad sends a
// heartbeat when a stream opens and every 30 s after that (1.10).
const maxStreamSilence = 75 * time.Second

// streamPath subscribes to the topics of sessions and their nodes. The library's own
// EventStream hides the heartbeats, and without them a dead connection looks like a
// quiet cluster.
const streamPath = "/v1/event/stream?topic=Job:*&topic=Allocation:*&topic=Evaluation:*&topic=Node:*"

// batch is one line of the stream: the events of one transaction. A heartbeat has no
// events.
type batch struct {
	Index  uint64
	Events []event
	// Error is set on the last line if Nomad cannot continue the stream.
	Error *struct{ Message string }
}

// event is one event of a batch. Its payload is decoded only if the event concerns a
// session or a node.
type event struct {
	Topic      string
	Type       string
	Key        string
	FilterKeys []string
	Index      uint64
	Payload    json.RawMessage
}

// stream opens the event stream, calls opened once Nomad has subscribed it, and then calls
// each for every batch in order. The first batches may be older. It always returns an
// error: that of ctx, of each, or of the stream.
func (f *Fleet) stream(ctx context.Context, opened func(), each func(batch) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watchdog := time.AfterFunc(f.streamTimeout, func() { cancel(errStreamSilent) })
	defer watchdog.Stop()

	q := f.queryOptions(ctx, f.opts.Namespace, f.opts.Region)
	body, err := f.nomad.Raw().Response(streamPath, q)
	if err != nil {
		return preferCause(ctx, fmt.Errorf("open the event stream: %w", err))
	}
	defer body.Close() //nolint:errcheck // it was only read from

	decoder := json.NewDecoder(body)
	for first := true; ; first = false {
		var b batch
		if err := decoder.Decode(&b); err != nil {
			if errors.Is(err, io.EOF) {
				err = errStreamEnded
			}
			return preferCause(ctx, fmt.Errorf("read the event stream: %w", err))
		}
		watchdog.Reset(f.streamTimeout)
		if b.Error != nil {
			return fmt.Errorf("read the event stream: %s", b.Error.Message)
		}
		if first {
			// Nomad sends a heartbeat as soon as the subscription exists.
			opened()
		}
		if err := each(b); err != nil {
			return err
		}
	}
}

// preferCause returns the cause of ctx's cancellation if there is one, else err. An
// error that the cancellation itself caused explains nothing.
func preferCause(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// payload is the content of an event. One field is set, according to the topic.
type payload struct {
	Job        *nomadapi.Job
	Allocation *nomadapi.Allocation
	Evaluation *nomadapi.Evaluation
	Node       *nomadapi.Node
}
