package redisstore

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// claim is Claim in one round trip, by whatever server answers.
func (s *Store) claim(ctx context.Context, pools []staging.Config, n int, c staging.Claim) (staging.ClaimResult, error) {
	if n == 1 && len(pools) == 1 {
		return s.claimOne(ctx, pools[0], c)
	}
	finalKeyLife := ""
	if c.Final {
		finalKeyLife = strconv.FormatInt(s.o.KeyLife.Milliseconds(), 10)
	}
	keys := make([]string, 0, 3+2*len(pools))
	keys = append(keys, s.keyOf(c), s.userKey(c.User.ID), s.eventsKey())
	args := make([]any, 0, 19+4*len(pools)+len(c.Prefer))
	args = append(args, s.o.Prefix, c.ID, mustJSON(c.User), c.Fingerprint, s.o.KeyLease.Milliseconds(),
		c.Image, mustJSON(c.Terms), c.Terms.Keepalive.Std().Milliseconds(), c.MaxSessionsPerUser, c.Permits, finalKeyLife,
		armedHead, staging.TrustTTL.Milliseconds(), counterLife.Milliseconds(), n, c.RequestID, c.User.ID, c.MaxOfImagePerUser, s.restoredThrough.Load())
	for _, p := range pools {
		keys = append(keys, s.readyKey(p.Name), s.poolKey(p.Name))
		args = append(args, p.Name, p.Zone, s.poolCounter(p.Name), c.Revisions[p.Name])
	}
	for _, id := range c.Prefer {
		args = append(args, id)
	}
	reply, err := s.run(ctx, claimSeveralScript, keys, args...).StringSlice()
	if err != nil {
		return staging.ClaimResult{}, callError(err, "claim %d sessions of image %s", n, c.Image)
	}
	return claimResult(reply, c)
}

// claimResult reads the reply to a launch of the scripts that claim.
func claimResult(reply []string, c staging.Claim) (staging.ClaimResult, error) {
	switch reply[0] {
	case "claimed":
		return claimed(reply[1:], c)
	case "empty":
		return staging.ClaimResult{Outcome: staging.ClaimEmpty, Ready: readyCounts(reply[1:])}, nil
	case "untrusted":
		return staging.ClaimResult{Outcome: staging.ClaimUntrusted, Ready: readyCounts(reply[1:])}, nil
	}
	return refused(reply)
}

// claimed reads the sessions of a claim: the time, then three texts for each.
func claimed(reply []string, c staging.Claim) (staging.ClaimResult, error) {
	r := staging.ClaimResult{Outcome: staging.ClaimTaken, At: millis(reply[0])}
	r.Sessions = make([]staging.Session, 0, len(reply)/3)
	for texts := reply[1:]; len(texts) >= 3; texts = texts[3:] {
		var x staging.Session
		if err := decodeFacts(texts[1], &x); err != nil {
			return r, fmt.Errorf("redis: session %s was claimed, and its facts do not parse: %w", texts[0], err)
		}
		x.State, x.Claim, x.User, x.Terms, x.ReadyAt, x.Unvisited = staging.Claimed, c.ID, &c.User, c.Terms, millis(texts[2]), true
		if c.Final {
			x.State, x.AssignedAt = staging.Assigned, r.At
		}
		x.ExpiresAt = time.Time{} // expiration is for sessions that wait
		r.Sessions = append(r.Sessions, x)
	}
	return r, nil
}

// readyCounts reads how many sessions of each pool could have been claimed.
func readyCounts(texts []string) []int {
	counts := make([]int, len(texts))
	for i, text := range texts {
		n, err := strconv.Atoi(text)
		if err != nil {
			n = staging.Untrusted
		}
		counts[i] = n
	}
	return counts
}

