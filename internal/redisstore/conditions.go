package redisstore

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/internal/staging"
)

// SetConditions replaces the conditions of a pool. If they changed, it emits an event.
func (s *Store) SetConditions(ctx context.Context, pool string, conditions []staging.Condition) error {
	value, text := "", "nothing is in the way"
	if len(conditions) > 0 {
		value = mustJSON(conditions)
		parts := make([]string, len(conditions))
		for i, c := range conditions {
			parts[i] = string(c.Type) + ": " + c.Message
		}
		text = strings.Join(parts, "; ")
	}
	err := conditionsScript.Run(ctx, s.rdb, []string{s.conditionsKey(pool), s.eventsKey()}, pool, value, text).Err()
	return callError(err, "set the conditions of pool %s", pool)
}

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
