package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/hashicorp/consul/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// idempotencyKeyPath returns the path of an Idempotency-Key's record.
func (r *Registry) idempotencyKeyPath(idempotencyKey string) string {
	return r.prefix + "keys/" + nameOfKey(idempotencyKey)
}

// nameOfKey names an Idempotency-Key, which may have any characters, in Consul.
func nameOfKey(idempotencyKey string) string {
	sum := sha256.Sum256([]byte(idempotencyKey))
	return hex.EncodeToString(sum[:16])
}

// Key reads which launch holds an Idempotency-Key; staging.ErrNoResource when
// none does.
func (r *Registry) Key(ctx context.Context, idempotencyKey string) (staging.KeyHold, error) {
	var k staging.KeyHold
	path := r.idempotencyKeyPath(idempotencyKey)
	p, _, err := r.kv.Get(path, query(ctx))
	if err != nil {
		return k, callError(err, "read %s", path)
	}
	if p == nil {
		return k, fmt.Errorf("%w: %s", staging.ErrNoResource, path)
	}
	if err := decode(p.Value, &k); err != nil {
		return k, unparsed(p, err, "")
	}
	k.Index = p.ModifyIndex
	return k, nil
}

// ReleaseKey frees a key that a claim holds, since its launch gave no session. A
// key of another claim stays.
func (r *Registry) ReleaseKey(ctx context.Context, idempotencyKey, claim string) error {
	return r.dropKey(ctx, idempotencyKey, func(k staging.KeyHold) bool { return k.Claim == claim })
}

// dropKey deletes a key's record if it is the one that is meant. That of a newer greenroom stays.
func (r *Registry) dropKey(ctx context.Context, idempotencyKey string, meant func(staging.KeyHold) bool) error {
	path := r.idempotencyKeyPath(idempotencyKey)
	p, _, err := r.kv.Get(path, query(ctx))
	if err != nil || p == nil {
		return callError(err, "read %s", path)
	}
	if newer(p) != nil {
		return nil
	}
	var k staging.KeyHold
	if decode(p.Value, &k) == nil && !meant(k) {
		return nil
	}
	_, _, err = r.kv.DeleteCAS(p, write(ctx))
	return callError(err, "delete %s", path)
}

// keyOp is the part of a fate's transaction that binds the launch's key to the
// session: both are written, or neither.
func (r *Registry) keyOp(f staging.Fate) (*api.TxnOp, error) {
	b, err := encode(staging.KeyHold{Claim: f.Claim, Fingerprint: f.Fingerprint, Session: f.Session})
	if err != nil {
		return nil, err
	}
	return &api.TxnOp{KV: &api.KVTxnOp{Verb: api.KVCAS, Key: r.idempotencyKeyPath(f.IdempotencyKey), Value: b, Index: f.KeyIndex}}, nil
}
