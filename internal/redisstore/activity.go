package redisstore

import (
	"context"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/internal/staging"
)

// counterLife is how long a minute's counter is kept: longer than the window that is read.
const counterLife = staging.ActivityWindow + 2*time.Minute

// poolCounter is the prefix of a pool's counters.
func (s *Store) poolCounter(pool string) string { return s.o.Prefix + "count:" + pool + ":" }

// demandCounter is the prefix of the counters of on-demand sessions. It cannot be a pool's
// prefix, since names have no slash.
func (s *Store) demandCounter(zone, image string) string {
	return s.o.Prefix + "count:" + zone + "/" + image + ":"
}

// counterFor is the prefix of the counters that count the session when a user gets it.
func (s *Store) counterFor(x staging.Session) string {
	if x.Origin == staging.OnDemand {
		return s.demandCounter(x.Zone, x.Image)
	}
	return s.poolCounter(x.Staging)
}

// Now reads the time by Redis's clock.
func (s *Store) Now(ctx context.Context) (time.Time, error) {
	now, err := s.time(ctx)
	return now, callError(err, "read the time")
}

func (s *Store) time(ctx context.Context) (time.Time, error) {
	us, err := nowScript.Run(ctx, s.rdb, []string{s.epochKey()}).Int64()
	return time.UnixMicro(us), err
}

// Activity reads the recent activity of the configs' pools, by the configs' names.
func (s *Store) Activity(ctx context.Context, configs []staging.Config) (map[string]staging.Activity, error) {
	now, err := s.time(ctx)
	if err != nil {
		return nil, callError(err, "read the time for the activity of %d pools", len(configs))
	}
	all := make(map[string]staging.Activity, len(configs))
	const window = int64(staging.ActivityWindow / time.Minute)
	minute := now.Unix() / 60
	for _, c := range configs {
		// One pipeline per pool keeps each reply small.
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
			return nil, callError(err, "read the activity of pool %s", c.Name)
		}
		all[c.Name] = activity(pools, demands, now)
	}
	return all, nil
}

// activity adds up the counters of the minutes before now. The newest counter comes first.
func activity(pools, demands []*redis.SliceCmd, now time.Time) staging.Activity {
	var a staging.Activity
	const recent = int(staging.RecentWindow / time.Minute)
	var totalMS, recentGiven int64
	for i := range pools {
		given, ready, ms, most := number(pools[i], 0), number(pools[i], 1), number(pools[i], 2), number(pools[i], 3)
		a.Staged += int(given)
		a.OnDemand += int(number(demands[i], 0))
		a.Ready += int(ready)
		totalMS += ms
		a.MaxToReady = max(a.MaxToReady, time.Duration(most)*time.Millisecond)
		if i < recent {
			recentGiven += given
		}
	}
	if a.Ready > 0 {
		a.MeanToReady = time.Duration(totalMS/int64(a.Ready)) * time.Millisecond
	}
	// Of the current minute only the part that has passed counts.
	passed := float64(recent-1) + max(now.Sub(now.Truncate(time.Minute)).Minutes(), 1.0/60)
	a.PerMinute = float64(recentGiven) / passed
	return a
}

// number returns the i-th field of a counter, 0 if the counter does not have it.
func number(c *redis.SliceCmd, i int) int64 {
	text, _ := c.Val()[i].(string)
	n, _ := strconv.ParseInt(text, 10, 64)
	return n
}
