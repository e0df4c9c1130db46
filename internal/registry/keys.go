package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/hashicorp/consul/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// keyRecord is a launch's hold on an Idempotency-Key, kept here for as long as
// Redis, which has them otherwise, does not answer.
type keyRecord struct {
	Claim       string `json:"claim"`
	Fingerprint string `json:"fingerprint"`
}

func (r *Registry) keyKey(idempotencyKey string) string {
	sum := sha256.Sum256([]byte(idempotencyKey))
	return r.prefix + "keys/" + hex.EncodeToString(sum[:16])
}

// HoldKey reserves the Idempotency-Key of a claim, once: won is false when
// another claim holds it, of which the id and the fingerprint are given.
func (r *Registry) HoldKey(ctx context.Context, c staging.Claim) (won bool, holder staging.Claim, err error) {
	b, err := json.Marshal(keyRecord{Claim: c.ID, Fingerprint: c.Fingerprint})
	if err != nil {
		return false, holder, err
	}
	won, _, err = r.kv.CAS(&api.KVPair{Key: r.keyKey(c.IdempotencyKey), Value: b}, write(ctx))
	if err != nil || won {
		return won, c, err
	}
	p, _, err := r.kv.Get(r.keyKey(c.IdempotencyKey), query(ctx))
	if err != nil || p == nil { // p is nil when it was let go this moment
		return false, c, err
	}
	var k keyRecord
	if err := json.Unmarshal(p.Value, &k); err != nil {
		return false, holder, fmt.Errorf("%s does not parse: %w", p.Key, err)
	}
	return k.Claim == c.ID, staging.Claim{ID: k.Claim, Fingerprint: k.Fingerprint}, nil
}

// LetKeyGo frees a key that a claim holds: its launch gave no session, or Redis
// answers for it again.
func (r *Registry) LetKeyGo(ctx context.Context, idempotencyKey, claim string) error {
	p, _, err := r.kv.Get(r.keyKey(idempotencyKey), query(ctx))
	if err != nil || p == nil {
		return err
	}
	var k keyRecord
	if json.Unmarshal(p.Value, &k) == nil && k.Claim != claim {
		return nil
	}
	_, _, err = r.kv.DeleteCAS(p, write(ctx))
	return err
}
