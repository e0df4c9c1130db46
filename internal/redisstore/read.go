package redisstore

import (
	"context"
	"fmt"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/internal/staging"
)

// Session reads one session. It returns staging.ErrNoSession if Redis does not have it.
func (s *Store) Session(ctx context.Context, id string) (staging.Session, error) {
	h, err := s.rdb.HGetAll(ctx, s.sessionKey(id)).Result()
	if err != nil && !noHash(err) {
		return staging.Session{}, callError(err, "read session %s", id)
	}
	if err == nil && len(h) == 0 {
		return staging.Session{}, fmt.Errorf("%w: %s", staging.ErrNoSession, id)
	}
	one := []staging.Session{decodeAny(id, h)}
	if one[0].State == staging.Ended && one[0].Staging != "" {
		err = s.markKept(ctx, one)
	} else {
		err = nil
	}
	return one[0], err
}

// noHash: a key that must be a session's hash is something else.
func noHash(err error) bool { return redis.HasErrorPrefix(err, "WRONGTYPE") }

// decodeAny decodes a session whose hash may be damaged, because one that cannot be read
// must not keep others from being read.
func decodeAny(id string, h map[string]string) staging.Session {
	x, err := decode(id, h)
	if err == nil && !slices.Contains(staging.States, x.State) {
		err = fmt.Errorf("redis: session %s has the state %q, which does not exist", id, x.State)
	}
	if err == nil {
		return x
	}
	raw := staging.State(h["state"])
	if !slices.Contains(staging.States, raw) {
		raw = staging.DamagedState
	}
	return staging.Session{
		ID: id, State: staging.Quarantined, Damaged: raw, Claim: h["claim"], Reason: "its record in Redis cannot be read (" + err.Error() + ")",
	}
}

// Discard deletes a session's record that cannot be read, so that it can be written again
// from its job and its fate. A record that is readable by now is left alone.
func (s *Store) Discard(ctx context.Context, x staging.Session) error {
	key := s.sessionKey(x.ID)
	err := s.rdb.Watch(ctx, func(tx *redis.Tx) error {
		h, err := tx.HGetAll(ctx, key).Result()
		if err != nil && !noHash(err) {
			return err
		}
		if err == nil && (len(h) == 0 || decodeAny(x.ID, h).Damaged == "") {
			return nil
		}
		_, err = tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
			p.Del(ctx, key)
			p.ZRem(ctx, s.readyKey(x.Staging), x.ID)
			p.SRem(ctx, s.poolKey(x.Staging), x.ID)
			return nil
		})
		return err
	}, key)
	return callError(err, "discard the record of session %s", x.ID)
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
		if err != nil && !noHash(err) {
			return nil, callError(err, "read %d sessions, from %s on", len(page), page[0])
		}
		for i, cmd := range cmds {
			h, err := cmd.Result()
			switch {
			case err != nil && !noHash(err):
				return nil, callError(err, "read session %s", page[i])
			case err != nil || len(h) > 0:
				// A session may have expired since its id was read from the index.
				all = append(all, decodeAny(page[i], h))
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
