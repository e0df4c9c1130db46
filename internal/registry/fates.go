package registry

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/consul/api"

	"github.com/greenroom/greenroom/internal/staging"
)

func (r *Registry) fatesPrefix() string      { return r.prefix + "fates/" }
func (r *Registry) fateKey(id string) string { return r.fatesPrefix() + id }

// Fate reads one record; staging.ErrNoResource when the session's fate is open.
func (r *Registry) Fate(ctx context.Context, session string) (staging.Fate, error) {
	p, err := r.storedFate(ctx, session)
	if err != nil {
		return staging.Fate{}, err
	}
	return decodeFate(session, p), nil
}

func (r *Registry) storedFate(ctx context.Context, session string) (*api.KVPair, error) {
	p, _, err := r.kv.Get(r.fateKey(session), query(ctx))
	if err != nil {
		return nil, callError(err, "read %s", r.fateKey(session))
	}
	if p == nil {
		return nil, fmt.Errorf("%w: the fate of session %s", staging.ErrNoResource, session)
	}
	return p, nil
}

// decodeFate returns what is stored under a session's key. A record that cannot be read has
// VerdictUnreadable, with the reason in Reason: it concerns its own session alone, which
// nobody may have.
func decodeFate(session string, p *api.KVPair) staging.Fate {
	var f staging.Fate
	err := decode(p.Value, &f)
	switch {
	case err != nil:
		err = fieldError[staging.Fate](p.Value, err)
	case f.Session != session:
		err = fmt.Errorf("session: the value is that of %q, and the key that of %q", f.Session, session)
	case f.Verdict == staging.VerdictAssigned && (f.User == nil || f.Claim == ""):
		err = errors.New("user, claim: an assigned session must have both")
	case f.Verdict != staging.VerdictAssigned && f.Verdict != staging.VerdictRetired:
		err = fmt.Errorf("verdict: must be %s or %s, is %q", staging.VerdictAssigned, staging.VerdictRetired, f.Verdict)
	}
	if err != nil {
		f = staging.Fate{Session: session, Verdict: staging.VerdictUnreadable, Reason: p.Key + " in Consul cannot be read (" + reasonOf(err) + ")"}
	}
	f.Index = p.ModifyIndex
	return f
}

// Fates reads every record, also those that cannot be read: for the scaler at start and at
// resync, for brokers while Redis is away or not trusted.
func (r *Registry) Fates(ctx context.Context) (map[string]staging.Fate, error) {
	pairs, _, err := list(r.kv, r.fatesPrefix(), query(ctx))
	if err != nil {
		return nil, err
	}
	all := make(map[string]staging.Fate, len(pairs))
	for _, p := range pairs {
		if isFolder(p) {
			continue
		}
		id := strings.TrimPrefix(p.Key, r.fatesPrefix())
		all[id] = decodeFate(id, p)
	}
	return all, nil
}

// DeleteFate forgets a session that has ended and of which nothing is left, and
// the Idempotency-Key that was bound to it. The record of a newer greenroom stays.
func (r *Registry) DeleteFate(ctx context.Context, session string) error {
	p, err := r.storedFate(ctx, session)
	if errors.Is(err, staging.ErrNoResource) || newer(p) != nil {
		return nil
	}
	if err != nil {
		return err
	}
	if f := decodeFate(session, p); f.Fingerprint != "" {
		err = r.dropKey(ctx, f.IdempotencyKey, func(k staging.KeyHold) bool { return k.Session == session })
	}
	if err != nil {
		return err
	}
	ops := api.TxnOps{{KV: &api.KVTxnOp{Verb: api.KVDelete, Key: r.fateKey(session)}}}
	_, _, err = r.fateWrites.do(ctx, &groupWrite{ops: ops, plain: true, background: true})
	return callError(err, "delete %s", r.fateKey(session))
}
