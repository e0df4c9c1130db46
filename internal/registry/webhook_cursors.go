package registry

import (
	"context"
	"fmt"

	"github.com/hashicorp/consul/api"

	"github.com/greenroom/greenroom/internal/staging"
)

func (r *Registry) webhookCursorKey(name string) string { return r.prefix + "webhooks/" + name }

// WebhookCursor reads how far a webhook's events were taken when that was last stored; zero if
// it never was, or does not parse. That of a newer greenroom is an error: it must not be replaced.
func (r *Registry) WebhookCursor(ctx context.Context, name string) (c staging.WebhookCursor, err error) {
	key := r.webhookCursorKey(name)
	p, _, err := r.kv.Get(key, query(ctx))
	if err != nil || p == nil {
		return c, callError(err, "read %s", key)
	}
	if err := newer(p); err != nil {
		return c, err
	}
	if decode(p.Value, &c) != nil {
		return staging.WebhookCursor{}, nil
	}
	return c, nil
}

// PutWebhookCursor stores how far a webhook's events were taken. Only the holder of the
// webhooks' lock calls it.
func (r *Registry) PutWebhookCursor(ctx context.Context, name string, c staging.WebhookCursor) error {
	key := r.webhookCursorKey(name)
	b, err := encode(c)
	if err != nil {
		return fmt.Errorf("encode %s: %w", key, err)
	}
	_, err = r.kv.Put(&api.KVPair{Key: key, Value: b}, write(ctx))
	return callError(err, "write %s", key)
}

// DropWebhookCursor forgets a webhook that was deleted.
func (r *Registry) DropWebhookCursor(ctx context.Context, name string) error {
	key := r.webhookCursorKey(name)
	_, err := r.kv.Delete(key, write(ctx))
	return callError(err, "delete %s", key)
}
