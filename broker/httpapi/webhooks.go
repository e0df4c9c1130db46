package httpapi

import (
	"context"
	"time"

	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// Webhooks administers the webhooks, which it returns without their secrets, and shows how far
// their deliveries are.
type Webhooks interface {
	Resources[staging.Webhook]
	Deliveries(ctx context.Context, name string) (staging.WebhookDeliveries, error)
	// DeadLetters returns those behind a position, the oldest first.
	DeadLetters(ctx context.Context, name, after string, count int) ([]staging.WebhookMessage, error)
	Replay(ctx context.Context, name string, ids []string) (int, error)
	// Test sends one message. failed says why it was not delivered.
	Test(ctx context.Context, name string, e staging.Event) (failed, err error)
}

// deadLetterCursorKind is that of cursors in a list of dead letters.
const deadLetterCursorKind = "d"

// ListWebhooks implements StrictServerInterface.
func (h *handlers) ListWebhooks(ctx context.Context, r ListWebhooksRequestObject) (ListWebhooksResponseObject, error) {
	page, next, err := pageOf(ctx, h.broker.Webhooks, func(w Webhook) string { return w.Name }, r.Params.Cursor, r.Params.Limit)
	if err != nil {
		return nil, err
	}
	return ListWebhooks200JSONResponse{Items: each(page, itself[Webhook]), NextCursor: next}, nil
}

// GetWebhook implements StrictServerInterface.
func (h *handlers) GetWebhook(ctx context.Context, r GetWebhookRequestObject) (GetWebhookResponseObject, error) {
	w, err := h.broker.Webhooks.Get(requestContext(ctx), r.Name)
	if err != nil {
		return nil, err
	}
	return GetWebhook200JSONResponse(w), nil
}

// PutWebhook implements StrictServerInterface.
func (h *handlers) PutWebhook(ctx context.Context, r PutWebhookRequestObject) (PutWebhookResponseObject, error) {
	w := *r.Body
	if err := named("webhook", r.Name, w.Name); err != nil {
		return nil, err
	}
	w.Name = r.Name
	w, created, err := h.broker.Webhooks.Put(requestContext(ctx), w)
	if err != nil {
		return nil, err
	}
	if created {
		return PutWebhook201JSONResponse{Body: w, Headers: PutWebhook201ResponseHeaders{Location: "/v1/webhooks/" + w.Name}}, nil
	}
	return PutWebhook200JSONResponse(w), nil
}

// DeleteWebhook implements StrictServerInterface.
func (h *handlers) DeleteWebhook(ctx context.Context, r DeleteWebhookRequestObject) (DeleteWebhookResponseObject, error) {
	if err := h.broker.Webhooks.Delete(requestContext(ctx), r.Name); err != nil {
		return nil, err
	}
	return DeleteWebhook204Response{}, nil
}

// GetWebhookDeliveries implements StrictServerInterface.
func (h *handlers) GetWebhookDeliveries(ctx context.Context, r GetWebhookDeliveriesRequestObject) (GetWebhookDeliveriesResponseObject, error) {
	d, err := h.broker.Webhooks.Deliveries(requestContext(ctx), r.Name)
	if err != nil {
		return nil, err
	}
	return GetWebhookDeliveries200JSONResponse(d), nil
}

// ListDeadLetters implements StrictServerInterface.
func (h *handlers) ListDeadLetters(ctx context.Context, r ListDeadLettersRequestObject) (ListDeadLettersResponseObject, error) {
	size, err := pageLimit(r.Params.Limit)
	if err != nil {
		return nil, err
	}
	after, err := cursorAt(deadLetterCursorKind, r.Params.Cursor)
	if err != nil {
		return nil, err
	}
	if after != "" && !staging.ValidEventID(after) {
		return nil, badCursor()
	}
	found, err := h.broker.Webhooks.DeadLetters(requestContext(ctx), r.Name, after, size)
	if err != nil {
		return nil, err
	}
	answer := ListDeadLetters200JSONResponse{Items: each(found, func(m staging.WebhookMessage) DeadLetter {
		m.Event.Audit.Action = access.Action(m.Event.Audit.Operation)
		return DeadLetter{
			ID: m.Position, MessageID: staging.MessageID(r.Name, m.Event), Event: m.Event,
			Tries: m.Tries.Count, FirstTriedAt: m.Tries.First.UTC(), LastTriedAt: m.Tries.Last.UTC(), Error: m.Tries.Error,
		}
	})}
	if len(found) == size {
		answer.NextCursor = cursorOf(deadLetterCursorKind, found[size-1].Position)
	}
	return answer, nil
}

// ReplayDeadLetters implements StrictServerInterface.
func (h *handlers) ReplayDeadLetters(ctx context.Context, r ReplayDeadLettersRequestObject) (ReplayDeadLettersResponseObject, error) {
	replayed, err := h.broker.Webhooks.Replay(requestContext(ctx), r.Name, r.Body.Ids)
	if err != nil {
		return nil, err
	}
	return ReplayDeadLetters200JSONResponse{Replayed: replayed}, nil
}

// TestWebhook implements StrictServerInterface.
func (h *handlers) TestWebhook(ctx context.Context, r TestWebhookRequestObject) (TestWebhookResponseObject, error) {
	test := staging.Event{ID: "test-" + staging.NewClaimID(), Type: staging.WebhookTest, At: time.Now().UTC(), Reason: "an administrator tries the webhook"}
	failed, err := h.broker.Webhooks.Test(requestContext(ctx), r.Name, test)
	if err != nil {
		return nil, err
	}
	answer := TestWebhook200JSONResponse{Delivered: failed == nil}
	if failed != nil {
		answer.Error = failed.Error()
	}
	return answer, nil
}
