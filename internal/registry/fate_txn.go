package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/hashicorp/consul/api"

	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// CreateFates decides the fates of all sessions of a launch in one transaction: every
// record is created, and the launch's Idempotency-Key bound to the first session, or
// nothing is written. created are the records with their indices. lost has, when nothing
// was written, the records that exist already, by session; a record that has been deleted
// since has no verdict.
//
// A *staging.KeyHeldError says that another launch holds the key, and an *access.LockedError
// that the user is locked: the transaction checks it, so that no assignment is recorded after
// a lock. A *staging.OutdatedError says that a resource is not as the first fate's MadeOf has it;
// the transaction checks that, too. Nothing was written then. Any other error means that nothing is known of the outcome.
func (r *Registry) CreateFates(ctx context.Context, fates []staging.Fate) (created []staging.Fate, lost map[string]staging.Fate, err error) {
	w := fateWrite{what: "create", fates: make([]staging.Fate, len(fates)), bindsKey: fates[0].Fingerprint != ""}
	if f := fates[0]; f.Verdict == staging.VerdictAssigned && f.User != nil {
		w.unlocked, w.madeOf = f.User.ID, f.MadeOf
	}
	for i, f := range fates {
		f.Index = 0 // Consul's "only if there is no such key"
		w.fates[i] = f
	}
	failed, err := r.commit(ctx, &w)
	if err != nil {
		return nil, nil, err
	}
	if len(failed) == 0 {
		return w.fates, nil, nil
	}
	locked := slices.Contains(failed, w.lockOp())
	var outdated *staging.OutdatedError
	failed = slices.DeleteFunc(failed, func(op int) bool {
		if n := op - w.firstMadeOf(); n >= 0 {
			outdated = &staging.OutdatedError{ResourceKey: w.madeOf[n].ResourceKey}
		}
		return op == w.lockOp() || op >= w.firstMadeOf()
	})
	switch {
	case len(failed) > 0:
		return r.conflicts(ctx, w.fates, failed)
	case locked:
		return nil, nil, &access.LockedError{UserID: w.unlocked}
	}
	return nil, nil, outdated
}

// CreateFate decides one session's fate. won is false when it was decided before;
// existing is the record that exists now, with its index. Errors are those of CreateFates.
func (r *Registry) CreateFate(ctx context.Context, f staging.Fate) (won bool, existing staging.Fate, err error) {
	created, lost, err := r.CreateFates(ctx, []staging.Fate{f})
	if err != nil {
		return false, f, err
	}
	if len(created) == 1 {
		return true, created[0], nil
	}
	if existing = lost[f.Session]; existing.Verdict == "" {
		return false, f, fmt.Errorf("%w: the fate of session %s was deleted while it was being decided", staging.ErrNoResource, f.Session)
	}
	return false, existing, nil
}

// RestoreFate writes a session's fate record again, which Consul has lost, and returns the
// record that exists now. The launch's Idempotency-Key is bound to the session again if it
// named this one, and if no launch holds it meanwhile.
func (r *Registry) RestoreFate(ctx context.Context, f staging.Fate) (existing staging.Fate, err error) {
	f.Index, f.KeyIndex = 0, 0
	named := len(f.Sessions) == 0 || f.Sessions[0] == f.Session
	w := fateWrite{what: "restore", fates: []staging.Fate{f}, bindsKey: f.Fingerprint != "" && named}
	failed, err := r.commit(ctx, &w)
	if slices.Equal(failed, []int{1}) { // the key's alone
		w.bindsKey = false
		failed, err = r.commit(ctx, &w)
	}
	switch {
	case err != nil:
		return f, err
	case len(failed) > 0:
		return r.Fate(ctx, f.Session)
	}
	return w.fates[0], nil
}

// FinishFates records that the assign hooks of all sessions of a launch have finished:
// of all of them, or of none. fates are the records as CreateFates returned them.
// ErrConflict: one of the records was changed or deleted since, so none is finished.
func (r *Registry) FinishFates(ctx context.Context, fates []staging.Fate) error {
	w := fateWrite{what: "finish", fates: make([]staging.Fate, len(fates))}
	for i, f := range fates {
		f.HookPending = false
		w.fates[i] = f
	}
	return r.commitAll(ctx, &w)
}

// AbandonFate takes the record from an unfinished claim, which can then no longer be
// finished. The scaler abandons a claim whose lease is over; a broker abandons its own,
// within the lease, when the outcome of FinishFates is unknown. ErrConflict: it was
// finished or abandoned meanwhile.
func (r *Registry) AbandonFate(ctx context.Context, f staging.Fate, reason string) error {
	f.Reason = reason
	return r.commitAll(ctx, &fateWrite{what: "abandon", fates: []staging.Fate{f}})
}

// ExtendFate stores a user's fate record with a later end. f is the record as Fate returned it, but
// for that. ErrConflict: it was changed or deleted since.
func (r *Registry) ExtendFate(ctx context.Context, f staging.Fate) error {
	return r.commitAll(ctx, &fateWrite{what: "extend", fates: []staging.Fate{f}})
}

// fateWrite is a compare-and-set of some fates, each on its index: all or none.
type fateWrite struct {
	// what is the write in a word, for errors.
	what  string
	fates []staging.Fate
	// bindsKey: the launch's Idempotency-Key is bound to the first session as well.
	bindsKey bool
	// unlocked is the user who must not be locked; "" for none.
	unlocked string
	// madeOf are the resources that must be as they were read; nil for none.
	madeOf []staging.ResourceVersion
}

// firstMadeOf is the number of the operation that checks the first of madeOf.
func (w *fateWrite) firstMadeOf() int {
	n := len(w.fates)
	if w.bindsKey {
		n++
	}
	if w.unlocked != "" {
		n++
	}
	return n
}

