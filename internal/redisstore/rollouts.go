package redisstore

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/internal/staging"
)

// Rollouts reads how far the rollouts of the named pools are. A pool of which no scaler has
// said that, such as an older one, has no entry.
func (s *Store) Rollouts(ctx context.Context, pools ...string) (map[string]staging.Rollout, error) {
	cmds := make([]*redis.StringCmd, len(pools))
	_, err := s.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, pool := range pools {
			cmds[i] = p.Get(ctx, s.rolloutKey(pool))
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, callError(err, "read the rollouts of %d pools", len(pools))
	}
	all := make(map[string]staging.Rollout, len(pools))
	for i, pool := range pools {
		b, err := cmds[i].Bytes()
		if errors.Is(err, redis.Nil) {
			continue
		}
		var r staging.Rollout
		if err == nil {
			err = json.Unmarshal(b, &r)
		}
		if err != nil {
			return nil, callError(err, "read the rollout of pool %s", pool)
		}
		all[pool] = r
	}
	return all, nil
}
