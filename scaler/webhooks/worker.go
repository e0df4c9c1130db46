package webhooks

import (
	"context"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/internal/logfield"
	"github.com/greenroom/greenroom/internal/staging"
)

const (
	// loadAtOnce is how many pending messages one read loads.
	loadAtOnce = 500
	// beat is how often paused messages are looked at, and reload how often the queue is read
	// without a signal: replayed messages come without one.
	beat   = 100 * time.Millisecond
	reload = time.Second
)

// outcome is how an attempt to deliver a message ended.
type outcome struct {
	message staging.WebhookMessage
	err     error
}

// worker serves one webhook: it takes its events, and delivers its messages.
type worker struct {
	Parts
	webhook staging.Webhook
	log     *logrus.Entry
	// more signals that messages were queued.
	more chan struct{}
	// again ends the current run, after which the next begins.
	again func()
}

func newWorker(p Parts, w staging.Webhook) *worker {
	return &worker{Parts: p, webhook: w, log: p.Log.WithField(logfield.Webhook, w.Name), more: make(chan struct{}, 1)}
}

// run serves the webhook until ctx is done.
func (w *worker) run(ctx context.Context) {
	for ctx.Err() == nil {
		once, again := context.WithCancel(ctx)
		w.again = again
		var wg sync.WaitGroup
		wg.Go(func() { w.take(once) })
		w.deliver(once)
		wg.Wait()
		again()
	}
}

// arrived signals that messages were queued.
func (w *worker) arrived() {
	select {
	case w.more <- struct{}{}:
	default:
	}
}

// deliveries is the state of delivering a webhook's messages, which one goroutine has.
type deliveries struct {
	*worker
	lanes *lanes
	// loaded is the position of the newest message that is in the lanes.
	loaded string
	// done are the positions of delivered messages that Redis still has.
	done   []string
	health staging.WebhookHealth
	// shown is the health that Redis has.
	shown staging.WebhookHealth
}

// deliver delivers the webhook's messages until ctx is done, and until none is on its way.
func (w *worker) deliver(ctx context.Context) {
	d := &deliveries{worker: w, lanes: newLanes()}
	outcomes := make(chan outcome, atOnce)
	var sending sync.WaitGroup
	defer sending.Wait()
	ticker := time.NewTicker(beat)
	defer ticker.Stop()
	var loadedAt, reportedAt time.Time
	for {
		load := time.Since(loadedAt) >= reload
		select {
		case <-ctx.Done():
			d.settle(ctx, outcomes)
			return
		case o := <-outcomes:
			d.ended(ctx, o, outcomes)
		case <-w.more:
			load = true
		case <-ticker.C:
		}
		if load {
			loadedAt = time.Now()
			d.attempt(ctx, "read the webhook's messages", d.load)
		}
		if time.Since(reportedAt) >= reload {
			reportedAt = time.Now()
			d.attempt(ctx, "report the webhook's deliveries", d.report)
		}
		// Messages that were delivered and could not be removed must not grow without bound.
		for len(d.done) == 0 {
			m, ok := d.lanes.next(time.Now())
			if !ok {
				break
			}
			sending.Go(func() { outcomes <- outcome{m, w.Receivers.Deliver(ctx, w.webhook, m.Event)} })
		}
	}
}

// attempt does one thing with Redis and logs its failure; the next beat tries again.
func (d *deliveries) attempt(ctx context.Context, what string, do func(context.Context) error) {
	ctx, cancel := context.WithTimeout(ctx, call)
	defer cancel()
	if err := do(ctx); err != nil && ctx.Err() == nil {
		d.log.WithError(err).Warnf("cannot %s, retrying", what)
	}
}

// load puts messages that were queued since the last time into the lanes.
func (d *deliveries) load(ctx context.Context) error {
	if len(d.done) > 0 {
		d.remove(ctx)
	}
	for {
		found, err := d.Queue.PendingMessages(ctx, d.webhook.Name, d.loaded, loadAtOnce)
		if err != nil {
			return err
		}
		for _, m := range found {
			d.lanes.add(m)
			d.loaded = m.Position
		}
		if len(found) < loadAtOnce {
			return nil
		}
	}
}

// ended handles an outcome, and those that wait behind it.
func (d *deliveries) ended(ctx context.Context, o outcome, more <-chan outcome) {
	d.handle(ctx, o)
	for {
		select {
		case o := <-more:
			d.handle(ctx, o)
			continue
		default:
		}
		break
	}
	if len(d.done) > 0 {
		d.remove(ctx)
	}
}

func (d *deliveries) handle(ctx context.Context, o outcome) {
	now := time.Now()
	if o.err == nil {
		d.lanes.delivered(o.message, now)
		d.done = append(d.done, o.message.Position)
		d.health = staging.WebhookHealth{DeliveredAt: now.UTC()}
		d.Meter.Delivery(d.webhook.Name, Delivered)
		return
	}
	if ctx.Err() != nil {
		return // the lock is lost or the program ends: another sender sends it again
	}
	reason := o.err.Error()
	if d.health.FailingSince.IsZero() {
		d.health.FailingSince = now.UTC()
		d.log.WithError(o.err).Warn("cannot deliver a message, retrying; the messages of other sessions go on")
	}
	d.health.Error = reason
	tries, givenUp := d.lanes.failed(o.message, now, reason, d.webhook.GivesUpAfter())
	if !givenUp {
		d.Meter.Delivery(d.webhook.Name, Failed)
		d.attempt(ctx, "store a failed delivery", func(ctx context.Context) error {
			return d.Queue.Tried(ctx, d.webhook.Name, o.message.Position, tries)
		})
		return
	}
	d.Meter.Delivery(d.webhook.Name, GivenUp)
	d.attempt(ctx, "store a dead letter", func(ctx context.Context) error {
		dropped, err := d.Queue.Bury(ctx, d.webhook.Name, o.message.Position, tries)
		if dropped > 0 {
			d.log.WithField(logfield.DeadLetters, dropped).Error("the oldest dead letters were dropped to make room: replay or fetch them earlier")
		}
		if err != nil {
			d.again() // it is still pending: the next run finds it there
		}
		return err
	})
}

// remove removes delivered messages from Redis. Until that is done no more are sent: what was
// delivered and is still there would be sent again by the next sender.
func (d *deliveries) remove(ctx context.Context) {
	d.attempt(ctx, "remove delivered messages", func(ctx context.Context) error {
		err := d.Queue.Delivered(ctx, d.webhook.Name, d.done)
		if err == nil {
			d.done = nil
		}
		return err
	})
}

// settle waits for the messages that are on their way, and removes those that were delivered.
func (d *deliveries) settle(ctx context.Context, outcomes <-chan outcome) {
	for d.lanes.busy > 0 {
		o := <-outcomes
		if o.err == nil {
			d.handle(ctx, o)
		} else {
			d.lanes.busy--
		}
	}
	if len(d.done) > 0 {
		d.remove(context.WithoutCancel(ctx))
	}
}

// report stores the receiver's health if it changed, and sets the metrics.
func (d *deliveries) report(ctx context.Context) error {
	if d.health != d.shown {
		if err := d.Queue.SetWebhookHealth(ctx, d.webhook.Name, d.health); err != nil {
			return err
		}
		d.shown = d.health
	}
	now, err := d.Queue.WebhookDeliveries(ctx, d.webhook.Name)
	if err != nil {
		return err
	}
	d.Meter.Deliveries(d.webhook.Name, now, time.Now())
	return nil
}
