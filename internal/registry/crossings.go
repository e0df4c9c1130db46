package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// What launches were given by peers. A launch with a key has its crossing in the key's record,
// where the launches of this region look for sessions of their own, too: a key has one of both.
// crossings/open/ lists the keys of which it is not known yet what the peer gave, and
// crossings/sessions/ the sessions that peers gave.

func (r *Registry) remoteSessionsPrefix() string      { return r.prefix + "crossings/sessions/" }
func (r *Registry) remoteSessionKey(id string) string { return r.remoteSessionsPrefix() + id }
func (r *Registry) openCrossingsPrefix() string       { return r.prefix + "crossings/open/" }

func (r *Registry) openCrossingKey(idempotencyKey string) string {
	return r.openCrossingsPrefix() + nameOfKey(idempotencyKey)
}

// openCrossing is the record of a crossing of which nothing is known yet.
type openCrossing struct {
	IdempotencyKey string    `json:"idempotency_key"`
	Since          time.Time `json:"since"`
}

// HoldCrossing binds an Idempotency-Key to a crossing: it replaces the record that hold.Index names,
// or creates one with index 0. It returns the hold with its new index, or a
// *staging.KeyHeldError with another launch's hold. After any other error it is not known whether
// it was recorded.
func (r *Registry) HoldCrossing(ctx context.Context, idempotencyKey string, hold staging.KeyHold) (staging.KeyHold, error) {
	key, err := json.Marshal(hold)
	if err != nil {
		return hold, err
	}
	open, err := json.Marshal(openCrossing{IdempotencyKey: idempotencyKey, Since: time.Now().UTC()})
	if err != nil {
		return hold, err
	}
	path := r.idempotencyKeyPath(idempotencyKey)
	answer, failed, err := r.transact(ctx, api.TxnOps{
		{KV: &api.KVTxnOp{Verb: api.KVCAS, Key: path, Value: key, Index: hold.Index}},
		{KV: &api.KVTxnOp{Verb: api.KVSet, Key: r.openCrossingKey(idempotencyKey), Value: open}},
	})
	if err != nil {
		return hold, callError(err, "write %s", path)
	}
	if len(failed) > 0 {
		now, err := r.Key(ctx, idempotencyKey)
		switch {
		case err == nil && now.Claim == hold.Claim && now.Crossing != nil:
			return now, nil // the answer to an earlier try was lost
		case err == nil:
			return hold, &staging.KeyHeldError{KeyHold: now}
		}
		return hold, fmt.Errorf("%w: %w", ErrConflict, err)
	}
	for _, a := range answer {
		if a.KV != nil && a.KV.Key == path {
			hold.Index = a.KV.ModifyIndex
		}
	}
	return hold, nil
}

// FinishCrossing records the sessions that a peer gave, and in the record of the launch's key
// that it did; hold is the zero value for a launch without a key. ErrConflict: another broker
// has asked the peer meanwhile, and records what it was given.
func (r *Registry) FinishCrossing(ctx context.Context, hold staging.KeyHold, given []staging.RemoteSession) error {
	var ops api.TxnOps
	for _, s := range given {
		b, err := json.Marshal(s)
		if err != nil {
			return err
		}
		ops = append(ops, &api.TxnOp{KV: &api.KVTxnOp{Verb: api.KVSet, Key: r.remoteSessionKey(s.Session), Value: b}})
	}
	if key := given[0].IdempotencyKey; key != "" {
		b, err := json.Marshal(hold)
		if err != nil {
			return err
		}
		ops = append(
			ops,
			&api.TxnOp{KV: &api.KVTxnOp{Verb: api.KVCAS, Key: r.idempotencyKeyPath(key), Value: b, Index: hold.Index}},
			&api.TxnOp{KV: &api.KVTxnOp{Verb: api.KVDelete, Key: r.openCrossingKey(key)}},
		)
	}
	return r.all(ctx, ops, "record the sessions of peer "+given[0].Peer)
}

