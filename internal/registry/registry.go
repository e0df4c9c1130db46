package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/consul/api"

	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// ErrConflict: somebody else wrote the same resource at the same time, again and again.
var ErrConflict = errors.New("the resource is being changed by somebody else; read it and try again")

// Registry is greenroom's part of one Consul KV store. It may be used concurrently.
type Registry struct {
	kv      *api.KV
	txn     *api.Txn
	status  *api.Status
	prefix  string
	current atomic.Pointer[staging.Resources]
	secrets sync.Map
	// tokens is nil until they were read once.
	tokens atomic.Pointer[access.Tokens]
}

// New returns a registry under prefix, which ends in a slash; "" is "greenroom/".
func New(client *api.Client, prefix string) *Registry {
	if prefix == "" {
		prefix = "greenroom/"
	}
	r := &Registry{kv: client.KV(), txn: client.Txn(), status: client.Status(), prefix: prefix}
	r.current.Store(&staging.Resources{})
	return r
}

// Ping asks Consul for its leader.
func (r *Registry) Ping(ctx context.Context) error {
	leader, err := r.status.LeaderWithQueryOptions(query(ctx))
	if err == nil && leader == "" {
		err = errors.New("consul has no leader")
	}
	return err
}

func query(ctx context.Context) *api.QueryOptions {
	return (&api.QueryOptions{RequireConsistent: true}).WithContext(ctx)
}

func write(ctx context.Context) *api.WriteOptions { return (&api.WriteOptions{}).WithContext(ctx) }

// The kinds of resources, as their keys spell them.
const (
	zones   = "zones"
	images  = "images"
	groups  = "groups"
	configs = "staging"
)

func (r *Registry) resourcesPrefix() string { return r.prefix + "resources/" }
func (r *Registry) key(kind, name string) string {
	return r.resourcesPrefix() + kind + "/" + name
}

// PutZone stores a zone and gives the one that it replaced; nil when it is new.
func (r *Registry) PutZone(ctx context.Context, z staging.Zone) (before *staging.Zone, err error) {
	return put(ctx, r, zones, z.Name, z)
}

// PutImage stores an image and gives the one that it replaced; nil when it is new.
func (r *Registry) PutImage(ctx context.Context, i staging.Image) (before *staging.Image, err error) {
	return put(ctx, r, images, i.Name, i)
}

// PutConfig stores a staging config and gives the one that it replaced; nil when it is new.
func (r *Registry) PutConfig(ctx context.Context, c staging.Config) (before *staging.Config, err error) {
	return put(ctx, r, configs, c.Name, c)
}

// PutGroup stores a group and gives the one that it replaced; nil when it is new.
func (r *Registry) PutGroup(ctx context.Context, g staging.Group) (before *staging.Group, err error) {
	return put(ctx, r, groups, g.Name, g)
}

// DeleteZone deletes a zone and gives it; staging.ErrNoResource when there is none.
func (r *Registry) DeleteZone(ctx context.Context, name string) (before *staging.Zone, err error) {
	return remove[staging.Zone](ctx, r, zones, name)
}

// DeleteImage deletes an image and gives it; staging.ErrNoResource when there is none.
func (r *Registry) DeleteImage(ctx context.Context, name string) (before *staging.Image, err error) {
	return remove[staging.Image](ctx, r, images, name)
}

// DeleteConfig deletes a staging config and gives it; staging.ErrNoResource when there is none.
func (r *Registry) DeleteConfig(ctx context.Context, name string) (before *staging.Config, err error) {
	return remove[staging.Config](ctx, r, configs, name)
}

// DeleteGroup deletes a group and gives it; staging.ErrNoResource when there is none.
func (r *Registry) DeleteGroup(ctx context.Context, name string) (before *staging.Group, err error) {
	return remove[staging.Group](ctx, r, groups, name)
}

// casTries bounds how often a write is tried anew against others' writes.
const casTries = 5

// put writes by compare-and-set, so that what it replaced is told without a race.
// What was there and does not parse is given as an empty one.
func put[T any](ctx context.Context, r *Registry, kind, name string, v T) (before *T, err error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	for range casTries {
		old, _, err := r.kv.Get(r.key(kind, name), query(ctx))
		if err != nil {
			return nil, err
		}
		pair := &api.KVPair{Key: r.key(kind, name), Value: b}
		if old != nil {
			pair.ModifyIndex = old.ModifyIndex
		}
		done, _, err := r.kv.CAS(pair, write(ctx))
		if err != nil {
			return nil, err
		}
		if done {
			r.renew(ctx)
			return parsed[T](old), nil
		}
	}
	return nil, ErrConflict
}

// remove deletes by compare-and-set, so that what it gives is what it deleted.
func remove[T any](ctx context.Context, r *Registry, kind, name string) (before *T, err error) {
	for range casTries {
		old, _, err := r.kv.Get(r.key(kind, name), query(ctx))
		if err != nil {
			return nil, err
		}
		if old == nil {
			return nil, fmt.Errorf("%w: %s", staging.ErrNoResource, r.key(kind, name))
		}
		done, _, err := r.kv.DeleteCAS(old, write(ctx))
		if err != nil {
			return nil, err
		}
		if done {
			r.renew(ctx)
			return parsed[T](old), nil
		}
	}
	return nil, ErrConflict
}

// renew makes the copy that of a write just made: who wrote reads its write. Where it
// fails the watch does so a moment later; the write is done.
func (r *Registry) renew(ctx context.Context) { _, _ = r.Refresh(ctx) }

// parsed is what a pair holds; nil for none.
func parsed[T any](p *api.KVPair) *T {
	if p == nil {
		return nil
	}
	v := new(T)
	if err := json.Unmarshal(p.Value, v); err != nil {
		return new(T)
	}
	return v
}

// Resources gives the copy in memory, which Watch and every write renew.
func (r *Registry) Resources() staging.Resources { return *r.current.Load() }

// Refresh reads all resources anew.
func (r *Registry) Refresh(ctx context.Context) (staging.Resources, error) {
	return r.read(query(ctx))
}

func (r *Registry) read(q *api.QueryOptions) (staging.Resources, error) {
	pairs, meta, err := r.kv.List(r.resourcesPrefix(), q)
	if err != nil {
		return staging.Resources{}, err
	}
	res := staging.Resources{
		Zones:      map[string]staging.Zone{},
		Images:     map[string]staging.Image{},
		Groups:     map[string]staging.Group{},
		Configs:    map[string]staging.Config{},
		Index:      meta.LastIndex,
		Unreadable: map[string]string{},
	}
	for _, p := range pairs {
		kind, name, _ := strings.Cut(strings.TrimPrefix(p.Key, r.resourcesPrefix()), "/")
		var err error
		switch kind {
		case zones:
			err = into(res.Zones, name, p.Value)
		case images:
			err = into(res.Images, name, p.Value)
		case groups:
			err = into(res.Groups, name, p.Value)
		case configs:
			err = into(res.Configs, name, p.Value)
		default:
			err = errors.New("is of no kind that greenroom knows")
		}
		if err != nil {
			res.Unreadable[p.Key] = err.Error()
		}
	}
	r.keepNewer(&res)
	return res, nil
}

// keepNewer renews the copy in memory unless a newer one is there already: a
// slow read must not undo a fast one.
func (r *Registry) keepNewer(res *staging.Resources) {
	for {
		old := r.current.Load()
		if old.Index > res.Index || r.current.CompareAndSwap(old, res) {
			return
		}
	}
}

func into[T any](m map[string]T, name string, b []byte) error {
	var v T
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	m[name] = v
	return nil
}
