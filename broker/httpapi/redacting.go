package httpapi

import (
	"context"

	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// redacting shows resources with staging.Hidden for what may be a secret, except to
// administrators. All handlers read resources through it.
type redacting[T staging.Confidential[T]] struct{ Resources[T] }

// List implements Resources.
func (r redacting[T]) List(ctx context.Context) ([]T, error) {
	all, err := r.Resources.List(ctx)
	return each(all, func(v T) T { return r.seen(ctx, v) }), err
}

// Get implements Resources.
func (r redacting[T]) Get(ctx context.Context, name string) (T, error) {
	v, err := r.Resources.Get(ctx, name)
	return r.seen(ctx, v), err
}

// Put implements Resources.
func (r redacting[T]) Put(ctx context.Context, v T) (stored T, created bool, err error) {
	stored, created, err = r.Resources.Put(ctx, v)
	return r.seen(ctx, stored), created, err
}

// seen returns a resource as the caller may see it.
func (redacting[T]) seen(ctx context.Context, v T) T {
	if access.Admins.Allows(access.CallOf(ctx).Caller.Role) {
		return v
	}
	return staging.Redacted(v)
}
