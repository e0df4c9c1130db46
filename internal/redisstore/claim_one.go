package redisstore

import (
	"context"
	"strconv"
	"strings"

	"github.com/greenroom/greenroom/internal/staging"
)

// claimOne is Claim of one session from one pool: by far the most launches. Those of the
// same pool that come together are one call of the script.
func (s *Store) claimOne(ctx context.Context, pool staging.Config, c staging.Claim) (staging.ClaimResult, error) {
	restored := s.restoredThrough.Load()
	revision := c.Revisions[pool.Name]
	finalKeyLife := any("")
	if c.Final {
		finalKeyLife = s.o.KeyLife.Milliseconds()
	}
	j := &joint{
		// None of these has a line feed.
		name: strings.Join([]string{pool.Name, pool.Zone, c.Image, c.Permits, revision, flag(c.Final), strconv.FormatUint(restored, 10)}, "\n"),
		keys: []string{s.eventsKey(), s.readyKey(pool.Name), s.poolKey(pool.Name), s.trustKey(pool.Zone)},
		args: []any{
			s.o.Prefix, c.Image, pool.Name, pool.Zone, c.Permits, revision, s.o.KeyLease.Milliseconds(), finalKeyLife,
			armedHead, staging.TrustTTL.Milliseconds(), s.poolCounter(pool.Name), counterLife.Milliseconds(),
			restored,
		},
	}
	args := make([]any, 0, 10+len(c.Prefer))
	args = append(args, c.ID, mustJSON(c.User), c.Fingerprint, mustJSON(c.Terms), c.Terms.Keepalive.Std().Milliseconds(),
		c.MaxSessionsPerUser, c.MaxOfImagePerUser, c.RequestID, c.User.ID, len(c.Prefer))
	for _, id := range c.Prefer {
		args = append(args, id)
	}
	keys := []string{s.keyOf(c), s.userKey(c.User.ID)}
	reply, err := s.await(ctx, &call{script: claimOneScript, keys: keys, args: args, joint: j}).StringSlice()
	if err != nil {
		return staging.ClaimResult{}, callError(err, "claim a session of image %s", c.Image)
	}
	return claimResult(reply, c)
}
