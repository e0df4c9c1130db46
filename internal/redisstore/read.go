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

// Session reads one session. It returns staging.ErrNoSession if Redis does not have it.
func (s *Store) Session(ctx context.Context, id string) (staging.Session, error) {
	h, err := s.rdb.HGetAll(ctx, s.sessionKey(id)).Result()
	if err != nil {
		return staging.Session{}, callError(err, "read session %s", id)
	}
	if len(h) == 0 {
		return staging.Session{}, fmt.Errorf("%w: %s", staging.ErrNoSession, id)
	}
	return decode(id, h)
}

// readPage is the most sessions that one pipeline reads: it keeps round trips few and
// replies small.
const readPage = 500

// Sessions reads every session that has not ended, oldest first.
func (s *Store) Sessions(ctx context.Context) ([]staging.Session, error) {
	ids, err := s.rdb.ZRange(ctx, s.indexKey(), 0, -1).Result()
	if err != nil {
		return nil, callError(err, "list all sessions")
	}
	return s.read(ctx, ids)
}

// read reads sessions by their ids, and leaves out those that Redis does not have.
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
			return nil, callError(err, "read %d sessions, from %s on", len(page), page[0])
		}
		for i, cmd := range cmds {
			// A session may have expired since its id was read from the index.
			if h := cmd.Val(); len(h) > 0 {
				x, err := decode(page[i], h)
				if err != nil {
					return nil, err
				}
				all = append(all, x)
			}
		}
	}
	return all, nil
}

// Counts returns the numbers of current and ready sessions of each named pool.
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
		return nil, nil, callError(err, "count the sessions of %d pools", len(pools))
	}
	current, ready = make(map[string]int, len(pools)), make(map[string]int, len(pools))
	for i, pool := range pools {
		current[pool], ready[pool] = int(currents[i].Val()), int(readies[i].Val())
	}
	return current, ready, nil
}

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
