package redisstore

import (
	"context"
	"strings"

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
	return held(reply)
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

// Rebind binds the Idempotency-Key of a repeat to the session x of the earlier launch; x
// has the earlier launch's claim. If that launch has several sessions, several holds all
// their ids. A key that a third claim holds does not change.
func (s *Store) Rebind(ctx context.Context, idempotencyKey string, repeat staging.Claim, x staging.Session, several ...string) error {
	if repeat.Fingerprint == "" {
		return nil
	}
	err := rebindScript.Run(ctx, s.rdb, []string{s.idempotencyKey(idempotencyKey)},
		repeat.ID, x.Claim, repeat.Fingerprint, x.ID, s.o.KeyLife.Milliseconds(), joined(several)).Err()
	return callError(err, "bind the idempotency key of claim %s to session %s of claim %s", repeat.ID, x.ID, x.Claim)
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

// KeyHolder returns which launch holds an Idempotency-Key. The outcome is ClaimRepeat,
// with the launch's claim, its session (if it has one yet), all session ids if it has
// several, and whether it is done. The outcome is ClaimEmpty if no launch holds the key.
func (s *Store) KeyHolder(ctx context.Context, idempotencyKey string) (staging.ClaimResult, error) {
	v, err := s.rdb.HMGet(ctx, s.idempotencyKey(idempotencyKey), "claim", "session", "done", "sessions").Result()
	if err != nil {
		return staging.ClaimResult{}, callError(err, "read an idempotency key")
	}
	if v[0] == nil {
		return staging.ClaimResult{Outcome: staging.ClaimEmpty}, nil
	}
	claim, _ := v[0].(string)
	id, _ := v[1].(string)
	several, _ := v[3].(string)
	return staging.ClaimResult{
		Outcome: staging.ClaimRepeat, Session: staging.Session{ID: id, Claim: claim}, Several: strings.Fields(several), Done: v[2] != nil,
	}, nil
}
