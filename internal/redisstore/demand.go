package redisstore

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/internal/staging"
)

// demandMinutes is how many minutes RecentDemand reads, the current one among them: a reader
// that comes once a minute loses none.
const demandMinutes = 3

// RecentDemand reads the claims, misses and new sessions of pools, of the current minute and the
// two before, oldest first, and the time by Redis's clock.
func (s *Store) RecentDemand(ctx context.Context, pools []string) (all map[string][]staging.Minute, now time.Time, err error) {
	if now, err = s.time(ctx); err != nil {
		return nil, now, callError(err, "read the time for the demand of %d pools", len(pools))
	}
	now = now.UTC()
	first := now.Unix()/60 - demandMinutes + 1
	counted := make([][demandMinutes]*redis.SliceCmd, len(pools))
	_, err = s.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, pool := range pools {
			for m := range int64(demandMinutes) {
				counted[i][m] = p.HMGet(ctx, s.poolCounter(pool)+strconv.FormatInt(first+m, 10), "given", "missed", "ready", "ready_ms")
			}
		}
		return nil
	})
	if err != nil {
		return nil, now, callError(err, "read the demand of %d pools", len(pools))
	}
	all = make(map[string][]staging.Minute, len(pools))
	for i, pool := range pools {
		for m, c := range counted[i] {
			minute := staging.Minute{
				At:     time.Unix((first+int64(m))*60, 0).UTC(),
				Claims: int(number(c, 0)), Misses: int(number(c, 1)), Made: int(number(c, 2)),
			}
			if minute.Made > 0 {
				minute.ToReadySeconds = float64(number(c, 3)) / 1000 / float64(minute.Made)
			}
			all[pool] = append(all[pool], minute)
		}
	}
	return all, now, nil
}

// sizesKey is a hash of what the pools' demand asks for, in JSON.
func (s *Store) sizesKey() string { return s.o.Prefix + "sizes" }

// SetDemandSizes stores what pools' demand asks for. Those of other pools stay.
func (s *Store) SetDemandSizes(ctx context.Context, sizes map[string]staging.DemandSize) error {
	if len(sizes) == 0 {
		return nil
	}
	fields := make(map[string]any, len(sizes))
	for pool, size := range sizes {
		fields[pool] = mustJSON(size)
	}
	return callError(s.rdb.HSet(ctx, s.sizesKey(), fields).Err(), "set what the demand of %d pools asks for", len(sizes))
}

// DemandSizes reads what the pools' demand asks for. A pool without sizing, and one that no scaler
// has sized yet, has no entry.
func (s *Store) DemandSizes(ctx context.Context) (map[string]*staging.DemandSize, error) {
	stored, err := s.rdb.HGetAll(ctx, s.sizesKey()).Result()
	if err != nil {
		return nil, callError(err, "read what the pools' demand asks for")
	}
	all := make(map[string]*staging.DemandSize, len(stored))
	for pool, text := range stored {
		size := new(staging.DemandSize)
		if json.Unmarshal([]byte(text), size) == nil { // one that cannot be read concerns itself alone
			all[pool] = size
		}
	}
	return all, nil
}
