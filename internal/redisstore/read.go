package redisstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/internal/staging"
)

// Session reads one session; staging.ErrNoSession when Redis does not know it.
func (s *Store) Session(ctx context.Context, id string) (staging.Session, error) {
	h, err := s.rdb.HGetAll(ctx, s.sessionKey(id)).Result()
	if err != nil {
		return staging.Session{}, err
	}
	if len(h) == 0 {
		return staging.Session{}, fmt.Errorf("%w: %s", staging.ErrNoSession, id)
	}
	return decode(h)
}

// readPage bounds one pipeline of Sessions: enough to make the round trips
// few, few enough that no reply is large.
const readPage = 500

// Sessions reads every session that has not ended, oldest first.
func (s *Store) Sessions(ctx context.Context) ([]staging.Session, error) {
	ids, err := s.rdb.ZRange(ctx, s.indexKey(), 0, -1).Result()
	if err != nil {
		return nil, err
	}
	return s.read(ctx, ids)
}

// read reads sessions by their ids; those that have gone are left out.
func (s *Store) read(ctx context.Context, ids []string) ([]staging.Session, error) {
	all := make([]staging.Session, 0, len(ids))
	for len(ids) > 0 {
		page := ids[:min(readPage, len(ids))]
		ids = ids[len(page):]
		cmds := make([]*redis.MapStringStringCmd, len(page))
		_, err := s.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i, id := range page {
				cmds[i] = p.HGetAll(ctx, s.sessionKey(id))
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		for _, cmd := range cmds {
			// A session may have gone between the index and here.
			if h := cmd.Val(); len(h) > 0 {
				x, err := decode(h)
				if err != nil {
					return nil, err
				}
				all = append(all, x)
			}
		}
	}
	return all, nil
}

// Counts counts the sessions of each pool named.
func (s *Store) Counts(ctx context.Context, pools ...string) (current, ready map[string]int, err error) {
	currents := make([]*redis.IntCmd, len(pools))
	readies := make([]*redis.IntCmd, len(pools))
	_, err = s.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, pool := range pools {
			currents[i] = p.SCard(ctx, s.poolKey(pool))
			readies[i] = p.ZCard(ctx, s.readyKey(pool))
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	current, ready = make(map[string]int, len(pools)), make(map[string]int, len(pools))
	for i, pool := range pools {
		current[pool], ready[pool] = int(currents[i].Val()), int(readies[i].Val())
	}
	return current, ready, nil
}

// SetConditions replaces what is said of a pool. Where that differs from what was said
// before it is an event.
func (s *Store) SetConditions(ctx context.Context, pool string, conditions []staging.Condition) error {
	said, text := "", "nothing is in the way"
	if len(conditions) > 0 {
		said = mustJSON(conditions)
		parts := make([]string, len(conditions))
		for i, c := range conditions {
			parts[i] = string(c.Type) + ": " + c.Message
		}
		text = strings.Join(parts, "; ")
	}
	return conditionsScript.Run(ctx, s.rdb, []string{s.conditionsKey(pool), s.eventsKey()}, pool, said, text).Err()
}

// Conditions gives what is said of each pool named.
func (s *Store) Conditions(ctx context.Context, pools ...string) (map[string][]staging.Condition, error) {
	cmds := make([]*redis.StringCmd, len(pools))
	_, err := s.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, pool := range pools {
			cmds[i] = p.Get(ctx, s.conditionsKey(pool))
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, err
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
			return nil, fmt.Errorf("conditions of pool %s: %w", pool, err)
		}
		all[pool] = cs
	}
	return all, nil
}
