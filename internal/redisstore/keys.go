package redisstore

import (
	"context"
	"fmt"
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
	return refused(reply)
}

// Bind binds the Idempotency-Key of a launch that is done to its session for
// good. A key that another claim holds stays as it is.
func (s *Store) Bind(ctx context.Context, idempotencyKey, claim string) error {
	if idempotencyKey == "" {
		return nil
	}
	return bindScript.Run(ctx, s.rdb, []string{s.idempotencyKey(idempotencyKey)}, claim, s.o.KeyLife.Milliseconds()).Err()
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
	return rebindScript.Run(ctx, s.rdb, []string{s.idempotencyKey(idempotencyKey)},
		repeat.ID, holder.Claim, repeat.Fingerprint, holder.Sessions[0], s.o.KeyLife.Milliseconds(), several).Err()
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

// KeyHolder reads which launch holds an Idempotency-Key; the zero value when none does.
func (s *Store) KeyHolder(ctx context.Context, idempotencyKey string) (staging.KeyHolder, error) {
	v, err := s.rdb.HMGet(ctx, s.idempotencyKey(idempotencyKey), "claim", "session", "done", "sessions").Result()
	if err != nil {
		return staging.KeyHolder{}, fmt.Errorf("redis: read the holder of an idempotency key: %w", err)
	}
	claim, _ := v[0].(string)
	first, _ := v[1].(string)
	all, _ := v[3].(string)
	holder := staging.KeyHolder{Claim: claim, Sessions: strings.Fields(all), Done: v[2] != nil}
	if len(holder.Sessions) == 0 && first != "" {
		holder.Sessions = []string{first}
	}
	return holder, nil
}

// joined are ids as the scripts keep them.
func joined(ids []string) string { return strings.Join(ids, " ") }
