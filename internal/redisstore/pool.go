package redisstore

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/internal/staging"
)

// Record records a session that is pending or starting, and returns its state in Redis
// after that. A session that is further on keeps its state. An on-demand session that
// Redis does not have is not created, because its user is not known here; Record then
// returns "".
func (s *Store) Record(ctx context.Context, x staging.Session) (staging.State, error) {
	state, err := recordScript.Run(ctx, s.rdb,
		[]string{s.sessionKey(x.ID), s.poolKey(x.Staging), s.indexKey(), s.eventsKey()},
		x.ID, string(x.State), facts(x), x.CreatedAt.UnixMilli(), x.Staging).Text()
	return staging.State(state), callError(err, "record session %s", x.ID)
}

// Publish makes a staged session claimable. It returns a *staging.StateError if a launch
// holds the session or the session is ending.
func (s *Store) Publish(ctx context.Context, x staging.Session) error {
	state, err := publishScript.Run(ctx, s.rdb,
		[]string{s.sessionKey(x.ID), s.poolKey(x.Staging), s.indexKey(), s.eventsKey(), s.readyKey(x.Staging), s.claimKey(x.ID)},
		x.ID, facts(x), x.CreatedAt.UnixMilli(), x.Staging, x.Image, x.Zone, x.Permits, s.poolCounter(x.Staging), counterLife.Milliseconds()).Text()
	return expect(x.ID, state, callError(err, "publish session %s", x.ID), staging.Ready)
}

// Withdraw takes a ready session out of its queue, because its checks no longer pass. It
// returns a *staging.StateError if the session was no longer ready.
func (s *Store) Withdraw(ctx context.Context, x staging.Session) error {
	state, err := withdrawScript.Run(ctx, s.rdb,
		[]string{s.sessionKey(x.ID), s.readyKey(x.Staging), s.eventsKey()},
		x.ID, x.Staging).Text()
	return expect(x.ID, state, callError(err, "withdraw session %s", x.ID), staging.Starting)
}

// Retire takes an unused session out of its pool; it never returns there. Retire returns a
// *staging.StateError if a launch claimed the session first or Redis does not have it.
func (s *Store) Retire(ctx context.Context, x staging.Session, reason string) error {
	state, err := retireScript.Run(ctx, s.rdb,
		[]string{s.sessionKey(x.ID), s.poolKey(x.Staging), s.readyKey(x.Staging), s.eventsKey(), s.claimKey(x.ID)},
		x.ID, x.Staging, reason).Text()
	return expect(x.ID, state, callError(err, "retire session %s", x.ID), staging.Retiring)
}

// Ended marks a session as ended, because nothing of it runs any more. reason is used only
// if the session has none yet. A session that Redis does not have is no error.
func (s *Store) Ended(ctx context.Context, x staging.Session, reason string) error {
	err := endedScript.Run(ctx, s.rdb,
		[]string{s.sessionKey(x.ID), s.poolKey(x.Staging), s.readyKey(x.Staging), s.indexKey(), s.eventsKey(), s.claimKey(x.ID)},
		x.ID, x.Staging, reason, s.o.EndedLife.Milliseconds()).Err()
	return callError(err, "mark session %s as ended", x.ID)
}

// Restore puts back a session that its fate record f assigns to a user, and that Redis has
// lost or still holds as unused. x.State is claimed or assigned, or starting for an
// on-demand session that is not up. The launch holds its Idempotency-Key again. Restore
// returns the session's state in Redis after that.
func (s *Store) Restore(ctx context.Context, x staging.Session, f staging.Fate) (staging.State, error) {
	key, done := "", ""
	if f.Fingerprint != "" {
		key = s.idempotencyKey(f.IdempotencyKey)
	}
	if x.State == staging.Assigned {
		done = "1"
	}
	state, err := restoreScript.Run(ctx, s.rdb,
		[]string{
			s.sessionKey(x.ID), s.poolKey(x.Staging), s.readyKey(x.Staging), s.indexKey(), s.eventsKey(), s.claimKey(x.ID), s.userKey(userID(x)), key,
		},
		x.ID, x.Staging, string(x.State), x.Claim, mustJSON(x.User), facts(x), x.CreatedAt.UnixMilli(), x.AssignedAt.UnixMilli(),
		mustJSON(x.Terms), x.Terms.Keepalive.Std().Milliseconds(), f.Fingerprint, done, s.o.KeyLife.Milliseconds(),
		joined(f.Sessions)).Text()
	return staging.State(state), callError(err, "restore session %s", x.ID)
}

// Arm leases the oldest ready sessions of each pool to a broker, at most "most" per pool,
// and returns their ids by pool. A further call renews the leases.
func (s *Store) Arm(ctx context.Context, broker string, pools []string, most int, lease time.Duration) (map[string][]string, error) {
	cmds := make(map[string]*redis.Cmd, len(pools))
	_, err := s.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, pool := range pools {
			// EVAL, because a pipeline cannot retry an EVALSHA that Redis has no script for.
			cmds[pool] = armScript.Eval(ctx, p, []string{s.readyKey(pool)}, s.o.Prefix, broker, lease.Milliseconds(), most, armedHead)
		}
		return nil
	})
	if err != nil {
		return nil, callError(err, "lease ready sessions of %d pools to broker %s", len(pools), broker)
	}
	leased := make(map[string][]string, len(pools))
	for pool, cmd := range cmds {
		ids, err := cmd.StringSlice()
		if err != nil {
			return nil, callError(err, "lease ready sessions of pool %s to broker %s", pool, broker)
		}
		leased[pool] = ids
	}
	return leased, nil
}

func userID(x staging.Session) string {
	if x.User == nil {
		return ""
	}
	return x.User.ID
}
