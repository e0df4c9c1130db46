package redisstore

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/internal/staging"
)

// Conditions reads the conditions of each named pool. A pool without any has no entry.
func (s *Store) Conditions(ctx context.Context, pools ...string) (map[string][]staging.Condition, error) {
	cmds := make([]*redis.StringCmd, len(pools))
	_, err := s.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, pool := range pools {
			cmds[i] = p.Get(ctx, s.conditionsKey(pool))
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, callError(err, "read the conditions of %d pools", len(pools))
	}
	all := make(map[string][]staging.Condition, len(pools))
	for i, pool := range pools {
		b, err := cmds[i].Bytes()
		if errors.Is(err, redis.Nil) {
			continue
		}
		var cs []staging.Condition
		if err == nil {
			err = json.Unmarshal(b, &cs)
		}
		if err != nil {
			return nil, callError(err, "read the conditions of pool %s", pool)
		}
		all[pool] = cs
	}
	return all, nil
}
