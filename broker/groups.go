package broker

import (
	"context"

	"github.com/greenroom/greenroom/internal/staging"
)

// Groups lists the groups by name.
func (b *Broker) Groups(ctx context.Context) ([]staging.Group, error) {
	res, err := b.fresh(ctx)
	return listed(res.Groups), err
}

// Group reads one group.
func (b *Broker) Group(ctx context.Context, name string) (staging.Group, error) {
	res, err := b.fresh(ctx)
	if err != nil {
		return staging.Group{}, err
	}
	return one(res.Groups, "group", name)
}

// PutGroup stores a group and says whether it is new. It counts from the next
// launch on; a user's sessions keep the terms that they were given on.
func (b *Broker) PutGroup(ctx context.Context, g staging.Group) (created bool, err error) {
	if err := g.Validate(); err != nil {
		return false, err
	}
	put, cancel := context.WithTimeout(ctx, consulTimeout)
	defer cancel()
	before, err := b.Registry.PutGroup(put, g)
	was, is := redactGroups(before, &g)
	b.changed(ctx, "group", g.Name, orNil(was), orNil(is), err)
	return before == nil, stored("group", g.Name, err)
}

// DeleteGroup deletes a group. Launches that name it are refused from then on.
func (b *Broker) DeleteGroup(ctx context.Context, name string) error {
	remove, cancel := context.WithTimeout(ctx, consulTimeout)
	defer cancel()
	before, err := b.Registry.DeleteGroup(remove, name)
	was, _ := redactGroups(before, nil)
	b.changed(ctx, "group", name, orNil(was), nil, err)
	return stored("group", name, err)
}
