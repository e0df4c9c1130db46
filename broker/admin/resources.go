package admin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

// kind is what differs between the kinds of resources.
type kind[T staging.Confidential[T]] struct {
	// what is the kind's name in errors and audit records.
	what string
	is   staging.ResourceKind
	name func(T) string
	// in selects the resources of this kind.
	in func(staging.Resources) map[string]T
	// complete sets the defaults that are stored; nil for none.
	complete func(T) T
	// check reports everything for which a value cannot be stored beside the resources, which
	// it reads only where it needs them. stored are those that are stored now, also where the
	// value is checked beside others that are not stored yet.
	check func(ctx context.Context, v T, read, stored reader) error
	// usedBy names what refers to the resource, which then cannot be deleted; "" for nothing.
	// It is nil where nothing refers to this kind.
	usedBy func(res staging.Resources, name string) string
	// put stores a value in which staging.Hidden keeps what is stored.
	put    func(ctx context.Context, v T) (before *T, err error)
	remove func(ctx context.Context, name string) (before *T, err error)
}

// reader reads all resources.
type reader func(context.Context) (staging.Resources, error)

// freshOf reads the resources from Consul, unlike a launch, which uses the copy in memory:
// an administrator reads its own and others' writes.
func freshOf(r Registry) reader {
	return func(ctx context.Context) (staging.Resources, error) {
		ctx, cancel := context.WithTimeout(ctx, deadline.Consul)
		defer cancel()
		res, err := r.Refresh(ctx)
		if err != nil {
			return res, refusal.NoConsul(err)
		}
		return res, nil
	}
}

// once returns a reader that reads once, for several checks of one value.
func once(read reader) reader {
	var (
		done bool
		res  staging.Resources
		err  error
	)
	return func(ctx context.Context) (staging.Resources, error) {
		if !done {
			res, err = read(ctx)
			done = true
		}
		return res, err
	}
}

// Resources administers the resources of one kind. It may be used concurrently.
type Resources[T staging.Confidential[T]] struct {
	kind    kind[T]
	read    reader
	auditor Auditor
}

func newResources[T staging.Confidential[T]](k kind[T], read reader, auditor Auditor) *Resources[T] {
	return &Resources[T]{kind: k, read: read, auditor: auditor}
}

// List returns all of them in the order of their names.
func (r *Resources[T]) List(ctx context.Context) ([]T, error) {
	res, err := r.read(ctx)
	if err != nil {
		return nil, err
	}
	all := r.kind.in(res)
	out := make([]T, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		out = append(out, all[name])
	}
	return out, nil
}

// Get returns one by its name.
func (r *Resources[T]) Get(ctx context.Context, name string) (v T, err error) {
	res, err := r.read(ctx)
	if err != nil {
		return v, err
	}
	if err := refusal.Unreadable(res, r.kind.is, name); err != nil {
		return v, err
	}
	v, ok := r.kind.in(res)[name]
	if !ok {
		return v, r.notFound(name, nil)
	}
	return v, nil
}

// Put stores one, returns it as it is stored, and reports whether it is new. Where it has
// staging.Hidden, it keeps the value that is stored.
func (r *Resources[T]) Put(ctx context.Context, v T) (stored T, created bool, err error) {
	v = r.completed(v)
	stored, err = r.whole(ctx, v, r.read)
	if err != nil {
		return stored, false, err
	}
	read := once(r.read)
	if err := r.kind.check(ctx, stored, read, read); err != nil {
		return stored, false, err
	}
	put, cancel := context.WithTimeout(ctx, deadline.Consul)
	defer cancel()
	// What is hidden is kept in the same compare-and-set that replaces it, so that it cannot
	// undo another administrator's change of a secret.
	before, err := r.kind.put(put, v)
	if invalid, ok := errors.AsType[*staging.InvalidError](err); ok {
		return stored, false, invalid
	}
	r.changed(ctx, r.kind.name(v), before, &stored, err)
	return stored, before == nil, r.storedError(r.kind.name(v), err)
}

// whole returns a value with what is stored in place of what it hides.
func (r *Resources[T]) whole(ctx context.Context, v T, read reader) (T, error) {
	if _, err := staging.KeepHidden(r.named(v), v, nil); err == nil {
		return v, nil
	}
	res, err := read(ctx)
	if err != nil {
		return v, err
	}
	if stored, ok := r.kind.in(res)[r.kind.name(v)]; ok {
		return staging.KeepHidden(r.named(v), v, &stored)
	}
	return staging.KeepHidden(r.named(v), v, nil)
}

func (r *Resources[T]) named(v T) string { return fmt.Sprintf("%s %q", r.kind.what, r.kind.name(v)) }

// Delete deletes one to which nothing refers. Sessions that were made with it stay.
func (r *Resources[T]) Delete(ctx context.Context, name string) error {
	if err := r.unused(ctx, name); err != nil {
		return err
	}
	remove, cancel := context.WithTimeout(ctx, deadline.Consul)
	defer cancel()
	before, err := r.kind.remove(remove, name)
	r.changed(ctx, name, before, nil, err)
	return r.storedError(name, err)
}

func (r *Resources[T]) completed(v T) T {
	if r.kind.complete == nil {
		return v
	}
	return r.kind.complete(v)
}

// unused refuses to delete what something else refers to.
func (r *Resources[T]) unused(ctx context.Context, name string) error {
	if r.kind.usedBy == nil {
		return nil
	}
	res, err := r.read(ctx)
	if err != nil {
		return err
	}
	if users := r.kind.usedBy(res, name); users != "" {
		return &refusal.Error{
			Kind:   refusal.InUse,
			Detail: fmt.Sprintf("%s %q is named by %s; delete or change that first", r.kind.what, name, users),
		}
	}
	return nil
}

// changed records a change for auditors.
func (r *Resources[T]) changed(ctx context.Context, name string, before, after *T, err error) {
	before, after = staging.RedactedChange(before, after)
	r.auditor.Changed(ctx, r.kind.what, name, valueOf(before), valueOf(after), err)
}

// valueOf returns what v points to, and nil for nil: an interface that holds a nil pointer
// is not nil.
func valueOf[T any](v *T) any {
	if v == nil {
		return nil
	}
	return *v
}

// storedError returns the refusal for a write's error.
func (r *Resources[T]) storedError(name string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, staging.ErrNoResource):
		return r.notFound(name, err)
	}
	return refusal.NoConsul(err)
}

func (r *Resources[T]) notFound(name string, cause error) *refusal.Error {
	return &refusal.Error{Kind: refusal.NotFound, Detail: fmt.Sprintf("there is no %s %q", r.kind.what, name), Cause: cause}
}
