package admin

import (
	"context"
	"fmt"

	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

// WebhookStore has the webhooks' messages in Redis.
type WebhookStore interface {
	// OpenWebhook begins to keep events for a webhook, unless that was begun.
	OpenWebhook(ctx context.Context, name string) (position string, err error)
	WebhookDeliveries(ctx context.Context, name string) (staging.WebhookDeliveries, error)
	// DeadLetters returns those behind a position, the oldest first; "" for the first of all.
	DeadLetters(ctx context.Context, name, after string, count int) ([]staging.WebhookMessage, error)
	// Replay makes those at the positions pending again, all where there are none.
	Replay(ctx context.Context, name string, positions []string) (int, error)
}

// Receivers posts messages to the receivers of webhooks.
type Receivers interface {
	Deliver(ctx context.Context, w staging.Webhook, e staging.Event) error
}

// Webhooks administers the webhooks, and shows how far their deliveries are. It may be used
// concurrently.
type Webhooks struct {
	resources *Resources[staging.Webhook]
	store     WebhookStore
	receivers Receivers
	auditor   Auditor
}

// List returns all webhooks in the order of their names. No secret is shown.
func (w *Webhooks) List(ctx context.Context) ([]staging.Webhook, error) {
	all, err := w.resources.List(ctx)
	for i := range all {
		all[i] = all[i].Shown()
	}
	return all, err
}

// Get returns one by its name, without its secret.
func (w *Webhooks) Get(ctx context.Context, name string) (staging.Webhook, error) {
	found, err := w.resources.Get(ctx, name)
	if err != nil {
		return staging.Webhook{}, err
	}
	return found.Shown(), nil
}

// Put stores one, and returns it without its secret. A new one is sent what happens from now on.
func (w *Webhooks) Put(ctx context.Context, v staging.Webhook) (stored staging.Webhook, created bool, err error) {
	v.SecretFingerprint = ""
	stored, created, err = w.resources.Put(ctx, v)
	if err != nil {
		return staging.Webhook{}, false, err
	}
	open, cancel := context.WithTimeout(ctx, deadline.Redis)
	defer cancel()
	// Without Redis there are no events now, and the sender begins once there are.
	_, _ = w.store.OpenWebhook(open, v.Name)
	return stored.Shown(), created, nil
}

// Delete deletes one. Its messages are not sent any more.
func (w *Webhooks) Delete(ctx context.Context, name string) error {
	return w.resources.Delete(ctx, name)
}

// Deliveries returns how far a webhook's deliveries are.
func (w *Webhooks) Deliveries(ctx context.Context, name string) (d staging.WebhookDeliveries, err error) {
	if _, err := w.resources.Get(ctx, name); err != nil {
		return d, err
	}
	ctx, cancel := context.WithTimeout(ctx, deadline.Redis)
	defer cancel()
	if d, err = w.store.WebhookDeliveries(ctx, name); err != nil {
		return d, noMessages(err)
	}
	return d, nil
}

// DeadLetters returns the messages that were given up behind a position, the oldest first.
func (w *Webhooks) DeadLetters(ctx context.Context, name, after string, count int) ([]staging.WebhookMessage, error) {
	if _, err := w.resources.Get(ctx, name); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, deadline.Redis)
	defer cancel()
	all, err := w.store.DeadLetters(ctx, name, after, count)
	if err != nil {
		return nil, noMessages(err)
	}
	return all, nil
}

// Replay makes dead letters pending again, all where no ids are given, and returns how many.
func (w *Webhooks) Replay(ctx context.Context, name string, ids []string) (replayed int, err error) {
	if _, err := w.resources.Get(ctx, name); err != nil {
		return 0, err
	}
	for i, id := range ids {
		if !staging.ValidEventID(id) {
			return 0, staging.Invalid(fmt.Sprintf("replay of webhook %q", name), fmt.Sprintf("ids[%d]", i), "is no dead letter's id, is %q", id)
		}
	}
	// All may be thousands, in many steps.
	replay, cancel := context.WithTimeout(ctx, 5*deadline.Redis)
	defer cancel()
	replayed, err = w.store.Replay(replay, name, ids)
	w.auditor.Changed(ctx, "dead letters of webhook", name, nil, map[string]int{"replayed": replayed}, err)
	if err != nil {
		return replayed, noMessages(err)
	}
	return replayed, nil
}

// Test sends a message of type test to the receiver, once. failed says why it was not delivered.
func (w *Webhooks) Test(ctx context.Context, name string, e staging.Event) (failed, err error) {
	found, err := w.resources.Get(ctx, name)
	if err != nil {
		return nil, err
	}
	failed = w.receivers.Deliver(ctx, found, e)
	w.auditor.Changed(ctx, "test of webhook", name, nil, map[string]bool{"delivered": failed == nil}, nil)
	return failed, nil
}

// noMessages refuses because Redis, which has the messages, does not answer.
func noMessages(err error) *refusal.Error {
	refused := refusal.NoRedis(err)
	refused.Detail = "Redis does not answer, and it has the webhooks' messages; try again shortly"
	return refused
}

// webhookKind are the webhooks. What their filters name must exist when they are stored: a
// typing error would keep everything from being sent.
func webhookKind(r Registry) kind[staging.Webhook] {
	return kind[staging.Webhook]{
		what: "webhook",
		is:   staging.KindWebhook,
		name: func(w staging.Webhook) string { return w.Name },
		in:   func(r staging.Resources) map[string]staging.Webhook { return r.Webhooks },
		check: func(ctx context.Context, w staging.Webhook, read, _ reader) error {
			what := fmt.Sprintf("webhook %q", w.Name)
			return staging.AllInvalid(
				w.Validate(),
				notTooMany(ctx, what, w.Name, read),
				allExist(ctx, what, "zones", "zone", w.Zones, staging.Resources.HasZone, read),
				allExist(ctx, what, "images", "image", w.Images, has(func(r staging.Resources) map[string]staging.Image { return r.Images }, staging.KindImage), read),
				allExist(ctx, what, "staging", "staging config", w.Staging, has(func(r staging.Resources) map[string]staging.Config { return r.Configs }, staging.KindStaging), read),
			)
		},
		put: r.PutWebhook, remove: r.DeleteWebhook,
	}
}

// has returns what reports whether a resource of a kind exists, readable or not.
func has[T any](in func(staging.Resources) map[string]T, kind staging.ResourceKind) func(staging.Resources, string) bool {
	return func(res staging.Resources, name string) bool {
		_, ok := in(res)[name]
		return ok || res.Unknown(kind, name)
	}
}

// notTooMany refuses a webhook beyond those that one sender serves.
func notTooMany(ctx context.Context, what, name string, read reader) error {
	res, err := read(ctx)
	if err != nil {
		return err
	}
	if _, stored := res.Webhooks[name]; !stored && len(res.Webhooks) >= staging.MaxWebhooks {
		return staging.Invalid(what, "name", "is one more than the %d webhooks that there may be: delete one first", staging.MaxWebhooks)
	}
	return nil
}
