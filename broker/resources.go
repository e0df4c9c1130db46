package broker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

// fresh reads the resources anew: what administers them reads its own and
// others' writes, unlike a launch, which takes the copy in memory.
func (b *Broker) fresh(ctx context.Context) (staging.Resources, error) {
	ctx, cancel := context.WithTimeout(ctx, consulTimeout)
	defer cancel()
	res, err := b.Registry.Refresh(ctx)
	if err != nil {
		return res, refusal.NoConsul(err)
	}
	return res, nil
}

// listed gives a map's values by name.
func listed[T any](m map[string]T) []T {
	out := make([]T, 0, len(m))
	for _, name := range slices.Sorted(maps.Keys(m)) {
		out = append(out, m[name])
	}
	return out
}

func one[T any](m map[string]T, what, name string) (T, error) {
	v, ok := m[name]
	if !ok {
		return v, &refusal.Error{Kind: refusal.NotFound, Detail: fmt.Sprintf("there is no %s %q", what, name)}
	}
	return v, nil
}

// stored turns a write's error into the broker's.
func stored(what, name string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, staging.ErrNoResource):
		return &refusal.Error{Kind: refusal.NotFound, Detail: fmt.Sprintf("there is no %s %q", what, name), Cause: err}
	}
	return refusal.NoConsul(err)
}

// Zones lists the zones by name.
func (b *Broker) Zones(ctx context.Context) ([]staging.Zone, error) {
	res, err := b.fresh(ctx)
	return listed(res.Zones), err
}

// Zone reads one zone.
func (b *Broker) Zone(ctx context.Context, name string) (staging.Zone, error) {
	res, err := b.fresh(ctx)
	if err != nil {
		return staging.Zone{}, err
	}
	return one(res.Zones, "zone", name)
}

// PutZone stores a zone and says whether it is new.
func (b *Broker) PutZone(ctx context.Context, z staging.Zone) (created bool, err error) {
	if err := b.checkZone(ctx, z); err != nil {
		return false, err
	}
	z = z.WithDefaults()
	put, cancel := context.WithTimeout(ctx, consulTimeout)
	defer cancel()
	before, err := b.Registry.PutZone(put, z)
	b.changed(ctx, "zone", z.Name, orNil(before), z, err)
	return before == nil, stored("zone", z.Name, err)
}

// DeleteZone deletes a zone that no staging config names. Its sessions stay.
func (b *Broker) DeleteZone(ctx context.Context, name string) error {
	if err := b.unused(ctx, "zone", name, func(c staging.Config) bool { return c.Zone == name }); err != nil {
		return err
	}
	remove, cancel := context.WithTimeout(ctx, consulTimeout)
	defer cancel()
	before, err := b.Registry.DeleteZone(remove, name)
	b.changed(ctx, "zone", name, orNil(before), nil, err)
	return stored("zone", name, err)
}

// Images lists the images by name.
func (b *Broker) Images(ctx context.Context) ([]staging.Image, error) {
	res, err := b.fresh(ctx)
	return listed(res.Images), err
}

// Image reads one image.
func (b *Broker) Image(ctx context.Context, name string) (staging.Image, error) {
	res, err := b.fresh(ctx)
	if err != nil {
		return staging.Image{}, err
	}
	return one(res.Images, "image", name)
}

// PutImage stores an image whose jobspec Nomad accepts, and says whether it is new.
func (b *Broker) PutImage(ctx context.Context, i staging.Image) (created bool, err error) {
	if err := i.Validate(); err != nil {
		return false, err
	}
	res, err := b.fresh(ctx)
	if err != nil {
		return false, err
	}
	if err := b.checkImage(ctx, i, res); err != nil {
		return false, err
	}
	put, cancel := context.WithTimeout(ctx, consulTimeout)
	defer cancel()
	before, err := b.Registry.PutImage(put, i)
	was, is := redactImages(before, &i)
	b.changed(ctx, "image", i.Name, orNil(was), orNil(is), err)
	return before == nil, stored("image", i.Name, err)
}

