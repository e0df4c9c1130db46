package redisstore

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// usualKey is a hash of the pools' usual times to ready, in milliseconds.
func (s *Store) usualKey() string { return s.o.Prefix + "usual" }

// Usual reads how long the pools' sessions usually take to be ready. A pool of which that is
// not known has no entry.
func (s *Store) Usual(ctx context.Context) (map[string]time.Duration, error) {
	stored, err := s.rdb.HGetAll(ctx, s.usualKey()).Result()
	if err != nil {
		return nil, callError(err, "read the usual times to ready")
	}
	all := make(map[string]time.Duration, len(stored))
	for pool, text := range stored {
		if ms, err := strconv.ParseInt(text, 10, 64); err == nil && ms > 0 {
			all[pool] = time.Duration(ms) * time.Millisecond
		}
	}
	return all, nil
}

// Oldest reads of each named pool when the oldest of its sessions that are not ready was
// created. A pool whose sessions are all ready has no entry.
func (s *Store) Oldest(ctx context.Context, pools ...string) (map[string]time.Time, error) {
	cmds := make([]*redis.Cmd, len(pools))
	_, err := s.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, pool := range pools {
			// EVAL, because a pipeline cannot retry an EVALSHA that Redis has no script for.
			cmds[i] = oldestScript.Eval(ctx, p, []string{s.poolKey(pool), s.readyKey(pool), s.indexKey()})
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, callError(err, "read the oldest sessions of %d pools that are not ready", len(pools))
	}
	all := make(map[string]time.Time, len(pools))
	for i, pool := range pools {
		if ms, err := cmds[i].Int64(); err == nil && ms > 0 {
			all[pool] = time.UnixMilli(ms)
		}
	}
	return all, nil
}
