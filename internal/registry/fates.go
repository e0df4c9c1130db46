package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/consul/api"

	"github.com/greenroom/greenroom/internal/staging"
)

func (r *Registry) fatesPrefix() string      { return r.prefix + "fates/" }
func (r *Registry) fateKey(id string) string { return r.fatesPrefix() + id }

// CreateFate decides a session's fate, once and for all. won is false when it
// was decided before; the fate given is the record that stands, with its index.
// A fate with an Idempotency-Key binds the key to its session in the same write;
// a *staging.KeyHeldError says that the key is another launch's, and that nothing
// was written. Any other error means that nothing is known of the outcome.
func (r *Registry) CreateFate(ctx context.Context, f staging.Fate) (won bool, stands staging.Fate, err error) {
	f.Index = 0 // Consul's "only if there is no such key"
	won, f, err = r.writeFate(ctx, f)
	if err != nil || won {
		return won, f, err
	}
	stands, err = r.Fate(ctx, f.Session)
	if errors.Is(err, staging.ErrNoResource) && f.Fingerprint != "" {
		// Not the session but the key is another's.
		hold, keyErr := r.Key(ctx, f.IdempotencyKey)
		if keyErr == nil && hold.Claim != f.Claim {
			return false, f, &staging.KeyHeldError{KeyHold: hold}
		}
	}
	if err == nil && f.Claim != "" && stands.Claim == f.Claim {
		// Our own record: the answer to an earlier try was lost on its way.
		return true, stands, nil
	}
	return false, stands, err
}

// FinishFate notes that the assign hook of f's claim has finished; f is the
// record as CreateFate gave it. ErrConflict: it was changed or deleted since,
// so the session has been settled by somebody else.
func (r *Registry) FinishFate(ctx context.Context, f staging.Fate) error {
	f.HookPending = false
	done, _, err := r.writeFate(ctx, f)
	if err == nil && !done {
		return fmt.Errorf("%w: the fate of session %s", ErrConflict, f.Session)
	}
	return err
}

// AbandonFate takes the record from a claim whose lease is over, so that a
// broker that comes back late can no longer finish it. ErrConflict: it was
// finished or settled meanwhile.
func (r *Registry) AbandonFate(ctx context.Context, f staging.Fate, reason string) error {
	f.Reason = reason
	done, _, err := r.writeFate(ctx, f)
	if err == nil && !done {
		return fmt.Errorf("%w: the fate of session %s", ErrConflict, f.Session)
	}
	return err
}

// writeFate is a compare-and-set on f.Index. Where another will follow, it is a
// transaction of one operation: that costs the same Raft write and, unlike a plain one,
// answers with the index that the next one needs. A plain one costs Consul less besides.
func (r *Registry) writeFate(ctx context.Context, f staging.Fate) (bool, staging.Fate, error) {
	b, err := json.Marshal(f)
	if err != nil {
		return false, f, err
	}
	if bindsKey := f.Index == 0 && f.Fingerprint != ""; !bindsKey && !f.HookPending {
		p := &api.KVPair{Key: r.fateKey(f.Session), Value: b, ModifyIndex: f.Index}
		f.Index = 0 // no longer known: whoever wants to change the record reads it first
		done, _, err := r.kv.CAS(p, (&api.WriteOptions{}).WithContext(ctx))
		return done, f, err
	}
	ops := api.TxnOps{{KV: &api.KVTxnOp{Verb: api.KVCAS, Key: r.fateKey(f.Session), Value: b, Index: f.Index}}}
	if f.Index == 0 && f.Fingerprint != "" {
		op, err := r.keyOp(f)
		if err != nil {
			return false, f, err
		}
		ops = append(ops, op)
	}
	done, reply, _, err := r.txn.Txn(ops, (&api.QueryOptions{}).WithContext(ctx))
	if err != nil || !done {
		return false, f, err
	}
	if len(reply.Results) != len(ops) || reply.Results[0].KV == nil {
		return false, f, fmt.Errorf("consul acknowledged the fate of session %s without an index", f.Session)
	}
	f.Index = reply.Results[0].KV.ModifyIndex
	if len(ops) > 1 && reply.Results[1].KV != nil {
		f.KeyIndex = reply.Results[1].KV.ModifyIndex
	}
	return true, f, nil
}

// Fate reads one record; staging.ErrNoResource when the session's fate is open.
func (r *Registry) Fate(ctx context.Context, session string) (staging.Fate, error) {
	var f staging.Fate
	p, _, err := r.kv.Get(r.fateKey(session), query(ctx))
	if err != nil {
		return f, err
	}
	if p == nil {
		return f, fmt.Errorf("%w: the fate of session %s", staging.ErrNoResource, session)
	}
	if err := json.Unmarshal(p.Value, &f); err != nil {
		return f, fmt.Errorf("the fate of session %s does not parse: %w", session, err)
	}
	f.Index = p.ModifyIndex
	return f, nil
}

// Fates reads every record: at start and at resync. A record that cannot be
// read is an error, since without it a session could be given away twice.
func (r *Registry) Fates(ctx context.Context) (map[string]staging.Fate, error) {
	pairs, _, err := r.kv.List(r.fatesPrefix(), query(ctx))
	if err != nil {
		return nil, err
	}
	all := make(map[string]staging.Fate, len(pairs))
	for _, p := range pairs {
		var f staging.Fate
		if err := json.Unmarshal(p.Value, &f); err != nil {
			return nil, fmt.Errorf("%s does not parse: %w", p.Key, err)
		}
		f.Index = p.ModifyIndex
		all[strings.TrimPrefix(p.Key, r.fatesPrefix())] = f
	}
	return all, nil
}

// DeleteFate forgets a session that has ended and of which nothing is left, and
// the Idempotency-Key that was bound to it.
func (r *Registry) DeleteFate(ctx context.Context, session string) error {
	f, err := r.Fate(ctx, session)
	if errors.Is(err, staging.ErrNoResource) {
		return nil
	}
	if err == nil && f.Fingerprint != "" {
		err = r.dropKey(ctx, f.IdempotencyKey, func(k staging.KeyHold) bool { return k.Session == session })
	}
	if err != nil {
		return err
	}
	_, err = r.kv.Delete(r.fateKey(session), write(ctx))
	return err
}
