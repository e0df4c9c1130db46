package webhooks

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/internal/logfield"
	"github.com/greenroom/greenroom/internal/staging"
)

// LockName is the name of the lock by which one of all scalers sends.
const LockName = "_webhooks"

const (
	// look is how often the lock and the resources are looked at, and pause the time between a
	// failure of Redis or Consul and the next try.
	look  = 250 * time.Millisecond
	pause = time.Second
	// call bounds one call of Redis or Consul.
	call = 3 * time.Second
	// trimEvery is how often the stream of events is trimmed, and noteEvery how often a
	// webhook's cursor is stored in Consul if it moved.
	trimEvery = 10 * time.Second
	noteEvery = 10 * time.Second
)

// Events is the stream of events in Redis.
type Events interface {
	Epoch(ctx context.Context) (string, error)
	// EventsFrom returns what happened after a position, and whether the event at the position
	// is still kept.
	EventsFrom(ctx context.Context, position string, count int) (events []staging.Event, kept bool, err error)
	// Session returns the session of an event; staging.ErrNoSession if it is forgotten.
	Session(ctx context.Context, id string) (staging.Session, error)
	// TrimEvents trims what all webhooks have taken.
	TrimEvents(ctx context.Context) error
}

// Queue is the webhooks' messages in Redis.
type Queue interface {
	OpenWebhooks(ctx context.Context) (names []string, err error)
	OpenWebhook(ctx context.Context, name string) (position string, err error)
	DropWebhook(ctx context.Context, name string) error
	// TakeEvents moves the cursor and queues the events, in one step.
	TakeEvents(ctx context.Context, name, from, to string, events []staging.Event) error
	PendingMessages(ctx context.Context, name, after string, count int) ([]staging.WebhookMessage, error)
	Delivered(ctx context.Context, name string, positions []string) error
	Tried(ctx context.Context, name, position string, tries staging.WebhookTries) error
	Bury(ctx context.Context, name, position string, tries staging.WebhookTries) (dropped int, err error)
	NoteGap(ctx context.Context, name string, gap staging.Event) error
	SetWebhookHealth(ctx context.Context, name string, h staging.WebhookHealth) error
	WebhookDeliveries(ctx context.Context, name string) (staging.WebhookDeliveries, error)
}

// Registry is the webhooks in Consul, and how far their events were taken.
type Registry interface {
	// Resources returns those that were read last.
	Resources() staging.Resources
	WebhookCursor(ctx context.Context, name string) (staging.WebhookCursor, error)
	PutWebhookCursor(ctx context.Context, name string, c staging.WebhookCursor) error
	DropWebhookCursor(ctx context.Context, name string) error
}

// Receivers posts messages.
type Receivers interface {
	Deliver(ctx context.Context, w staging.Webhook, e staging.Event) error
}

// Locks says whether this program holds a lock.
type Locks interface{ Held(name string) bool }

// Meter counts deliveries.
type Meter interface {
	// Delivery counts an attempt, by its result.
	Delivery(webhook string, r Result)
	// Gap counts that events may have been lost.
	Gap(webhook string)
	// Deliveries sets how far a webhook is, at a time.
	Deliveries(webhook string, d staging.WebhookDeliveries, now time.Time)
	// Gone forgets a webhook, or all of them where name is "".
	Gone(name string)
}

// Result is the outcome of an attempt to deliver a message.
type Result string

// The results. Given up: it failed, and the message became a dead letter.
const (
	Delivered Result = "delivered"
	Failed    Result = "failed"
	GivenUp   Result = "given_up"
)

// Results lists all.
var Results = []Result{Delivered, Failed, GivenUp}

// Parts are what a sender works with.
type Parts struct {
	Events    Events
	Queue     Queue
	Registry  Registry
	Receivers Receivers
	Locks     Locks
	Meter     Meter
	Log       *logrus.Entry
}

// Sender delivers the messages of all webhooks while it holds the lock.
type Sender struct{ Parts }

// New returns a sender. Run runs it.
func New(p Parts) *Sender { return &Sender{p} }

// running is a worker that runs, and what stops it.
type running struct {
	webhook staging.Webhook
	stop    func()
}

// Run delivers messages until ctx is done. No message is on its way when it returns.
func (s *Sender) Run(ctx context.Context) {
	workers := map[string]running{}
	stopAll := func() {
		for _, w := range workers {
			w.stop()
		}
		clear(workers)
		s.Meter.Gone("")
	}
	defer stopAll()
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	var trimmed time.Time
	for {
		res := s.Registry.Resources()
		switch {
		case !s.Locks.Held(LockName):
			if len(workers) > 0 {
				s.Log.Warn("the webhooks' lock may be lost: another scaler sends their messages")
				stopAll()
			}
		case res.Index > 0:
			s.match(ctx, workers, res)
			if time.Since(trimmed) >= trimEvery && len(res.Webhooks) > 0 {
				trimmed = time.Now()
				s.trim(ctx)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// match starts and stops workers so that each webhook has one.
func (s *Sender) match(ctx context.Context, workers map[string]running, res staging.Resources) {
	for name, r := range workers {
		if now, ok := res.Webhooks[name]; !ok || !reflect.DeepEqual(now, r.webhook) {
			r.stop()
			delete(workers, name)
			if !ok && !res.Unknown(staging.KindWebhook, name) {
				s.forget(ctx, name)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(res.Webhooks)) {
		if _, ok := workers[name]; !ok {
			workers[name] = s.start(ctx, res.Webhooks[name])
		}
	}
}

func (s *Sender) start(ctx context.Context, w staging.Webhook) running {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { newWorker(s.Parts, w).run(ctx) })
	return running{webhook: w, stop: func() {
		cancel()
		wg.Wait()
	}}
}

// trim trims the stream, and forgets webhooks that do not exist any more.
func (s *Sender) trim(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, call)
	defer cancel()
	if err := s.Events.TrimEvents(ctx); err != nil {
		s.Log.WithError(err).Warn("cannot trim the events in Redis, retrying")
		return
	}
	s.forgetDeleted(ctx)
}

// forgetDeleted drops what is kept for webhooks that were deleted, while nobody sent or when it failed.
func (s *Sender) forgetDeleted(ctx context.Context) {
	open, err := s.Queue.OpenWebhooks(ctx)
	if err != nil {
		s.Log.WithError(err).Warn("cannot list the webhooks in Redis, retrying")
		return
	}
	res := s.Registry.Resources()
	for _, name := range open {
		if _, ok := res.Webhooks[name]; ok || res.Unknown(staging.KindWebhook, name) {
			continue
		}
		s.forget(ctx, name)
	}
}

// forget drops what is kept for one webhook that was deleted, before another can have its name.
func (s *Sender) forget(ctx context.Context, name string) {
	ctx, cancel := context.WithTimeout(ctx, call)
	defer cancel()
	err := s.Queue.DropWebhook(ctx, name)
	if err == nil {
		err = s.Registry.DropWebhookCursor(ctx, name)
	}
	if err != nil {
		s.Log.WithError(err).WithField(logfield.Webhook, name).Warn("cannot forget the messages of a deleted webhook, retrying")
		return
	}
	s.Meter.Gone(name)
}
