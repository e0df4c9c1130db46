package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/hashicorp/consul/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// CreateFates decides the fates of all sessions of a launch for several in one
// transaction: every record is created, and the launch's key bound, or nothing is
// written. lost has, when it was not, the records that stand in the way, by session;
// one that has gone since it stood there has no verdict. Given back are the records with
// their indices.
//
// A *staging.KeyHeldError says that the key is another launch's, and that nothing was
// written. Any other error means that nothing is known of the outcome.
func (r *Registry) CreateFates(ctx context.Context, fates []staging.Fate) (stand []staging.Fate, lost map[string]staging.Fate, err error) {
	var ops api.TxnOps
	for _, f := range fates {
		f.Index = 0 // Consul's "only if there is no such key"
		op, err := r.fateOp(f)
		if err != nil {
			return nil, nil, err
		}
		ops = append(ops, op)
	}
	first := fates[0]
	if first.Fingerprint != "" {
		op, err := r.keyOp(first)
		if err != nil {
			return nil, nil, err
		}
		ops = append(ops, op)
	}
	done, reply, _, err := r.txn.Txn(ops, (&api.QueryOptions{}).WithContext(ctx))
	if err != nil {
		return nil, nil, err
	}
	if done {
		stand, err := indexed(fates, reply)
		return stand, nil, err
	}
	return r.inTheWay(ctx, fates, reply)
}

// inTheWay reads what a transaction failed for. Where all of it is the claim's own, the
// answer to an earlier try was lost on its way.
func (r *Registry) inTheWay(ctx context.Context, fates []staging.Fate, reply *api.TxnResponse) ([]staging.Fate, map[string]staging.Fate, error) {
	claim := fates[0].Claim
	lost := map[string]staging.Fate{}
	var ours []staging.Fate
	var key *staging.KeyHold
	for _, failed := range reply.Errors {
		if failed.OpIndex >= len(fates) {
			hold, err := r.Key(ctx, fates[0].IdempotencyKey)
			if err != nil && !errors.Is(err, staging.ErrNoResource) {
				return nil, nil, err
			}
			key = &hold
			continue
		}
		f := fates[failed.OpIndex]
		stands, err := r.Fate(ctx, f.Session)
		if err != nil && !errors.Is(err, staging.ErrNoResource) {
			return nil, nil, err
		}
		if stands.Claim == claim && err == nil {
			ours = append(ours, stands)
			continue
		}
		lost[f.Session] = stands
	}
	switch {
	case len(ours) == len(fates):
		if key != nil {
			for i := range ours {
				ours[i].KeyIndex = key.Index
			}
		}
		return ours, nil, nil
	case len(ours) > 0 || len(reply.Errors) == 0:
		return nil, nil, fmt.Errorf("consul refused the fates of %d sessions, and %d of them stand", len(fates), len(ours))
	case len(lost) == 0 && key.Claim != claim && key.Claim != "":
		return nil, nil, &staging.KeyHeldError{KeyHold: *key}
	case len(lost) == 0:
		return nil, nil, fmt.Errorf("%w: the idempotency key's record", ErrConflict)
	}
	return nil, lost, nil
}

// FinishFates notes that the assign hooks of all sessions of a launch have finished:
// of all of them, or of none. ErrConflict: one of the records was changed or deleted
// since, so that none is finished.
func (r *Registry) FinishFates(ctx context.Context, fates []staging.Fate) error {
	var ops api.TxnOps
	for _, f := range fates {
		f.HookPending = false
		op, err := r.fateOp(f)
		if err != nil {
			return err
		}
		ops = append(ops, op)
	}
	done, _, _, err := r.txn.Txn(ops, (&api.QueryOptions{}).WithContext(ctx))
	if err == nil && !done {
		return fmt.Errorf("%w: the fate of one of %d sessions", ErrConflict, len(fates))
	}
	return err
}

// fateOp is a compare-and-set of one record on its index.
func (r *Registry) fateOp(f staging.Fate) (*api.TxnOp, error) {
	b, err := json.Marshal(f)
	if err != nil {
		return nil, err
	}
	return &api.TxnOp{KV: &api.KVTxnOp{Verb: api.KVCAS, Key: r.fateKey(f.Session), Value: b, Index: f.Index}}, nil
}

// indexed gives the records the indices that they were stored with.
func indexed(fates []staging.Fate, reply *api.TxnResponse) ([]staging.Fate, error) {
	if len(reply.Results) < len(fates) {
		return nil, errors.New("consul acknowledged the fates of a launch without their indices")
	}
	stand := make([]staging.Fate, len(fates))
	for i, f := range fates {
		if reply.Results[i].KV == nil {
			return nil, fmt.Errorf("consul acknowledged the fate of session %s without an index", f.Session)
		}
		f.Index = reply.Results[i].KV.ModifyIndex
		if f.Fingerprint != "" {
			f.KeyIndex = f.Index // written in the same transaction
		}
		stand[i] = f
	}
	return stand, nil
}
