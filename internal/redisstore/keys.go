package redisstore

import (
	"context"
	"strings"

	"github.com/greenroom/greenroom/internal/staging"
)

// Adopt reserves the launch's Idempotency-Key, where it has one, for a session
// that its user has already.
func (s *Store) Adopt(ctx context.Context, idempotencyKey string, c staging.Claim, session string) (staging.ClaimResult, error) {
	if c.Fingerprint == "" {
		return staging.ClaimResult{Outcome: staging.ClaimTaken}, nil
	}
	reply, err := adoptScript.Run(ctx, s.rdb, []string{s.idempotencyKey(idempotencyKey)},
		c.ID, c.Fingerprint, s.o.KeyLease.Milliseconds(), session).StringSlice()
	if err != nil {
		return staging.ClaimResult{}, err
	}
	if reply[0] == "adopted" {
		return staging.ClaimResult{Outcome: staging.ClaimTaken}, nil
	}
	return held(reply)
}

// Bind binds the Idempotency-Key of a launch that is done to its session for
// good. A key that another claim holds stays as it is.
func (s *Store) Bind(ctx context.Context, idempotencyKey, claim string) error {
	if idempotencyKey == "" {
		return nil
	}
	return bindScript.Run(ctx, s.rdb, []string{s.idempotencyKey(idempotencyKey)}, claim, s.o.KeyLife.Milliseconds()).Err()
}

// Rebind binds the Idempotency-Key of a repeat to the session of the earlier launch,
// x with that one's claim, or, where it was given several, to all of them: several
// are their ids. A key that yet another claim holds stays as it is.
func (s *Store) Rebind(ctx context.Context, idempotencyKey string, repeat staging.Claim, x staging.Session, several ...string) error {
	if repeat.Fingerprint == "" {
		return nil
	}
	return rebindScript.Run(ctx, s.rdb, []string{s.idempotencyKey(idempotencyKey)},
		repeat.ID, x.Claim, repeat.Fingerprint, x.ID, s.o.KeyLife.Milliseconds(), joined(several)).Err()
}

// DetachKey lets the Idempotency-Key go on without a session, for a launch that
// gives one up and tries another: a repeat then waits for it.
func (s *Store) DetachKey(ctx context.Context, idempotencyKey, claim string) error {
	if idempotencyKey == "" {
		return nil
	}
	return detachKeyScript.Run(ctx, s.rdb, []string{s.idempotencyKey(idempotencyKey)}, claim).Err()
}

// Release frees the Idempotency-Key of a launch that gave no session, so that
// a repeat may try anew. A key of another claim, or bound for good, stays.
//
// With a session given, the key must name it still: its launch may have gone on to
// another one.
func (s *Store) Release(ctx context.Context, idempotencyKey, claim, session string) error {
	if idempotencyKey == "" {
		return nil
	}
	return releaseScript.Run(ctx, s.rdb, []string{s.idempotencyKey(idempotencyKey)}, claim, session).Err()
}

// KeyHolder tells which launch holds an Idempotency-Key: ClaimRepeat with its
// claim, its session (if it has one yet), all of them where they are several, and
// whether it is done, or ClaimEmpty when nobody does.
func (s *Store) KeyHolder(ctx context.Context, idempotencyKey string) (staging.ClaimResult, error) {
	v, err := s.rdb.HMGet(ctx, s.idempotencyKey(idempotencyKey), "claim", "session", "done", "sessions").Result()
	if err != nil {
		return staging.ClaimResult{}, err
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
