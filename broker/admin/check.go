package admin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/greenroom/greenroom/internal/staging"
)

// Set is resources that are to be stored together.
type Set struct {
	Zones    []staging.Zone
	Images   []staging.Image
	Groups   []staging.Group
	Configs  []staging.Config
	Webhooks []staging.Webhook
}

// Check holds a set to every rule that storing it would, as if all of it were
// stored together, over what is stored already. It stores nothing. A
// *staging.InvalidError lists everything that is wrong, each field after its place
// in the set, such as images[1].jobspec; any other error is about a server that
// does not answer.
func (a *Admin) Check(ctx context.Context, set Set) error {
	res, err := a.configs.read(ctx)
	if err != nil {
		return err
	}
	stored := func(context.Context) (staging.Resources, error) { return res, nil }
	then := res
	then.Zones, then.Images, then.Groups, then.Unreadable = maps.Clone(res.Zones), maps.Clone(res.Images), maps.Clone(res.Groups), maps.Clone(res.Unreadable)
	then.Configs, then.Webhooks = maps.Clone(res.Configs), maps.Clone(res.Webhooks)
	// What the set stores again is readable then.
	maps.DeleteFunc(then.Unreadable, func(_ string, u staging.UnreadableResource) bool { return set.has(u.Kind, u.Name) })
	for _, z := range set.Zones {
		then.Zones[z.Name] = a.Zones.completed(z)
	}
	for _, i := range set.Images {
		then.Images[i.Name] = i
	}
	for _, g := range set.Groups {
		then.Groups[g.Name] = g
	}
	for _, c := range set.Configs {
		then.Configs[c.Name] = c
	}
	together := func(context.Context) (staging.Resources, error) { return then, nil }
	var wrong findings
	checkAll(ctx, &wrong, "zones", a.Zones, set.Zones, stored, together)
	checkAll(ctx, &wrong, "images", a.Images, set.Images, stored, together)
	checkAll(ctx, &wrong, "groups", a.Groups, set.Groups, stored, together)
	checkAll(ctx, &wrong, "staging", a.configs, set.Configs, stored, together)
	checkAll(ctx, &wrong, "webhooks", a.Webhooks.resources, set.Webhooks, stored, together)
	return wrong.err()
}

// has reports whether a resource is in the set.
func (s Set) has(kind staging.ResourceKind, name string) bool {
	switch kind {
	case staging.KindZone:
		return slices.ContainsFunc(s.Zones, func(z staging.Zone) bool { return z.Name == name })
	case staging.KindImage:
		return slices.ContainsFunc(s.Images, func(i staging.Image) bool { return i.Name == name })
	case staging.KindGroup:
		return slices.ContainsFunc(s.Groups, func(g staging.Group) bool { return g.Name == name })
	}
	return false // no resource names these
}

// checkAll checks all resources of a kind, which are listed under the name of list, beside the
// resources that there are together. What they hide is that of the stored ones.
func checkAll[T staging.Confidential[T]](ctx context.Context, wrong *findings, list string, r *Resources[T], all []T, stored, together reader) {
	for n, v := range all {
		v, err := r.whole(ctx, r.completed(v), stored)
		if err == nil {
			err = r.kind.check(ctx, v, together, stored)
		}
		wrong.add(list, n, err)
	}
}

// findings collects what is wrong with the parts of a set.
type findings struct {
	fields []staging.FieldError
	// failed is the first error that is not about a part.
	failed error
}

func (f *findings) add(list string, n int, err error) {
	var invalid *staging.InvalidError
	switch {
	case err == nil:
	case errors.As(err, &invalid):
		for _, field := range invalid.Fields {
			f.fields = append(f.fields, staging.FieldError{Field: fmt.Sprintf("%s[%d].%s", list, n, field.Field), Message: field.Message})
		}
	case f.failed == nil:
		f.failed = err
	}
}

func (f *findings) err() error {
	switch {
	case f.failed != nil:
		return f.failed
	case len(f.fields) > 0:
		return &staging.InvalidError{What: "the set of resources", Fields: f.fields}
	}
	return nil
}
