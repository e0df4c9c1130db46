package redisstore

import (
	"context"
	"strings"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// Adopt reserves the launch's Idempotency-Key, if it has one, for a session that its user
// already has.
func (s *Store) Adopt(ctx context.Context, idempotencyKey string, c staging.Claim, session string) (staging.ClaimResult, error) {
	if c.Fingerprint == "" {
		return staging.ClaimResult{Outcome: staging.ClaimTaken}, nil
	}
	reply, err := adoptScript.Run(ctx, s.rdb, []string{s.idempotencyKey(idempotencyKey)},
		c.ID, c.Fingerprint, s.o.KeyLease.Milliseconds(), session).StringSlice()
	if err != nil {
		return staging.ClaimResult{}, callError(err, "adopt session %s for claim %s", session, c.ID)
	}
	if reply[0] == "adopted" {
		return staging.ClaimResult{Outcome: staging.ClaimTaken}, nil
	}
	return refused(reply)
}

// Bind binds the Idempotency-Key of a finished launch to its session for KeyLife. A key
// that another claim holds does not change.
func (s *Store) Bind(ctx context.Context, idempotencyKey, claim string) error {
	if idempotencyKey == "" {
		return nil
	}
	err := bindScript.Run(ctx, s.rdb, []string{s.idempotencyKey(idempotencyKey)}, claim, s.o.KeyLife.Milliseconds()).Err()
	return callError(err, "bind the idempotency key of claim %s", claim)
}

// Rebind binds the Idempotency-Key of a repeat to the earlier launch, whose claim and
// sessions are the holder's. A key that a third claim holds stays as it is.
func (s *Store) Rebind(ctx context.Context, idempotencyKey string, repeat staging.Claim, holder staging.KeyHolder) error {
	if repeat.Fingerprint == "" {
		return nil
	}
	several := ""
	if len(holder.Sessions) > 1 {
		several = joined(holder.Sessions)
	}
	err := rebindScript.Run(ctx, s.rdb, []string{s.idempotencyKey(idempotencyKey)},
		repeat.ID, holder.Claim, repeat.Fingerprint, holder.Sessions[0], s.o.KeyLife.Milliseconds(), several).Err()
	return callError(err, "bind the idempotency key of claim %s to session %s of claim %s", repeat.ID, holder.Sessions[0], holder.Claim)
}

// DetachKey detaches the Idempotency-Key from its session, for a launch that gives up a
// session and tries another. The key stays reserved, so a repeat waits for the launch.
func (s *Store) DetachKey(ctx context.Context, idempotencyKey, claim string) error {
	if idempotencyKey == "" {
		return nil
	}
	err := detachKeyScript.Run(ctx, s.rdb, []string{s.idempotencyKey(idempotencyKey)}, claim).Err()
	return callError(err, "detach the idempotency key of claim %s", claim)
}

// Release frees the Idempotency-Key of a launch that returned no session, so that a repeat
// may try again. It does nothing if another claim holds the key or its launch is done.
//
// If session is not "", the key must still name it: the launch may have moved on to
// another session.
func (s *Store) Release(ctx context.Context, idempotencyKey, claim, session string) error {
	if idempotencyKey == "" {
		return nil
	}
	err := releaseScript.Run(ctx, s.rdb, []string{s.idempotencyKey(idempotencyKey)}, claim, session).Err()
	return callError(err, "release the idempotency key of claim %s", claim)
}

// RenewKey renews the lease of an Idempotency-Key that an unfinished launch holds. A key
// that another claim holds does not change, nor does that of a finished launch.
func (s *Store) RenewKey(ctx context.Context, idempotencyKey, claim string) error {
	return s.KeepKey(ctx, idempotencyKey, claim, s.o.KeyLease)
}

// KeepKey is RenewKey for a lease of another length: that of a launch whose session goes on
// without it.
func (s *Store) KeepKey(ctx context.Context, idempotencyKey, claim string, lease time.Duration) error {
	err := renewKeyScript.Run(ctx, s.rdb, []string{s.idempotencyKey(idempotencyKey)}, claim, lease.Milliseconds()).Err()
	return callError(err, "renew the idempotency key of claim %s", claim)
}

// KeyHolder reads which launch holds an Idempotency-Key; the zero value when none does.
func (s *Store) KeyHolder(ctx context.Context, idempotencyKey string) (staging.KeyHolder, error) {
	v, err := s.rdb.HMGet(ctx, s.idempotencyKey(idempotencyKey), "claim", "session", "done", "sessions", "launch").Result()
	if err != nil {
		return staging.KeyHolder{}, callError(err, "read an idempotency key")
	}
	claim, _ := v[0].(string)
	first, _ := v[1].(string)
	all, _ := v[3].(string)
	fingerprint, _ := v[4].(string)
	holder := staging.KeyHolder{Claim: claim, Fingerprint: fingerprint, Session: first, Sessions: strings.Fields(all), Done: v[2] != nil}
	if len(holder.Sessions) == 0 && first != "" {
		holder.Sessions = []string{first}
	}
	return holder, nil
}

// joined are ids as the scripts keep them.
func joined(ids []string) string { return strings.Join(ids, " ") }
