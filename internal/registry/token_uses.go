package registry

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"
)

// The uses of tokens are apart from the tokens: brokers watch those, and a use changes nothing
// that they watch for.

func (r *Registry) tokenUsesPrefix() string            { return r.prefix + "token_uses/" }
func (r *Registry) tokenUseKey(accessor string) string { return r.tokenUsesPrefix() + accessor }

// tokenUse is the record of a token's last use.
type tokenUse struct {
	At time.Time `json:"at"`
}

// NoteTokenUse records that a token was used at a time. Nothing is written where a later use
// is recorded, or where the token is gone.
func (r *Registry) NoteTokenUse(ctx context.Context, accessor string, at time.Time) error {
	last, _, err := r.kv.Get(r.tokenUseKey(accessor), query(ctx))
	if err != nil {
		return callError(err, "read the last use of token %s", accessor)
	}
	var index uint64
	if last != nil {
		if newer(last) != nil {
			return nil
		}
		var known tokenUse
		// A record that does not parse is replaced.
		if decode(last.Value, &known) == nil && !at.After(known.At) {
			return nil
		}
		index = last.ModifyIndex
	}
	b, err := encode(tokenUse{At: at.UTC().Truncate(time.Second)})
	if err != nil {
		return fmt.Errorf("encode the last use of token %s: %w", accessor, err)
	}
	// The read fails if the token was revoked meanwhile, the write if another broker has
	// recorded a use, which is as new. Neither is an error: nothing is left to record.
	_, _, err = r.transact(ctx, api.TxnOps{
		{KV: &api.KVTxnOp{Verb: api.KVGet, Key: r.tokenKey(accessor)}},
		{KV: &api.KVTxnOp{Verb: api.KVCAS, Key: r.tokenUseKey(accessor), Value: b, Index: index}},
	})
	return callError(err, "record the use of token %s", accessor)
}

// TokenUses returns when each token was used last, by its accessor.
func (r *Registry) TokenUses(ctx context.Context) (map[string]time.Time, error) {
	pairs, _, err := list(r.kv, r.tokenUsesPrefix(), query(ctx))
	if err != nil {
		return nil, err
	}
	uses := map[string]time.Time{}
	for _, p := range pairs {
		var use tokenUse
		if decode(p.Value, &use) == nil {
			uses[strings.TrimPrefix(p.Key, r.tokenUsesPrefix())] = use.At
		}
	}
	return uses, nil
}
