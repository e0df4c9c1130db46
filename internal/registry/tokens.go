package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

func (r *Registry) tokensPrefix() string            { return r.prefix + "tokens/" }
func (r *Registry) tokenKey(accessor string) string { return r.tokensPrefix() + accessor }

// BootstrapKey is the key whose being there says that there is an administrator:
// the first one's token, or another token, has been made. Deleting it lets the
// first be made anew.
func (r *Registry) BootstrapKey() string { return r.prefix + "bootstrap" }

// bootstrap is what is in it.
type bootstrap struct {
	Accessor string    `json:"accessor"`
	At       time.Time `json:"at"`
}

// errTokenThere: accessors are random, so that this is a fault of the caller's.
var errTokenThere = errors.New("there is a token of this accessor already")

// Tokens gives the copy in memory, which WatchTokens and every write renew; nil
// until it was read once.
func (r *Registry) Tokens() *access.Tokens { return r.tokens.Load() }

// RefreshTokens reads all tokens anew.
func (r *Registry) RefreshTokens(ctx context.Context) (*access.Tokens, error) {
	return r.readTokens(query(ctx))
}

func (r *Registry) readTokens(q *api.QueryOptions) (*access.Tokens, error) {
	pairs, meta, err := r.kv.List(r.tokensPrefix(), q)
	if err != nil {
		return nil, err
	}
	var all []access.Token
	unreadable := map[string]string{}
	for _, p := range pairs {
		var t access.Token
		if err := json.Unmarshal(p.Value, &t); err != nil {
			unreadable[p.Key] = err.Error()
			continue
		}
		all = append(all, t)
	}
	read := access.NewTokens(all, meta.LastIndex, unreadable)
	for {
		// A slow reading must not undo a fast one: a token that was revoked would work again.
		old := r.tokens.Load()
		if old != nil && old.Index > read.Index || r.tokens.CompareAndSwap(old, read) {
			return read, nil
		}
	}
}

// CreateToken stores a token. Whoever makes one is an administrator, so that from
// then on no first one is made: a broker that is started anew without its own
// administrator's token must not be anybody's for the taking.
func (r *Registry) CreateToken(ctx context.Context, t access.Token) error {
	b, err := json.Marshal(t)
	if err != nil {
		return err
	}
	closed, err := json.Marshal(bootstrap{Accessor: t.Accessor, At: t.CreatedAt})
	if err != nil {
		return err
	}
	// Where it is there already it stays.
	if _, _, err := r.kv.CAS(&api.KVPair{Key: r.BootstrapKey(), Value: closed}, write(ctx)); err != nil {
		return err
	}
	made, _, err := r.kv.CAS(&api.KVPair{Key: r.tokenKey(t.Accessor), Value: b}, write(ctx))
	if err == nil && !made {
		err = errTokenThere
	}
	if err != nil {
		return err
	}
	r.renewTokens(ctx)
	return nil
}

// renewTokens is renew, of the tokens.
func (r *Registry) renewTokens(ctx context.Context) { _, _ = r.RefreshTokens(ctx) }

// RevokeToken deletes a token and gives it; staging.ErrNoResource when there is
// none. One that does not parse goes too.
func (r *Registry) RevokeToken(ctx context.Context, accessor string) (access.Token, error) {
	old, _, err := r.kv.Get(r.tokenKey(accessor), query(ctx))
	if err != nil {
		return access.Token{}, err
	}
	if old == nil {
		return access.Token{}, fmt.Errorf("%w: token %s", staging.ErrNoResource, accessor)
	}
	if _, err := r.kv.Delete(old.Key, write(ctx)); err != nil {
		return access.Token{}, err
	}
	r.renewTokens(ctx)
	return *parsed[access.Token](old), nil
}

// Bootstrap stores the first administrator's token, once: made is false when it
// was done before, and nothing was written. An error means that the outcome is
// not known.
func (r *Registry) Bootstrap(ctx context.Context, t access.Token) (made bool, err error) {
	done, err := json.Marshal(bootstrap{Accessor: t.Accessor, At: t.CreatedAt})
	if err != nil {
		return false, err
	}
	token, err := json.Marshal(t)
	if err != nil {
		return false, err
	}
	// Index 0 is "only if there is no such key"; both are written, or neither.
	made, _, _, err = r.txn.Txn(api.TxnOps{
		{KV: &api.KVTxnOp{Verb: api.KVCAS, Key: r.BootstrapKey(), Value: done}},
		{KV: &api.KVTxnOp{Verb: api.KVCAS, Key: r.tokenKey(t.Accessor), Value: token}},
	}, (&api.QueryOptions{}).WithContext(ctx))
	if err != nil || !made {
		return false, err
	}
	r.renewTokens(ctx)
	return true, nil
}
