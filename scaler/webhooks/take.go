package webhooks

import (
	"context"
	"errors"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

const (
	// takeAtOnce is how many events one step takes: the step blocks Redis for less than a
	// millisecond, so that launches do not notice.
	takeAtOnce = 100
	// idle is the pause after a read that found nothing. A read that waits in Redis would hold
	// one of the program's connections for each webhook.
	idle = 100 * time.Millisecond
	// imagesAtMost is of how many sessions a taker remembers the image, so that it reads each about
	// once; then it forgets all of them.
	imagesAtMost = 10_000
)

// taker takes a webhook's events from the stream into its queue.
type taker struct {
	*worker
	cursor staging.WebhookCursor
	// noted is the cursor that Consul has, since notedAt.
	noted   staging.WebhookCursor
	notedAt time.Time
	// full: no more events are taken since the queue is full.
	full bool
	// images are those of the sessions whose events were taken, at most imagesAtMost of them.
	images map[string]string
}

// take runs until ctx is done, or until another sender takes the events or Redis lost its
// data; then the worker begins again.
func (w *worker) take(ctx context.Context) {
	t := &taker{worker: w, images: map[string]string{}}
	for !t.attempt(ctx, "open the webhook in Redis", t.open) {
		if ctx.Err() != nil {
			return
		}
	}
	for ctx.Err() == nil {
		t.attempt(ctx, "take events for the webhook", t.step)
		if time.Since(t.notedAt) >= noteEvery && t.cursor != t.noted {
			t.attempt(ctx, "store the webhook's cursor in Consul", t.note)
		}
	}
	if t.cursor != t.noted {
		// The next holder of the lock may begin at once: the newer the cursor, the more it sees.
		after, cancel := context.WithTimeout(context.WithoutCancel(ctx), call)
		defer cancel()
		_ = t.note(after)
	}
}

// attempt does one thing, logs its failure, and then pauses.
func (t *taker) attempt(ctx context.Context, what string, do func(context.Context) error) (done bool) {
	err := do(ctx)
	switch {
	case err == nil:
		return true
	case ctx.Err() != nil:
		return false
	case errors.Is(err, staging.ErrWebhookMoved):
		t.again()
		return false
	case errors.Is(err, staging.ErrWebhookFull):
		if !t.full {
			t.full = true
			t.log.Warn("so many messages are pending that no more events are taken: they are kept in Redis, up to a bound, until the receiver takes messages")
		}
		wait(ctx, pause)
		return false
	}
	t.log.WithError(err).Warnf("cannot %s, retrying", what)
	wait(ctx, pause)
	return false
}

// open finds where to go on, and notes a gap if Redis lost events since Consul's cursor.
func (t *taker) open(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, call)
	defer cancel()
	was, err := t.Registry.WebhookCursor(ctx, t.webhook.Name)
	if err != nil {
		return err
	}
	if t.cursor.Epoch, err = t.Events.Epoch(ctx); err != nil {
		return err
	}
	if t.cursor.Position, err = t.Queue.OpenWebhook(ctx, t.webhook.Name); err != nil {
		return err
	}
	if was.Lost(t.cursor) {
		if err := t.gap(ctx, was.Position, "Redis lost its data, or the newest of it"); err != nil {
			return err
		}
	}
	return t.note(ctx)
}

func (t *taker) note(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, call)
	defer cancel()
	t.notedAt = time.Now()
	if err := t.Registry.PutWebhookCursor(ctx, t.webhook.Name, t.cursor); err != nil {
		return err
	}
	t.noted = t.cursor
	return nil
}

// step takes the next events, and pauses where there is none.
func (t *taker) step(ctx context.Context) error {
	read, cancel := context.WithTimeout(ctx, call)
	defer cancel()
	found, kept, err := t.Events.EventsFrom(read, t.cursor.Position, takeAtOnce)
	if err != nil {
		return err
	}
	if !kept && t.cursor.Position != "0-0" {
		if err := t.lost(read); err != nil {
			return err
		}
	}
	if len(found) == 0 {
		wait(ctx, idle)
		return nil
	}
	return t.queue(ctx, found)
}

// lost notes that the stream has no event at the cursor any more.
func (t *taker) lost(ctx context.Context) error {
	epoch, err := t.Events.Epoch(ctx)
	if err != nil {
		return err
	}
	if epoch != t.cursor.Epoch {
		return staging.ErrWebhookMoved
	}
	return t.gap(ctx, t.cursor.Position, "more happened than is kept while they could not be taken")
}

func (t *taker) gap(ctx context.Context, after, reason string) error {
	gap := staging.GapEvent(time.Now(), after, reason)
	if err := t.Queue.NoteGap(ctx, t.webhook.Name, gap); err != nil {
		return err
	}
	t.Meter.Gap(t.webhook.Name)
	t.log.Error(gap.Reason)
	t.arrived()
	return nil
}

// queue queues those of the events that the webhook wants, and moves the cursor over all.
func (t *taker) queue(ctx context.Context, found []staging.Event) error {
	ctx, cancel := context.WithTimeout(ctx, call)
	defer cancel()
	var wanted []staging.Event
	for _, e := range found {
		if !t.webhook.Wants(e) {
			continue
		}
		var err error
		if e.Image, err = t.image(ctx, e); err != nil {
			return err
		}
		if t.webhook.WantsImage(e.Image) {
			wanted = append(wanted, e)
		}
	}
	to := found[len(found)-1].ID
	if err := t.Queue.TakeEvents(ctx, t.webhook.Name, t.cursor.Position, to, wanted); err != nil {
		return err
	}
	t.cursor.Position, t.full = to, false
	if len(wanted) > 0 {
		t.arrived()
	}
	return nil
}

// image returns the image of an event's session or pool; "" where there is none. The session says it,
// since a pool's image may have changed since; of one that is forgotten it is the pool's.
func (t *taker) image(ctx context.Context, e staging.Event) (string, error) {
	if e.Image != "" {
		return e.Image, nil
	}
	if e.Session != "" {
		if image, ok := t.images[e.Session]; ok {
			return image, nil
		}
		s, err := t.Events.Session(ctx, e.Session)
		switch {
		case err == nil:
			if len(t.images) >= imagesAtMost {
				clear(t.images)
			}
			t.images[e.Session] = s.Image
			return s.Image, nil
		case !errors.Is(err, staging.ErrNoSession):
			return "", err
		}
	}
	return t.Registry.Resources().Configs[e.Pool].Image, nil
}

// wait waits, at most until ctx is done.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
