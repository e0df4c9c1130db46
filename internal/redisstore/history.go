package redisstore

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/internal/staging"
)

// historyLife is how long an hour of a pool's history is kept after its last write.
const historyLife = staging.HistoryWindow + 5*time.Minute

func (s *Store) historyOf(pool string) string { return s.o.Prefix + "history:" + pool + ":" }

// NoteHistory records the current numbers of the configs' pools in their history. Several
// programs may call it, and often: of each minute the lowest number of ready sessions is
// kept.
func (s *Store) NoteHistory(ctx context.Context, configs []staging.Config) error {
	_, err := s.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, c := range configs {
			// EVAL, because a pipeline cannot retry an EVALSHA that Redis has no script for.
			historyScript.Eval(ctx, p, []string{s.readyKey(c.Name)},
				s.historyOf(c.Name), s.poolCounter(c.Name), s.demandCounter(c.Zone, c.Image), historyLife.Milliseconds())
		}
		return nil
	})
	return callError(err, "record the history of %d pools", len(configs))
}

// History reads a pool's history within staging.HistoryWindow, oldest minute first, and
// the time by Redis's clock. Minutes without any record are left out.
func (s *Store) History(ctx context.Context, pool string) (minutes []staging.Minute, now time.Time, err error) {
	if now, err = s.rdb.Time(ctx).Result(); err != nil {
		return nil, now, callError(err, "read the time for the history of pool %s", pool)
	}
	now = now.UTC()
	const hours = int64(staging.HistoryWindow/time.Hour) + 1
	latest := now.Unix() / 3600
	read := make([]*redis.MapStringStringCmd, hours)
	_, err = s.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i := range hours {
			read[i] = p.HGetAll(ctx, s.historyOf(pool)+strconv.FormatInt(latest-hours+1+i, 10))
		}
		return nil
	})
	if err != nil {
		return nil, now, callError(err, "read the history of pool %s", pool)
	}
	since := now.Add(-staging.HistoryWindow)
	for i, hour := range read {
		begin := time.Unix((latest-hours+1+int64(i))*3600, 0).UTC()
		for m := range 60 {
			at := begin.Add(time.Duration(m) * time.Minute)
			field := func(name string) (n int, known bool) {
				text, known := hour.Val()[strconv.Itoa(m)+":"+name]
				n, _ = strconv.Atoi(text)
				return n, known
			}
			ready, seen := field("ready")
			claims, claimed := field("claims")
			misses, missed := field("misses")
			if !at.After(since) || !seen && !claimed && !missed {
				continue
			}
			minute := staging.Minute{At: at, Claims: claims, Misses: misses}
			if seen {
				minute.Ready = &ready
			}
			minutes = append(minutes, minute)
		}
	}
	return slices.Clip(minutes), now, nil
}
