package nomadfleet

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"
)

// maxSilence is how long the event stream may say nothing at all. Nomad sends a
// heartbeat when a stream opens and every 30 s from then on (1.10).
const maxSilence = 75 * time.Second

// streamPath asks for the topics that sessions and their nodes appear in. The library's own
// EventStream hides the heartbeats, without which a dead connection looks like
// a quiet cluster.
const streamPath = "/v1/event/stream?topic=Job:*&topic=Allocation:*&topic=Evaluation:*&topic=Node:*"

// batch is one line of the stream: the events of one transaction, or none of
// them for a heartbeat.
type batch struct {
	Index  uint64
	Events []event
	// Error is what Nomad writes when it can send no more.
	Error *struct{ Message string }
}

// event is one of a batch. The payload stays as it came until it is known to
// be a session's.
type event struct {
	Topic      string
	Type       string
	Key        string
	FilterKeys []string
	Index      uint64
	Payload    json.RawMessage
}

// stream opens the event stream after index, calls opened once Nomad has
// subscribed it, and then each with every batch in turn. It always ends with
// an error: that of ctx, of opened, or of the stream.
func (f *Fleet) stream(ctx context.Context, index uint64, opened func() error, each func(batch) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watchdog := time.AfterFunc(f.silence, func() { cancel(errStalled) })
	defer watchdog.Stop()

	q := f.query(ctx, f.opts.Namespace, f.opts.Region)
	q.Params = map[string]string{"index": strconv.FormatUint(index, 10)}
	body, err := f.nomad.Raw().Response(streamPath, q)
	if err != nil {
		return because(ctx, err)
	}
	defer body.Close() //nolint:errcheck // it was only read from

	decoder := json.NewDecoder(body)
	for first := true; ; first = false {
		var b batch
		if err := decoder.Decode(&b); err != nil {
			if errors.Is(err, io.EOF) {
				// Also how Nomad refuses a token that may not listen.
				err = errEnded
			}
			return because(ctx, err)
		}
		watchdog.Reset(f.silence)
		if b.Error != nil {
			return errors.New(b.Error.Message)
		}
		if first {
			// Nomad greets with a heartbeat once the subscription stands.
			if err := opened(); err != nil {
				return err
			}
			watchdog.Reset(f.silence)
		}
		if err := each(b); err != nil {
			return err
		}
	}
}

// because prefers the reason for which a context was ended to the error that
// its end caused.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// payload is what an event carries, of the topics asked for.
type payload struct {
	Job        *nomadapi.Job
	Allocation *nomadapi.Allocation
	Evaluation *nomadapi.Evaluation
	Node       *nomadapi.Node
}
