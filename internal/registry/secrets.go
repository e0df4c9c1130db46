package registry

import (
	"context"
	"crypto/rand"
	"errors"

	"github.com/hashicorp/consul/api"
)

// secretBytes is as long as the keys that the secrets are used as.
const secretBytes = 32

var errNoSecret = errors.New("the secret was deleted while it was being read; try again")

// Secret gives a random secret that everybody who asks for the name shares. The
// first to ask makes it, by compare-and-set; it is kept in memory after the
// first reading, so a changed one counts after a restart.
func (r *Registry) Secret(ctx context.Context, name string) ([]byte, error) {
	if s, ok := r.secrets.Load(name); ok {
		return s.([]byte), nil
	}
	key := r.prefix + "secrets/" + name
	fresh := make([]byte, secretBytes)
	_, _ = rand.Read(fresh) // never fails: crypto/rand's own word
	made, _, err := r.kv.CAS(&api.KVPair{Key: key, Value: fresh}, write(ctx))
	if err != nil {
		return nil, err
	}
	if !made {
		stands, _, err := r.kv.Get(key, query(ctx))
		if err != nil {
			return nil, err
		}
		if stands == nil || len(stands.Value) < secretBytes {
			return nil, errNoSecret
		}
		fresh = stands.Value
	}
	r.secrets.Store(name, fresh)
	return fresh, nil
}
