package registry

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/consul/api"

	"github.com/greenroom/greenroom/internal/staging"
)

func (r *Registry) installationKey() string { return r.prefix + "installation" }

// service returns the installation's name of a service that has the given name in an
// installation with the default prefix.
func (r *Registry) service(name string) string {
	return staging.Names{Consul: strings.TrimSuffix(r.prefix, "/")}.Service(name)
}

// Installation reads the identity of the installation; staging.ErrNoResource if Consul has
// none.
func (r *Registry) Installation(ctx context.Context) (staging.Installation, error) {
	i, _, err := r.readInstallation(query(ctx))
	return i, err
}

// CreateInstallation stores an identity unless there is one, and returns the one that is
// stored then.
func (r *Registry) CreateInstallation(ctx context.Context, i staging.Installation) (staging.Installation, error) {
	if _, err := r.writeInstallation(ctx, i, 0); err != nil {
		return i, err
	}
	return r.Installation(ctx)
}

// Adopt makes the jobs of another installation belong to this one, by compare-and-set, and
// returns the identity after that. It changes nothing if they do already.
func (r *Registry) Adopt(ctx context.Context, id string) (staging.Installation, error) {
	for range casTries {
		i, index, err := r.readInstallation(query(ctx))
		if err != nil || i.Owns(id) {
			return i, err
		}
		i.Adopted = append(slices.Clone(i.Adopted), id)
		if done, err := r.writeInstallation(ctx, i, index); err != nil || done {
			return i, err
		}
	}
	return staging.Installation{}, callError(ErrConflict, "write %s", r.installationKey())
}

// HasRecords reports whether Consul has resources or fate records, which only an
// installation can have stored.
func (r *Registry) HasRecords(ctx context.Context) (bool, error) {
	for _, prefix := range []string{r.resourcesPrefix(), r.fatesPrefix()} {
		// With a separator the answer stays short, however many records there are.
		found, _, err := r.kv.Keys(prefix, "/", query(ctx))
		if err != nil {
			return false, callError(err, "list the keys under %s", prefix)
		}
		if len(found) > 0 {
			return true, nil
		}
	}
	return false, nil
}

func (r *Registry) readInstallation(q *api.QueryOptions) (i staging.Installation, index uint64, err error) {
	key := r.installationKey()
	p, _, err := r.kv.Get(key, q)
	switch {
	case err != nil:
		return i, 0, callError(err, "read %s", key)
	case p == nil:
		return i, 0, fmt.Errorf("%w: %s", staging.ErrNoResource, key)
	}
	if err := decode(p.Value, &i); err != nil {
		return i, 0, unparsed(p, err, "")
	}
	if err := staging.ValidateInstallationID(i.ID); err != nil || i.ID == staging.NoInstallation {
		return i, 0, fmt.Errorf("consul: parse %s: it has no id of an installation: %q", key, p.Value)
	}
	return i, p.ModifyIndex, nil
}

// writeInstallation writes the identity if its key's index is still the given one.
func (r *Registry) writeInstallation(ctx context.Context, i staging.Installation, index uint64) (done bool, err error) {
	b, err := encode(i)
	if err != nil {
		return false, fmt.Errorf("encode the installation: %w", err)
	}
	done, _, err = r.kv.CAS(&api.KVPair{Key: r.installationKey(), Value: b, ModifyIndex: index}, write(ctx))
	return done, callError(err, "write %s", r.installationKey())
}
