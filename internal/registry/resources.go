package registry

import (
	"context"
	"fmt"

	"github.com/hashicorp/consul/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// The kinds of resources, as they are in keys.
const (
	zones    = "zones"
	images   = "images"
	groups   = "groups"
	configs  = "staging"
	webhooks = "webhooks"
	// pauses and orders are no resources of their own: no file has them, and deleting a staging
	// config deletes its own.
	pauses = "pauses"
	orders = "orders"
)

func (r *Registry) resourcesPrefix() string { return r.prefix + "resources/" }
func (r *Registry) key(kind, name string) string {
	return r.resourcesPrefix() + kind + "/" + name
}

// PutZone stores a zone and returns the one that it replaced, nil if it is new. As with the
// other kinds, staging.Hidden keeps the value that is stored; if none is, the error is a
// *staging.InvalidError.
func (r *Registry) PutZone(ctx context.Context, z staging.Zone) (before *staging.Zone, err error) {
	return put(ctx, r, zones, z.Name, z)
}

// PutImage stores an image and returns the one that it replaced, nil if it is new.
func (r *Registry) PutImage(ctx context.Context, i staging.Image) (before *staging.Image, err error) {
	return put(ctx, r, images, i.Name, i)
}

// PutConfig stores a staging config and returns the one that it replaced, nil if it is new.
func (r *Registry) PutConfig(ctx context.Context, c staging.Config) (before *staging.Config, err error) {
	return put(ctx, r, configs, c.Name, c)
}

// PutGroup stores a group and returns the one that it replaced, nil if it is new.
func (r *Registry) PutGroup(ctx context.Context, g staging.Group) (before *staging.Group, err error) {
	return put(ctx, r, groups, g.Name, g)
}

// PutWebhook stores a webhook and returns the one that it replaced, nil if it is new.
func (r *Registry) PutWebhook(ctx context.Context, w staging.Webhook) (before *staging.Webhook, err error) {
	return put(ctx, r, webhooks, w.Name, w)
}

// DeleteZone deletes a zone and returns it. It returns staging.ErrNoResource if there is none.
func (r *Registry) DeleteZone(ctx context.Context, name string) (before *staging.Zone, err error) {
	return remove[staging.Zone](ctx, r, zones, name)
}

// DeleteImage deletes an image and returns it. It returns staging.ErrNoResource if there is none.
func (r *Registry) DeleteImage(ctx context.Context, name string) (before *staging.Image, err error) {
	return remove[staging.Image](ctx, r, images, name)
}

// DeleteConfig deletes a staging config, with the pause of its pool and what was ordered for it,
// and returns it. It returns staging.ErrNoResource if there is none.
func (r *Registry) DeleteConfig(ctx context.Context, name string) (before *staging.Config, err error) {
	return remove[staging.Config](ctx, r, configs, name, r.pauseKey(staging.PauseTarget{Staging: name}), r.key(orders, name))
}

// DeleteGroup deletes a group and returns it. It returns staging.ErrNoResource if there is none.
func (r *Registry) DeleteGroup(ctx context.Context, name string) (before *staging.Group, err error) {
	return remove[staging.Group](ctx, r, groups, name)
}

// DeleteWebhook deletes a webhook and returns it. It returns staging.ErrNoResource if there is none.
func (r *Registry) DeleteWebhook(ctx context.Context, name string) (before *staging.Webhook, err error) {
	return remove[staging.Webhook](ctx, r, webhooks, name)
}

// casTries is how often a write is tried while other writers change the same key.
const casTries = 5

// put writes by compare-and-set, so that the resource that it returns is the one that it
// replaced, and that of which it keeps what v hides. A replaced resource that does not parse
// is returned as an empty one.
func put[T staging.Confidential[T]](ctx context.Context, r *Registry, kind, name string, v T) (before *T, err error) {
	return update(ctx, r, kind, name, func(before *T) (T, error) {
		return staging.KeepHidden(fmt.Sprintf("%s %q", kindOf[kind], name), v, before)
	})
}

// update writes by compare-and-set what next makes of the stored value, nil for none, and returns
// that value. An error of next is returned as it is, with nothing written.
func update[T any](ctx context.Context, r *Registry, kind, name string, next func(*T) (T, error)) (before *T, err error) {
	key := r.key(kind, name)
	for range casTries {
		old, _, err := r.kv.Get(key, query(ctx))
		if err != nil {
			return nil, callError(err, "read %s", key)
		}
		if err := newer(old); err != nil {
			return nil, err
		}
		before := parsed[T](old)
		after, err := next(before)
		if err != nil {
			return nil, err
		}
		b, err := encode(after)
		if err != nil {
			return nil, fmt.Errorf("encode %s/%s: %w", kind, name, err)
		}
		pair := &api.KVPair{Key: key, Value: b}
		if old != nil {
			pair.ModifyIndex = old.ModifyIndex
		}
		done, _, err := r.kv.CAS(pair, write(ctx))
		if err != nil {
			return nil, callError(err, "write %s", key)
		}
		if done {
			r.refreshCache(ctx)
			return before, nil
		}
	}
	return nil, callError(ErrConflict, "write %s", key)
}

// remove deletes by compare-and-set, so that the resource that it returns is the one that
// it deleted. What is stored under the keys beside it goes in the same step.
func remove[T any](ctx context.Context, r *Registry, kind, name string, beside ...string) (before *T, err error) {
	key := r.key(kind, name)
	for range casTries {
		old, _, err := r.kv.Get(key, query(ctx))
		if err != nil {
			return nil, callError(err, "read %s", key)
		}
		if old == nil {
			return nil, fmt.Errorf("%w: %s", staging.ErrNoResource, key)
		}
		if err := newer(old); err != nil {
			return nil, err
		}
		ops := api.TxnOps{{KV: &api.KVTxnOp{Verb: api.KVDeleteCAS, Key: key, Index: old.ModifyIndex}}}
		for _, other := range beside {
			ops = append(ops, &api.TxnOp{KV: &api.KVTxnOp{Verb: api.KVDelete, Key: other}})
		}
		_, failed, err := r.transact(ctx, ops)
		if err != nil {
			return nil, callError(err, "delete %s", key)
		}
		if len(failed) == 0 {
			r.refreshCache(ctx)
			return parsed[T](old), nil
		}
	}
	return nil, callError(ErrConflict, "delete %s", key)
}

// refreshCache updates the cache after a write, so that the writer reads its own write. If
// that fails, the watch updates the cache a moment later.
func (r *Registry) refreshCache(ctx context.Context) { _, _ = r.Refresh(ctx) }

// parsed returns the value of a pair: nil for no pair, an empty one if it does not parse.
func parsed[T any](p *api.KVPair) *T {
	if p == nil {
		return nil
	}
	v := new(T)
	if err := decode(p.Value, v); err != nil {
		return new(T)
	}
	return v
}

// Resources returns the cache, which Watch and every write refresh.
func (r *Registry) Resources() staging.Resources { return *r.current.Load() }

// Refresh reads all resources from Consul and updates the cache.
func (r *Registry) Refresh(ctx context.Context) (staging.Resources, error) {
	return r.read(query(ctx))
}

func (r *Registry) read(q *api.QueryOptions) (staging.Resources, error) {
	pairs, meta, err := list(r.kv, r.resourcesPrefix(), q)
	if err != nil {
		return staging.Resources{}, err
	}
	read := decodeResources(r.resourcesPrefix(), pairs, meta.LastIndex)
	for {
		// A slow read must not undo a fast one.
		old := r.current.Load()
		res := keepReadable(read, *old)
		if old.Index > res.Index || r.current.CompareAndSwap(old, &res) {
			return res, nil
		}
	}
}
