package redisstore

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/internal/staging"
)

// Record notes a session that is pending or starting, and gives the state that
// it now has: a later one than asked for is left as it is. An on-demand session
// that Redis does not know is not made up ("" is given): its user is not here.
func (s *Store) Record(ctx context.Context, x staging.Session) (staging.State, error) {
	state, err := recordScript.Run(ctx, s.rdb,
		[]string{s.sessionKey(x.ID), s.poolKey(x.Staging), s.indexKey(), s.eventsKey()},
		x.ID, string(x.State), facts(x), x.CreatedAt.UnixMilli(), x.Staging).Text()
	return staging.State(state), err
}

// Publish makes a staged session claimable. A *staging.StateError says that it is
// somebody's or on its way out.
func (s *Store) Publish(ctx context.Context, x staging.Session) error {
	state, err := publishScript.Run(ctx, s.rdb,
		[]string{s.sessionKey(x.ID), s.poolKey(x.Staging), s.indexKey(), s.eventsKey(), s.readyKey(x.Staging), s.claimKey(x.ID)},
		x.ID, facts(x), x.CreatedAt.UnixMilli(), x.Staging, x.Image, x.Zone, x.Permits, s.poolCounter(x.Staging), counterLife.Milliseconds()).Text()
	return expect(x.ID, state, err, staging.Ready)
}

// Withdraw takes a ready session out of its queue, since its checks no longer
// pass. A *staging.StateError says that it was not ready any more.
func (s *Store) Withdraw(ctx context.Context, x staging.Session) error {
	state, err := withdrawScript.Run(ctx, s.rdb,
		[]string{s.sessionKey(x.ID), s.readyKey(x.Staging), s.eventsKey()},
		x.ID, x.Staging).Text()
	return expect(x.ID, state, err, staging.Starting)
}

// Retire takes an unused session out of its pool for good. A *staging.StateError says
// that it was claimed first, or is not known.
func (s *Store) Retire(ctx context.Context, x staging.Session, reason string) error {
	state, err := retireScript.Run(ctx, s.rdb,
		[]string{s.sessionKey(x.ID), s.poolKey(x.Staging), s.readyKey(x.Staging), s.eventsKey(), s.claimKey(x.ID)},
		x.ID, x.Staging, reason).Text()
	return expect(x.ID, state, err, staging.Retiring)
}

// Ended notes that nothing of a session runs any more. The reason counts only
// where none was noted before. A session that Redis does not know is no error.
func (s *Store) Ended(ctx context.Context, x staging.Session, reason string) error {
	return endedScript.Run(ctx, s.rdb,
		[]string{s.sessionKey(x.ID), s.poolKey(x.Staging), s.readyKey(x.Staging), s.indexKey(), s.eventsKey(), s.claimKey(x.ID)},
		x.ID, x.Staging, reason, s.o.EndedLife.Milliseconds()).Err()
}

// Restore puts back a session that is a user's by its fate record and that
// Redis has lost or still believes unused. x.State is claimed or assigned, or
// starting for an on-demand session that is not up. f is the record: a finished
// launch answers for its Idempotency-Key again.
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
	return staging.State(state), err
}

// Arm leases the oldest ready sessions of each pool to a broker, at most so many of
// each, for so long, and gives their ids. Leasing again renews.
func (s *Store) Arm(ctx context.Context, broker string, pools []string, most int, lease time.Duration) (map[string][]string, error) {
	cmds := make(map[string]*redis.Cmd, len(pools))
	_, err := s.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, pool := range pools {
			// A pipeline cannot fall back from EVALSHA when the script is not known.
			cmds[pool] = armScript.Eval(ctx, p, []string{s.readyKey(pool)}, s.o.Prefix, broker, lease.Milliseconds(), most, armedHead)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	leased := make(map[string][]string, len(pools))
	for pool, cmd := range cmds {
		ids, err := cmd.StringSlice()
		if err != nil {
			return nil, err
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

// expect turns a script's answer into an error unless it is the state wanted.
func expect(id, got string, err error, want staging.State) error {
	switch {
	case err != nil:
		return err
	case got == "fenced":
		return &staging.StateError{Session: id, Fenced: true}
	case got != string(want):
		return &staging.StateError{Session: id, State: staging.State(got)}
	}
	return nil
}
