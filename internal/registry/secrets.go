package registry

import (
	"context"
	"crypto/rand"
	"errors"

	"github.com/hashicorp/consul/api"
)

// secretBytes is the length of a secret, which is that of the keys it is used as.
const secretBytes = 32

var errNoSecret = errors.New("the secret was deleted at the same time, or is too short; try again")

// Secret returns the random secret of a name, which all callers share. The first call
// creates it by compare-and-set. It is cached after the first read, so a program uses a
// changed secret only after a restart.
func (r *Registry) Secret(ctx context.Context, name string) ([]byte, error) {
	if s, ok := r.secrets.Load(name); ok {
		return s.([]byte), nil
	}
	key := r.prefix + "secrets/" + name
	fresh := make([]byte, secretBytes)
	_, _ = rand.Read(fresh) // crypto/rand documents that it never fails
	made, _, err := r.kv.CAS(&api.KVPair{Key: key, Value: fresh}, write(ctx))
	if err != nil {
		return nil, callError(err, "create %s", key)
	}
	if !made {
		existing, _, err := r.kv.Get(key, query(ctx))
		if err != nil {
			return nil, callError(err, "read %s", key)
		}
		if existing == nil || len(existing.Value) < secretBytes {
			return nil, callError(errNoSecret, "read %s", key)
		}
		fresh = existing.Value
	}
	r.secrets.Store(name, fresh)
	return fresh, nil
}
