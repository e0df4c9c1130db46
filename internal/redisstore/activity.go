package redisstore

import (
	"context"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/internal/staging"
)

// counterLife is how long a minute's counter is kept: it outlives the window that it is
// read for.
const counterLife = staging.ActivityWindow + 2*time.Minute

// poolCounter begins the counters of a pool.
func (s *Store) poolCounter(pool string) string { return s.o.Prefix + "count:" + pool + ":" }

// demandCounter begins those of what is made on demand. No name has a slash in it.
func (s *Store) demandCounter(zone, image string) string {
	return s.o.Prefix + "count:" + zone + "/" + image + ":"
}

// counterFor begins the counters that a session is counted in when it is given.
func (s *Store) counterFor(x staging.Session) string {
	if x.Origin == staging.OnDemand {
		return s.demandCounter(x.Zone, x.Image)
	}
	return s.poolCounter(x.Staging)
}

// Activity reads what has gone on in the pools of some configs of late, by their names.
func (s *Store) Activity(ctx context.Context, configs []staging.Config) (map[string]staging.Activity, error) {
	now, err := s.rdb.Time(ctx).Result()
	if err != nil {
		return nil, err
	}
	all := make(map[string]staging.Activity, len(configs))
	const window = int64(staging.ActivityWindow / time.Minute)
	minute := now.Unix() / 60
	for _, c := range configs {
		// A pipeline a pool: however many there are, no reply is large.
		pools, demands := make([]*redis.SliceCmd, window), make([]*redis.SliceCmd, window)
		_, err := s.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i := range window {
				at := strconv.FormatInt(minute-i, 10)
				pools[i] = p.HMGet(ctx, s.poolCounter(c.Name)+at, "given", "ready", "ready_ms", "ready_max")
				demands[i] = p.HMGet(ctx, s.demandCounter(c.Zone, c.Image)+at, "given")
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		all[c.Name] = activity(pools, demands, now)
	}
	return all, nil
}

// activity sums up the counters of the minutes up to now, the newest first.
func activity(pools, demands []*redis.SliceCmd, now time.Time) staging.Activity {
	var a staging.Activity
	const recent = int(staging.RecentWindow / time.Minute)
	var took, lately int64
	for i := range pools {
		given, ready, ms, most := number(pools[i], 0), number(pools[i], 1), number(pools[i], 2), number(pools[i], 3)
		a.Staged += int(given)
		a.OnDemand += int(number(demands[i], 0))
		a.Ready += int(ready)
		took += ms
		a.MaxToReady = max(a.MaxToReady, time.Duration(most)*time.Millisecond)
		if i < recent {
			lately += given
		}
	}
	if a.Ready > 0 {
		a.MeanToReady = time.Duration(took/int64(a.Ready)) * time.Millisecond
	}
	// The minute that is under way counts as far as it has come.
	passed := float64(recent-1) + max(now.Sub(now.Truncate(time.Minute)).Minutes(), 1.0/60)
	a.PerMinute = float64(lately) / passed
	return a
}

// number is a field of a counter, 0 where there is none.
func number(c *redis.SliceCmd, i int) int64 {
	text, _ := c.Val()[i].(string)
	n, _ := strconv.ParseInt(text, 10, 64)
	return n
}