// DropCrossing frees a key whose crossing gave no session. ErrConflict: another broker has asked
// the peer meanwhile.
func (r *Registry) DropCrossing(ctx context.Context, idempotencyKey string, hold staging.KeyHold) error {
	return r.all(ctx, api.TxnOps{
		{KV: &api.KVTxnOp{Verb: api.KVDeleteCAS, Key: r.idempotencyKeyPath(idempotencyKey), Index: hold.Index}},
		{KV: &api.KVTxnOp{Verb: api.KVDelete, Key: r.openCrossingKey(idempotencyKey)}},
	}, "free the key of a crossing")
}

// all does all of some operations.
func (r *Registry) all(ctx context.Context, ops api.TxnOps, what string) error {
	_, failed, err := r.transact(ctx, ops)
	switch {
	case err != nil:
		return fmt.Errorf("consul: %s: %w", what, err)
	case len(failed) > 0:
		return fmt.Errorf("%w: %s", ErrConflict, what)
	}
	return nil
}

// RemoteSession reads which peer gave a session; staging.ErrNoResource for none.
func (r *Registry) RemoteSession(ctx context.Context, id string) (staging.RemoteSession, error) {
	var s staging.RemoteSession
	key := r.remoteSessionKey(id)
	p, _, err := r.kv.Get(key, query(ctx))
	switch {
	case err != nil:
		return s, callError(err, "read %s", key)
	case p == nil:
		return s, fmt.Errorf("%w: %s", staging.ErrNoResource, key)
	}
	if err := json.Unmarshal(p.Value, &s); err != nil {
		return s, fmt.Errorf("%s does not parse: %w", key, err)
	}
	return s, nil
}

// RemoteSessions reads all sessions that peers gave, in the order of their ids. A record that
// cannot be read is left out.
func (r *Registry) RemoteSessions(ctx context.Context) ([]staging.RemoteSession, error) {
	pairs, _, err := list(r.kv, r.remoteSessionsPrefix(), query(ctx))
	if err != nil {
		return nil, err
	}
	var all []staging.RemoteSession
	for _, p := range pairs {
		var s staging.RemoteSession
		if !isFolder(p) && json.Unmarshal(p.Value, &s) == nil && p.Key == r.remoteSessionKey(s.Session) {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b staging.RemoteSession) int { return strings.Compare(a.Session, b.Session) })
	return all, nil
}

// ForgetRemoteSession deletes the record of a peer's session that has ended, and the key that it
// was given under.
func (r *Registry) ForgetRemoteSession(ctx context.Context, s staging.RemoteSession) error {
	if s.IdempotencyKey != "" {
		given := func(k staging.KeyHold) bool {
			return k.Crossing != nil && slices.Contains(k.Crossing.Sessions, s.Session)
		}
		if err := r.dropKey(ctx, s.IdempotencyKey, given); err != nil {
			return err
		}
	}
	_, err := r.kv.Delete(r.remoteSessionKey(s.Session), write(ctx))
	return callError(err, "delete %s", r.remoteSessionKey(s.Session))
}

// ForgetOpenCrossings frees the keys whose crossings have had no outcome since a time: no launch
// has been repeated with them. It returns how many.
func (r *Registry) ForgetOpenCrossings(ctx context.Context, since time.Time) (forgotten int, err error) {
	pairs, _, err := list(r.kv, r.openCrossingsPrefix(), query(ctx))
	if err != nil {
		return 0, err
	}
	var errs []error
	for _, p := range pairs {
		var open openCrossing
		if isFolder(p) || json.Unmarshal(p.Value, &open) == nil && open.Since.After(since) {
			continue
		}
		unknown := func(k staging.KeyHold) bool { return k.Crossing != nil && len(k.Crossing.Sessions) == 0 }
		if err := r.dropKey(ctx, open.IdempotencyKey, unknown); err != nil {
			errs = append(errs, err)
			continue
		}
		_, _, err := r.kv.DeleteCAS(p, write(ctx))
		errs = append(errs, callError(err, "delete %s", p.Key))
		forgotten++
	}
	return forgotten, errors.Join(errs...)
}
