package registry

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/hashicorp/consul/api"

	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// ErrConflict means that another writer changed the same record between the read and the
// write. Writes of resources try casTries times before they return it; writes of fates
// do not try again.
var ErrConflict = errors.New("another writer changed the record at the same time; read it and try again")

// errNoLeader means that Consul can neither write nor read consistently.
var errNoLeader = errors.New("consul has no leader")

// Registry is greenroom's part of one Consul KV store. It may be used concurrently.
type Registry struct {
	kv     *api.KV
	txn    *api.Txn
	status *api.Status
	health *api.Health
	prefix string
	// fateWrites gathers the writes of fates into shared transactions.
	fateWrites groupCommit
	// current is the cache of the resources.
	current atomic.Pointer[staging.Resources]
	// keys and gatewayKeys are the caches of the shared keys, nil until they were read once.
	keys, gatewayKeys atomic.Pointer[sharedKeys]
	// tokens is the cache of the tokens, nil until they were read once.
	tokens atomic.Pointer[access.Tokens]
	// userLocks is the cache of the locked users, nil until they were read once.
	userLocks atomic.Pointer[access.UserLocks]
}

// New returns a registry under prefix, which must end in a slash. "" means "greenroom/".
func New(client *api.Client, prefix string) *Registry {
	if prefix == "" {
		prefix = "greenroom/"
	}
	r := &Registry{kv: client.KV(), txn: client.Txn(), status: client.Status(), health: client.Health(), prefix: prefix}
	r.fateWrites.send = r.sendTxn
	r.current.Store(&staging.Resources{})
	return r
}

// Ping returns an error unless Consul answers and has a leader.
func (r *Registry) Ping(ctx context.Context) error {
	leader, err := r.status.LeaderWithQueryOptions(query(ctx))
	if err == nil && leader == "" {
		return errNoLeader
	}
	return callError(err, "read the leader")
}

// errHidden means that an answer of Consul is no observation: keys may be missing from it.
var errHidden = errors.New("consul hides some of the keys from this token; let its policy read the whole prefix again")

// list reads all pairs below a prefix. Consul silently leaves out what the token may not
// read, so a narrowed policy would look like deleted records: then the error is errHidden.
func list(kv *api.KV, prefix string, q *api.QueryOptions) (api.KVPairs, *api.QueryMeta, error) {
	pairs, meta, err := kv.List(prefix, q)
	if err == nil && meta.ResultsFilteredByACLs {
		err = errHidden
	}
	return pairs, meta, callError(err, "list %s", prefix)
}

func query(ctx context.Context) *api.QueryOptions {
	return (&api.QueryOptions{RequireConsistent: true}).WithContext(ctx)
}

func write(ctx context.Context) *api.WriteOptions { return (&api.WriteOptions{}).WithContext(ctx) }

// callError says which call on what failed, for example "consul: read
// greenroom/fates/gr-1: EOF". It returns nil if err is nil.
func callError(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("consul: %s: %w", fmt.Sprintf(format, args...), err)
}