// Begin records an on-demand session, born with its user and claim, and reserves
// the launch's Idempotency-Key for it.
func (s *Store) Begin(ctx context.Context, x staging.Session, c staging.Claim) (staging.ClaimResult, error) {
	reply, err := beginScript.Run(ctx, s.rdb,
		[]string{s.sessionKey(x.ID), s.indexKey(), s.eventsKey(), s.keyOf(c), s.claimKey(x.ID), s.userKey(c.User.ID)},
		x.ID, c.ID, mustJSON(c.User), facts(x), x.CreatedAt.UnixMilli(), c.Fingerprint, s.o.KeyLease.Milliseconds(),
		s.o.Prefix, mustJSON(c.Terms), c.Terms.Keepalive.Std().Milliseconds(), c.MaxSessionsPerUser, c.RequestID,
		x.Image, c.MaxOfImagePerUser).StringSlice()
	if err != nil {
		return staging.ClaimResult{}, callError(err, "begin on-demand session %s", x.ID)
	}
	if reply[0] == "begun" {
		x.State, x.Claim, x.User, x.Terms, x.Unvisited = staging.Pending, c.ID, &c.User, c.Terms, true
		return staging.ClaimResult{Outcome: staging.ClaimTaken, Sessions: []staging.Session{x}}, nil
	}
	return refused(reply)
}

// keyOf is the Redis key of a claim's Idempotency-Key; noKey where it has none.
func (s *Store) keyOf(c staging.Claim) string {
	if c.Fingerprint == "" {
		return s.noKey()
	}
	return s.idempotencyKey(c.IdempotencyKey)
}

// refused reads the replies by which every script that begins a launch refuses it.
func refused(reply []string) (staging.ClaimResult, error) {
	switch reply[0] {
	case "reused":
		return staging.ClaimResult{Outcome: staging.ClaimKeyReused}, nil
	case "repeat":
		holder := staging.KeyHolder{Done: reply[2] != ""}
		if reply[1] != "" {
			holder.Sessions = []string{reply[1]}
		}
		return staging.ClaimResult{Outcome: staging.ClaimRepeat, Holder: holder}, nil
	case "limit":
		return staging.ClaimResult{Outcome: staging.ClaimLimit, Held: reply[1:]}, nil
	case "image_limit":
		return staging.ClaimResult{Outcome: staging.ClaimImageLimit, Held: reply[1:]}, nil
	}
	return staging.ClaimResult{}, fmt.Errorf("redis: script returned %q", reply)
}

// Unclaim puts a claimed session back into its pool. It is only for a session of which
// it is known that no fate was recorded, and never will be by this claim. A
// *staging.StateError says that the claim no longer holds it.
func (s *Store) Unclaim(ctx context.Context, x staging.Session) error {
	state, err := unclaimScript.Run(ctx, s.rdb,
		[]string{s.sessionKey(x.ID), s.poolKey(x.Staging), s.readyKey(x.Staging), s.indexKey(), s.eventsKey(), s.claimKey(x.ID)},
		x.ID, x.Claim, x.Staging).Text()
	if err != nil {
		return callError(err, "unclaim session %s", x.ID)
	}
	return expect(x.ID, state, nil, staging.Ready)
}

// jointAssign is the name of what all assignments have in common.
const jointAssign = "assign"

// Assign finishes a launch: the session is its user's, and the launch's
// Idempotency-Key, if it has one, stays bound to it for its whole life. Assign returns
// the session with its time of assignment: x's, or Redis's now where x has none.
// Repeating it is harmless.
func (s *Store) Assign(ctx context.Context, x staging.Session) (staging.Session, error) {
	at := ""
	if !x.AssignedAt.IsZero() {
		at = strconv.FormatInt(x.AssignedAt.UnixMilli(), 10)
	}
	reply, err := s.await(ctx, &call{
		script: assignScript, keys: []string{s.sessionKey(x.ID)},
		args: []any{x.ID, x.Claim, facts(x), at, s.counterFor(x), userID(x), x.Zone},
		joint: &joint{
			name: jointAssign, keys: []string{s.eventsKey()},
			args: []any{s.o.KeyLife.Milliseconds(), counterLife.Milliseconds()},
		},
	}).StringSlice()
	if err != nil {
		return x, callError(err, "assign session %s", x.ID)
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
	if err != nil {
		return callError(err, "begin the end of session %s", id)
	}
	return expect(id, state, nil, staging.Ending)
}
