package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

func (r *Registry) tokensPrefix() string            { return r.prefix + "tokens/" }
func (r *Registry) tokenKey(accessor string) string { return r.tokensPrefix() + accessor }

// BootstrapKey is the key that exists once the first token was created, an
// administrator's or any other. After it was deleted, Bootstrap creates an
// administrator's token again.
func (r *Registry) BootstrapKey() string { return r.prefix + "bootstrap" }

// bootstrap is the value of BootstrapKey.
type bootstrap struct {
	Accessor string    `json:"accessor"`
	At       time.Time `json:"at"`
}

// errTokenExists is a mistake of the caller, because accessors are random.
var errTokenExists = errors.New("a token with this accessor already exists")

var errNotDeleted = errors.New("nothing was deleted")

// Tokens returns the cache, which WatchTokens and every write refresh. It is nil until the
// tokens were read once.
func (r *Registry) Tokens() *access.Tokens { return r.tokens.Load() }

// RefreshTokens reads all tokens from Consul and updates the cache.
func (r *Registry) RefreshTokens(ctx context.Context) (*access.Tokens, error) {
	return r.readTokens(query(ctx))
}

func (r *Registry) readTokens(q *api.QueryOptions) (*access.Tokens, error) {
	pairs, meta, err := list(r.kv, r.tokensPrefix(), q)
	if err != nil {
		return nil, err
	}
	var all []access.Token
	unreadable := map[string]string{}
	for _, p := range pairs {
		if isFolder(p) {
			continue
		}
		var t access.Token
		if err := decode(p.Value, &t); err != nil {
			unreadable[p.Key] = err.Error()
			continue
		}
		if p.Key != r.tokenKey(t.Accessor) {
			// A copy would go on working after the token was revoked.
			unreadable[p.Key] = "accessor: it is not that of the key"
			continue
		}
		all = append(all, t)
	}
	read := access.NewTokens(all, meta.LastIndex, unreadable)
	// A slow read must not undo a fast one: a token that was revoked would work again.
	keepNewest(&r.tokens, read, func(t *access.Tokens) uint64 { return t.Index })
	return read, nil
}

// CreateToken stores a token. Only an administrator creates tokens, so CreateToken also
// makes sure that Bootstrap does nothing from then on: otherwise anybody could take over a
// broker that was restarted without its configured administrator's token.
func (r *Registry) CreateToken(ctx context.Context, t access.Token) error {
	b, err := encode(t)
	if err != nil {
		return fmt.Errorf("encode token %s: %w", t.Accessor, err)
	}
	closed, err := encode(bootstrap{Accessor: t.Accessor, At: t.CreatedAt})
	if err != nil {
		return fmt.Errorf("encode %s: %w", r.BootstrapKey(), err)
	}
	// An existing key stays as it is.
	if _, _, err := r.kv.CAS(&api.KVPair{Key: r.BootstrapKey(), Value: closed}, write(ctx)); err != nil {
		return callError(err, "create %s", r.BootstrapKey())
	}
	made, _, err := r.kv.CAS(&api.KVPair{Key: r.tokenKey(t.Accessor), Value: b}, write(ctx))
	if err == nil && !made {
		err = errTokenExists
	}
	if err != nil {
		return callError(err, "create token %s", t.Accessor)
	}
	r.refreshTokenCache(ctx)
	return nil
}

// refreshTokenCache is refreshCache for the tokens.
func (r *Registry) refreshTokenCache(ctx context.Context) { _, _ = r.RefreshTokens(ctx) }

// RevokeToken deletes a token and returns it. It returns staging.ErrNoResource if there is
// none. A token that does not parse is deleted, too.
func (r *Registry) RevokeToken(ctx context.Context, accessor string) (access.Token, error) {
	old, _, err := r.kv.Get(r.tokenKey(accessor), query(ctx))
	if err != nil {
		return access.Token{}, callError(err, "read token %s", accessor)
	}
	if old == nil {
		return access.Token{}, fmt.Errorf("%w: token %s", staging.ErrNoResource, accessor)
	}
	// Its use is deleted with it. Both deletions are done, or neither.
	_, failed, err := r.transact(ctx, api.TxnOps{
		{KV: &api.KVTxnOp{Verb: api.KVDelete, Key: old.Key}},
		{KV: &api.KVTxnOp{Verb: api.KVDelete, Key: r.tokenUseKey(accessor)}},
	})
	if err == nil && len(failed) > 0 {
		err = errNotDeleted
	}
	if err != nil {
		return access.Token{}, callError(err, "delete token %s", accessor)
	}
	r.refreshTokenCache(ctx)
	return *parsed[access.Token](old), nil
}

// ChangeToken replaces a token by what change returns of it, unless another change came in
// between: then it reads the token again. It returns staging.ErrNoResource if there is none,
// and an error of change as it is, with nothing written.
func (r *Registry) ChangeToken(ctx context.Context, accessor string, change func(access.Token) (access.Token, error)) (before, after access.Token, err error) {
	for {
		old, _, err := r.kv.Get(r.tokenKey(accessor), query(ctx))
		if err != nil {
			return before, after, callError(err, "read token %s", accessor)
		}
		if old == nil {
			return before, after, fmt.Errorf("%w: token %s", staging.ErrNoResource, accessor)
		}
		before = access.Token{}
		if err := decode(old.Value, &before); err != nil {
			return before, after, unparsed(old, err, "")
		}
		if after, err = change(before); err != nil {
			return before, before, err
		}
		b, err := encode(after)
		if err != nil {
			return before, before, fmt.Errorf("encode token %s: %w", accessor, err)
		}
		written, _, err := r.kv.CAS(&api.KVPair{Key: old.Key, Value: b, ModifyIndex: old.ModifyIndex}, write(ctx))
		if err != nil {
			return before, after, callError(err, "change token %s", accessor)
		}
		if written {
			r.refreshTokenCache(ctx)
			return before, after, nil
		}
	}
}

// Bootstrap stores the first administrator's token, unless BootstrapKey exists: then made
// is false and nothing was written. An error means that the outcome is not known.
func (r *Registry) Bootstrap(ctx context.Context, t access.Token) (made bool, err error) {
	done, err := encode(bootstrap{Accessor: t.Accessor, At: t.CreatedAt})
	if err != nil {
		return false, fmt.Errorf("encode %s: %w", r.BootstrapKey(), err)
	}
	token, err := encode(t)
	if err != nil {
		return false, fmt.Errorf("encode token %s: %w", t.Accessor, err)
	}
	// Index 0 means "only if the key does not exist". Both keys are written, or neither.
	_, failed, err := r.transact(ctx, api.TxnOps{
		{KV: &api.KVTxnOp{Verb: api.KVCAS, Key: r.BootstrapKey(), Value: done}},
		{KV: &api.KVTxnOp{Verb: api.KVCAS, Key: r.tokenKey(t.Accessor), Value: token}},
	})
	if err != nil || len(failed) > 0 {
		return false, callError(err, "create %s with token %s", r.BootstrapKey(), t.Accessor)
	}
	r.refreshTokenCache(ctx)
	return true, nil
}
