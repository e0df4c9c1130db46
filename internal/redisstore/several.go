package redisstore

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/greenroom/greenroom/internal/staging"
)

// ClaimSeveral takes n ready sessions of the launch's image, or none, from the pools in
// their order, and reserves the launch's Idempotency-Key, in one round trip. Where it
// gives none nothing has changed. Each pool's own zone counts, not the claim's.
func (s *Store) ClaimSeveral(ctx context.Context, pools []staging.Config, n int, c staging.Claim) (staging.SeveralResult, error) {
	key, life := "", ""
	if c.Fingerprint != "" {
		key = s.idempotencyKey(c.IdempotencyKey)
	}
	if c.Final {
		life = strconv.FormatInt(s.o.KeyLife.Milliseconds(), 10)
	}
	keys := []string{key, s.userKey(c.User.ID), s.eventsKey()}
	args := []any{
		s.o.Prefix, c.ID, mustJSON(c.User), c.Fingerprint, s.o.KeyLease.Milliseconds(),
		c.Image, mustJSON(c.Terms), c.Terms.Keepalive.Std().Milliseconds(), c.MaxSessionsPerUser, c.Permits, life,
		staging.TrustTTL.Milliseconds(), counterLife.Milliseconds(), n, c.RequestID,
	}
	for _, p := range pools {
		keys = append(keys, s.readyKey(p.Name), s.poolKey(p.Name))
		args = append(args, p.Name, p.Zone, s.poolCounter(p.Name))
	}
	reply, err := s.run(ctx, claimSeveralScript, keys, args...).StringSlice()
	switch {
	case err != nil:
		return staging.SeveralResult{}, err
	case reply[0] == "claimed":
		return several(reply[1:], c)
	case reply[0] == "empty":
		return tooFew(reply[1:]), nil
	}
	r, err := held(reply)
	return staging.SeveralResult{ClaimResult: r}, err
}

// several reads the sessions of a claim: when it was, then three texts for each.
func several(reply []string, c staging.Claim) (staging.SeveralResult, error) {
	r := staging.SeveralResult{ClaimResult: staging.ClaimResult{Outcome: staging.ClaimTaken, At: millis(reply[0])}}
	for texts := reply[1:]; len(texts) >= 3; texts = texts[3:] {
		var x staging.Session
		if err := json.Unmarshal([]byte(texts[1]), &x); err != nil {
			return r, fmt.Errorf("session %s was claimed, and its facts in Redis do not parse: %w", texts[0], err)
		}
		x.State, x.Claim, x.User, x.Terms, x.ReadyAt = staging.Claimed, c.ID, &c.User, c.Terms, millis(texts[2])
		if c.Final {
			x.State, x.AssignedAt = staging.Assigned, r.At
		}
		r.Sessions = append(r.Sessions, x)
	}
	return r, nil
}

// tooFew reads how many there were of each pool.
func tooFew(counts []string) staging.SeveralResult {
	r := staging.SeveralResult{ClaimResult: staging.ClaimResult{Outcome: staging.ClaimUntrusted}}
	for _, text := range counts {
		n, err := strconv.Atoi(text)
		if err != nil {
			n = staging.Untrusted
		} else {
			r.Outcome = staging.ClaimEmpty
		}
		r.Ready = append(r.Ready, n)
	}
	return r
}

// Unclaim puts a claimed session back into its pool. It is only for a session of which
// it is known that no fate was recorded, and never will be by this claim. A
// *staging.StateError says that it is not the claim's any more.
func (s *Store) Unclaim(ctx context.Context, x staging.Session) error {
	state, err := unclaimScript.Run(ctx, s.rdb,
		[]string{s.sessionKey(x.ID), s.poolKey(x.Staging), s.readyKey(x.Staging), s.indexKey(), s.eventsKey(), s.claimKey(x.ID)},
		x.ID, x.Claim, x.Staging).Text()
	return expect(x.ID, state, err, staging.Ready)
}

// joined are ids as the scripts keep them.
func joined(ids []string) string { return strings.Join(ids, " ") }
