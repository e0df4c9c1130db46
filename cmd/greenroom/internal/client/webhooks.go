package client

import (
	"context"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/internal/staging"
)

// ListWebhooks returns the webhooks, without their secrets.
func (c *Client) ListWebhooks(ctx context.Context) (List[staging.Webhook], error) {
	ctx, cancel := Brief(ctx)
	defer cancel()
	return everyPage(c, func(limit int, cursor string) (p page[staging.Webhook], err error) {
		r, err := c.ListWebhooksWithResponse(ctx, &httpapi.ListWebhooksParams{Limit: &limit, Cursor: cursor})
		if p.answer = r; err == nil && r.JSON200 != nil {
			p = page[staging.Webhook]{r, r.Body, r.JSON200.Items, r.JSON200.NextCursor}
		}
		return p, err
	})
}

// ListDeadLetters returns the messages of a webhook that were given up.
func (c *Client) ListDeadLetters(ctx context.Context, webhook string) (List[httpapi.DeadLetter], error) {
	ctx, cancel := Brief(ctx)
	defer cancel()
	return everyPage(c, func(limit int, cursor string) (p page[httpapi.DeadLetter], err error) {
		r, err := c.ListDeadLettersWithResponse(ctx, webhook, &httpapi.ListDeadLettersParams{Limit: &limit, Cursor: cursor})
		if p.answer = r; err == nil && r.JSON200 != nil {
			p = page[httpapi.DeadLetter]{r, r.Body, r.JSON200.Items, r.JSON200.NextCursor}
		}
		return p, err
	})
}
