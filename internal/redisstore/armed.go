package redisstore

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
)

// armedHead is how far down a pool's ready queue Arm leases sessions to brokers, and
// Claim takes preferred ones: the oldest sessions go first, give or take this many.
const armedHead = 32

// Arm leases the oldest ready sessions of each pool in most to a broker, at most the pool's
// number, and returns their ids by pool. A further call renews the leases.
func (s *Store) Arm(ctx context.Context, broker string, most map[string]int, lease time.Duration) (map[string][]string, error) {
	cmds := make(map[string]*redis.Cmd, len(most))
	_, err := s.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for pool, n := range most {
			// EVAL, because a pipeline cannot retry an EVALSHA that Redis has no script for.
			cmds[pool] = armScript.Eval(ctx, p, []string{s.readyKey(pool)}, s.o.Prefix, broker, lease.Milliseconds(), n, armedHead)
		}
		return nil
	})
	if err != nil {
		return nil, callError(err, "lease ready sessions of %d pools to broker %s", len(most), broker)
	}
	leased := make(map[string][]string, len(most))
	for pool, cmd := range cmds {
		ids, err := cmd.StringSlice()
		if err != nil {
			return nil, callError(err, "lease ready sessions of pool %s to broker %s", pool, broker)
		}
		leased[pool] = ids
	}
	return leased, nil
}
