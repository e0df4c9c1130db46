package redisstore

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// Claim takes the oldest ready session of the launch's image and zone from a pool, one
// that it prefers if that is among the oldest, and reserves the launch's
// Idempotency-Key, in one round trip.
func (s *Store) Claim(ctx context.Context, pool string, c staging.Claim) (staging.ClaimResult, error) {
	key := ""
	if c.Fingerprint != "" {
		key = s.idempotencyKey(c.IdempotencyKey)
	}
	life := ""
	if c.Final {
		life = strconv.FormatInt(s.o.KeyLife.Milliseconds(), 10)
	}
	args := []any{
		s.o.Prefix, pool, c.ID, mustJSON(c.User), c.Fingerprint, s.o.KeyLease.Milliseconds(), c.Image, c.Zone,
		mustJSON(c.Terms), c.Terms.Keepalive.Std().Milliseconds(), c.MaxSessionsPerUser, c.Permits, life, staging.ArmedHead,
		staging.TrustTTL.Milliseconds(), s.poolCounter(pool), counterLife.Milliseconds(), c.RequestID,
	}
	for _, id := range c.Prefer {
		args = append(args, id)
	}
	reply, err := s.run(ctx, claimScript,
		[]string{s.readyKey(pool), s.poolKey(pool), s.eventsKey(), key, s.userKey(c.User.ID)}, args...).StringSlice()
	if err != nil {
		return staging.ClaimResult{}, err
	}
	if reply[0] != "claimed" {
		return held(reply)
	}
	var x staging.Session
	if err := json.Unmarshal([]byte(reply[2]), &x); err != nil {
		return staging.ClaimResult{}, fmt.Errorf("session %s was claimed, and its facts in Redis do not parse: %w", reply[1], err)
	}
	x.State, x.Claim, x.User, x.Terms, x.ReadyAt = staging.Claimed, c.ID, &c.User, c.Terms, millis(reply[3])
	at := millis(reply[4])
	if c.Final {
		x.State, x.AssignedAt, x.ExpiresAt = staging.Assigned, at, time.Time{}
	}
	return staging.ClaimResult{Outcome: staging.ClaimTaken, Session: x, At: at}, nil
}

// Begin notes an on-demand session, born with its user and claim, and reserves
// the launch's Idempotency-Key for it.
func (s *Store) Begin(ctx context.Context, x staging.Session, c staging.Claim) (staging.ClaimResult, error) {
	key := ""
	if c.Fingerprint != "" {
		key = s.idempotencyKey(c.IdempotencyKey)
	}
	reply, err := beginScript.Run(ctx, s.rdb,
		[]string{s.sessionKey(x.ID), s.indexKey(), s.eventsKey(), key, s.claimKey(x.ID), s.userKey(c.User.ID)},
		x.ID, c.ID, mustJSON(c.User), facts(x), x.CreatedAt.UnixMilli(), c.Fingerprint, s.o.KeyLease.Milliseconds(),
		s.o.Prefix, mustJSON(c.Terms), c.Terms.Keepalive.Std().Milliseconds(), c.MaxSessionsPerUser, c.RequestID).StringSlice()
	if err != nil {
		return staging.ClaimResult{}, err
	}
	if reply[0] == "begun" {
		x.State, x.Claim, x.User, x.Terms = staging.Pending, c.ID, &c.User, c.Terms
		return staging.ClaimResult{Outcome: staging.ClaimTaken, Session: x}, nil
	}
	return held(reply)
}

// held reads the answers that the scripts that begin a launch share.
func held(reply []string) (staging.ClaimResult, error) {
	switch reply[0] {
	case "stale":
		return staging.ClaimResult{Outcome: staging.ClaimUntrusted}, nil
	case "empty":
		return staging.ClaimResult{Outcome: staging.ClaimEmpty}, nil
	case "reused":
		return staging.ClaimResult{Outcome: staging.ClaimKeyReused}, nil
	case "repeat":
		return staging.ClaimResult{
			Outcome: staging.ClaimRepeat,
			Session: staging.Session{ID: reply[1]},
			Done:    reply[2] != "",
		}, nil
	case "limit":
		return staging.ClaimResult{Outcome: staging.ClaimLimit, Held: reply[1:]}, nil
	}
	return staging.ClaimResult{}, fmt.Errorf("redis script answered %q", reply)
}

// Assign finishes a launch: the session is its user's, and the launch's
// Idempotency-Key, if it has one, is bound to it for good. It gives the session
// with its time of assignment: x's, or Redis's now where it has none. Repeating it is
// harmless.
func (s *Store) Assign(ctx context.Context, x staging.Session) (staging.Session, error) {
	at := ""
	if !x.AssignedAt.IsZero() {
		at = strconv.FormatInt(x.AssignedAt.UnixMilli(), 10)
	}
	reply, err := s.run(ctx, assignScript,
		[]string{s.sessionKey(x.ID), s.eventsKey()},
		x.ID, x.Claim, facts(x), s.o.KeyLife.Milliseconds(), at, s.counterFor(x), counterLife.Milliseconds()).StringSlice()
	if err != nil {
		return x, err
	}
	if err := expect(x.ID, reply[0], nil, staging.Assigned); err != nil {
		return x, err
	}
	x.State, x.AssignedAt = staging.Assigned, millis(reply[1])
	return x, nil
}

// Finish begins the end of a session that is, or was to be, a user's. With a
// claim given, another claim's session is left alone (*staging.StateError, Fenced).
func (s *Store) Finish(ctx context.Context, id, claim, reason string) error {
	state, err := finishScript.Run(ctx, s.rdb,
		[]string{s.sessionKey(id), s.eventsKey()}, id, claim, reason).Text()
	return expect(id, state, err, staging.Ending)
}