// lockOp is the number of the operation that checks that the user is not locked; -1 for none.
func (w *fateWrite) lockOp() int {
	switch {
	case w.unlocked == "":
		return -1
	case w.bindsKey:
		return len(w.fates) + 1
	}
	return len(w.fates)
}

// ids names the sessions of a write, for errors.
func (w *fateWrite) ids() string {
	if n := len(w.fates); n > 1 {
		return fmt.Sprintf("the fates of %d sessions, %s and others", n, w.fates[0].Session)
	}
	return "the fate of session " + w.fates[0].Session
}

// commitAll is commit for a write of which nothing may fail.
func (r *Registry) commitAll(ctx context.Context, w *fateWrite) error {
	failed, err := r.commit(ctx, w)
	if err == nil && len(failed) > 0 {
		return fmt.Errorf("%w: %s", ErrConflict, w.ids())
	}
	return err
}

// commit writes, perhaps in one transaction with the writes of others (groupCommit). failed are
// the operations that Consul refused, by their number; the key's comes after those of the
// fates, the user's after it, and the resources' last. Where nothing failed the fates have
// their new indices.
func (r *Registry) commit(ctx context.Context, w *fateWrite) (failed []int, err error) {
	ops := make(api.TxnOps, 0, len(w.fates)+2)
	for _, f := range w.fates {
		b, err := encode(f)
		if err != nil {
			return nil, err
		}
		ops = append(ops, &api.TxnOp{KV: &api.KVTxnOp{Verb: api.KVCAS, Key: r.fateKey(f.Session), Value: b, Index: f.Index}})
	}
	if w.bindsKey {
		op, err := r.keyOp(w.fates[0])
		if err != nil {
			return nil, err
		}
		ops = append(ops, op)
	}
	if w.unlocked != "" {
		ops = append(ops, &api.TxnOp{KV: &api.KVTxnOp{Verb: api.KVCheckNotExists, Key: r.userLockKey(w.unlocked)}})
	}
	for _, v := range w.madeOf {
		ops = append(ops, &api.TxnOp{KV: &api.KVTxnOp{Verb: api.KVCheckIndex, Key: r.key(pluralOf[v.Kind], v.Name), Index: v.Index}})
	}
	plain := len(ops) == 1 && !w.fates[0].HookPending
	indices, failed, err := r.fateWrites.do(ctx, &groupWrite{ops: ops, plain: plain})
	switch {
	case err != nil:
		return nil, fmt.Errorf("consul: %s %s: %w", w.what, w.ids(), err)
	case len(failed) > 0:
		return failed, nil
	}
	return nil, w.setIndices(ops, indices)
}

// setIndices gives the fates the indices that they were stored with. One that is finished and
// was written alone has none: a later writer reads the record first.
func (w *fateWrite) setIndices(ops api.TxnOps, indices map[string]uint64) error {
	for i := range w.fates {
		f := &w.fates[i]
		f.Index = indices[ops[i].KV.Key]
		if f.Index == 0 && f.HookPending {
			return fmt.Errorf("consul: %s the fate of session %s: acknowledged without an index", w.what, f.Session)
		}
		if w.bindsKey {
			f.KeyIndex = f.Index // written in the same transaction
		}
	}
	return nil
}

// sendTxn writes one transaction of KV operations. A plain one has a single operation and is
// none for Consul: that costs it less, and does not tell the new index.
func (r *Registry) sendTxn(ctx context.Context, ops api.TxnOps, plain bool) (answer api.TxnResults, failed []int, err error) {
	switch kv := ops[0].KV; {
	case plain && kv.Verb == api.KVDelete:
		_, err = r.kv.Delete(kv.Key, write(ctx))
		return nil, nil, err
	case plain:
		done, _, err := r.kv.CAS(&api.KVPair{Key: kv.Key, Value: kv.Value, ModifyIndex: kv.Index}, write(ctx))
		if err == nil && !done {
			failed = []int{0}
		}
		return nil, failed, err
	}
	return r.transact(ctx, ops)
}

// conflicts reads the records that a creation failed for. Where all of them are the
// claim's own, the reply to an earlier try was lost, and the creation has succeeded.
func (r *Registry) conflicts(ctx context.Context, fates []staging.Fate, failed []int) ([]staging.Fate, map[string]staging.Fate, error) {
	claim := fates[0].Claim
	lost := map[string]staging.Fate{}
	var ours []staging.Fate
	var key *staging.KeyHold
	for _, op := range failed {
		if op >= len(fates) {
			hold, err := r.Key(ctx, fates[0].IdempotencyKey)
			if err != nil && !errors.Is(err, staging.ErrNoResource) {
				return nil, nil, err
			}
			key = &hold
			continue
		}
		existing, err := r.Fate(ctx, fates[op].Session)
		if err != nil && !errors.Is(err, staging.ErrNoResource) {
			return nil, nil, err
		}
		if err == nil && claim != "" && existing.Claim == claim {
			ours = append(ours, existing)
			continue
		}
		lost[fates[op].Session] = existing
	}
	switch {
	case len(ours) == len(fates):
		for i := range ours {
			if key != nil {
				ours[i].KeyIndex = key.Index
			}
		}
		return ours, nil, nil
	case len(ours) > 0:
		return nil, nil, fmt.Errorf("consul: %d fates were refused, and %d of them are this claim's already", len(fates), len(ours))
	case len(lost) > 0:
		return nil, lost, nil
	case key.Claim != "" && key.Claim != claim:
		return nil, nil, &staging.KeyHeldError{KeyHold: *key}
	}
	return nil, nil, fmt.Errorf("%w: the record of the idempotency key", ErrConflict)
}
