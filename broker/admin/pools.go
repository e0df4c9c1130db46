package admin

import (
	"context"

	"github.com/greenroom/greenroom/broker/status"
	"github.com/greenroom/greenroom/internal/staging"
)

// Pools administers the staging configs, and returns them with the numbers of their pools.
type Pools struct {
	configs *Resources[staging.Config]
	numbers Numbers
	orders  OrderStore
	notes   Notes
	auditor Auditor
}

// List returns all of them in the order of their names.
func (p *Pools) List(ctx context.Context) ([]status.Pool, error) {
	configs, err := p.configs.List(ctx)
	if err != nil {
		return nil, err
	}
	return p.numbers.Pools(ctx, configs)
}

// Get returns one by its name.
func (p *Pools) Get(ctx context.Context, name string) (status.Pool, error) {
	c, err := p.configs.Get(ctx, name)
	if err != nil {
		return status.Pool{}, err
	}
	return p.one(ctx, c)
}

// Put stores a staging config, and reports whether it is new.
func (p *Pools) Put(ctx context.Context, c staging.Config) (pool status.Pool, created bool, err error) {
	if c, created, err = p.configs.Put(ctx, c); err != nil {
		return status.Pool{}, false, err
	}
	if pool, err = p.one(ctx, c); err != nil {
		return status.Pool{}, false, err
	}
	return pool, created, nil
}

// Delete deletes a staging config.
func (p *Pools) Delete(ctx context.Context, name string) error { return p.configs.Delete(ctx, name) }

func (p *Pools) one(ctx context.Context, c staging.Config) (status.Pool, error) {
	pools, err := p.numbers.Pools(ctx, []staging.Config{c})
	if err != nil {
		return status.Pool{}, err
	}
	return pools[0], nil
}
