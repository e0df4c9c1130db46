package clitest

import (
	"context"
	"errors"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// NoDeadLetter is the id of a message that is no dead letter.
const NoDeadLetter = "9-0"

// cannedWebhooks are webhooks that show no secret, as the broker's.
type cannedWebhooks struct{ cannedTable[staging.Webhook] }

func (w cannedWebhooks) List(ctx context.Context) ([]staging.Webhook, error) {
	all, err := w.cannedTable.List(ctx)
	for i := range all {
		all[i] = all[i].Shown()
	}
	return all, err
}

func (w cannedWebhooks) Get(ctx context.Context, name string) (staging.Webhook, error) {
	found, err := w.cannedTable.Get(ctx, name)
	return found.Shown(), err
}

func (w cannedWebhooks) Put(ctx context.Context, v staging.Webhook) (staging.Webhook, bool, error) {
	v.SecretFingerprint = ""
	if stored, ok := w.all[v.Name]; ok {
		v, _ = staging.KeepHidden(v.Name, v, &stored)
	}
	stored, created, err := w.cannedTable.Put(ctx, v)
	return stored.Shown(), created, err
}

func (w cannedWebhooks) Deliveries(ctx context.Context, name string) (staging.WebhookDeliveries, error) {
	_, err := w.Get(ctx, name)
	return staging.WebhookDeliveries{
		Pending: 12, OldestAt: time.Now().Add(-3 * time.Hour), DeadLetters: 1,
		WebhookHealth: staging.WebhookHealth{FailingSince: time.Now().Add(-time.Hour), Error: "the receiver answered 503"},
	}, err
}

func (w cannedWebhooks) DeadLetters(ctx context.Context, name, after string, _ int) ([]staging.WebhookMessage, error) {
	_, err := w.Get(ctx, name)
	if after != "" || err != nil {
		return nil, err
	}
	at := time.Date(2026, 11, 24, 6, 20, 0, 0, time.UTC)
	return []staging.WebhookMessage{{
		Position: "7-0", Event: staging.Event{ID: "5-0", Type: staging.EventEnded, At: at, Session: "gr-1"},
		Tries: staging.WebhookTries{Count: 3, First: at, Last: at, Error: "the receiver answered 400"},
	}}, nil
}

func (w cannedWebhooks) Replay(_ context.Context, name string, ids []string) (int, error) {
	if len(ids) == 0 {
		ids = []string{"7-0"}
	}
	replayed := 0
	for _, id := range ids {
		if id != NoDeadLetter {
			w.b.Replayed = append(w.b.Replayed, name+" "+id)
			replayed++
		}
	}
	return replayed, nil
}

func (w cannedWebhooks) Test(ctx context.Context, name string, _ staging.Event) (failed, err error) {
	_, err = w.Get(ctx, name)
	return errors.New("the receiver answered 503"), err
}