// DeleteImage deletes an image that no staging config names. Its sessions stay.
func (b *Broker) DeleteImage(ctx context.Context, name string) error {
	if err := b.unused(ctx, "image", name, func(c staging.Config) bool { return c.Image == name }); err != nil {
		return err
	}
	remove, cancel := context.WithTimeout(ctx, consulTimeout)
	defer cancel()
	before, err := b.Registry.DeleteImage(remove, name)
	was, _ := redactImages(before, nil)
	b.changed(ctx, "image", name, orNil(was), nil, err)
	return stored("image", name, err)
}

// unused refuses to delete what a staging config names.
func (b *Broker) unused(ctx context.Context, what, name string, names func(staging.Config) bool) error {
	res, err := b.fresh(ctx)
	if err != nil {
		return err
	}
	if users := res.ConfigsOf(names); len(users) > 0 {
		return &refusal.Error{
			Kind: refusal.InUse,
			Detail: fmt.Sprintf("%s %q is named by staging config %s; delete or change that first",
				what, name, strings.Join(users, ", ")),
		}
	}
	return nil
}

// Pools lists the staging configs with how their pools stand, by name.
func (b *Broker) Pools(ctx context.Context) ([]Pool, error) {
	res, err := b.fresh(ctx)
	if err != nil {
		return nil, err
	}
	return b.standing(ctx, listed(res.Configs))
}

// Pool reads one staging config with how its pool stands.
func (b *Broker) Pool(ctx context.Context, name string) (Pool, error) {
	res, err := b.fresh(ctx)
	if err != nil {
		return Pool{}, err
	}
	c, err := one(res.Configs, "staging config", name)
	if err != nil {
		return Pool{}, err
	}
	pools, err := b.standing(ctx, []staging.Config{c})
	if err != nil {
		return Pool{}, err
	}
	return pools[0], nil
}

// PutPool stores a staging config whose zone and image exist and can be staged
// together, and says whether it is new. The scaler fills its pool from then on.
func (b *Broker) PutPool(ctx context.Context, c staging.Config) (Pool, bool, error) {
	if err := c.Validate(b.o.Limits); err != nil {
		return Pool{}, false, err
	}
	res, err := b.fresh(ctx)
	if err != nil {
		return Pool{}, false, err
	}
	if err := b.checkConfig(c, res); err != nil {
		return Pool{}, false, err
	}
	put, cancel := context.WithTimeout(ctx, consulTimeout)
	defer cancel()
	before, err := b.Registry.PutConfig(put, c)
	b.changed(ctx, "staging config", c.Name, orNil(before), c, err)
	if err != nil {
		return Pool{}, false, stored("staging config", c.Name, err)
	}
	pools, err := b.standing(ctx, []staging.Config{c})
	if err != nil {
		return Pool{}, false, err
	}
	return pools[0], before == nil, nil
}

// DeletePool deletes a staging config. The scaler drains its pool; sessions
// that were assigned from it stay.
func (b *Broker) DeletePool(ctx context.Context, name string) error {
	remove, cancel := context.WithTimeout(ctx, consulTimeout)
	defer cancel()
	before, err := b.Registry.DeleteConfig(remove, name)
	b.changed(ctx, "staging config", name, orNil(before), nil, err)
	return stored("staging config", name, err)
}

// standing adds to configs how their pools stand.
func (b *Broker) standing(ctx context.Context, configs []staging.Config) ([]Pool, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	names := make([]string, len(configs))
	for i, c := range configs {
		names[i] = c.Name
	}
	current, ready, err := b.Store.Counts(ctx, names...)
	if err != nil {
		return nil, refusal.NoRedis(err)
	}
	conditions, err := b.Store.Conditions(ctx, names...)
	if err != nil {
		return nil, refusal.NoRedis(err)
	}
	pools := make([]Pool, len(configs))
	for i, c := range configs {
		cs := conditions[c.Name]
		slices.SortFunc(cs, func(a, b staging.Condition) int { return cmp.Compare(a.Type, b.Type) })
		pools[i] = Pool{Config: c, Current: current[c.Name], Ready: ready[c.Name], Conditions: cs}
	}
	return pools, nil
}
