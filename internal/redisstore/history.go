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
const historyLife = staging.RecentHistory + 5*time.Minute

func (s *Store) historyOf(pool string) string { return s.o.Prefix + "history:" + pool + ":" }

// NoteHistory records the current numbers of pools in their history. Several programs may
// call it, and often: of each minute the lowest number of ready sessions is kept.
func (s *Store) NoteHistory(ctx context.Context, pools []staging.PoolNote) error {
	_, err := s.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, n := range pools {
			expected, low, high := "", "", ""
			if n.Size != nil {
				expected, low, high = decimal(n.Size.Expected), decimal(n.Size.Low), decimal(n.Size.High)
			}
			// EVAL, because a pipeline cannot retry an EVALSHA that Redis has no script for.
			historyScript.Eval(ctx, p, []string{s.readyKey(n.Config.Name)},
				s.historyOf(n.Config.Name), s.poolCounter(n.Config.Name), historyLife.Milliseconds(), n.Wanted, expected, low, high)
		}
		return nil
	})
	return callError(err, "record the history of %d pools", len(pools))
}

// decimal writes a rate with the precision that histories keep.
func decimal(x float64) string { return strconv.FormatFloat(x, 'f', 1, 64) }

// History reads a pool's history within staging.RecentHistory, oldest minute first, and
// the time by Redis's clock. Minutes without any record are left out.
func (s *Store) History(ctx context.Context, pool string) (minutes []staging.Minute, now time.Time, err error) {
	if now, err = s.time(ctx); err != nil {
		return nil, now, callError(err, "read the time for the history of pool %s", pool)
	}
	now = now.UTC()
	const hours = int64(staging.RecentHistory/time.Hour) + 1
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
	since := now.Add(-staging.RecentHistory)
	for i, hour := range read {
		begin := time.Unix((latest-hours+1+int64(i))*3600, 0).UTC()
		for m := range 60 {
			at := begin.Add(time.Duration(m) * time.Minute)
			minute, any := minuteOf(hour.Val(), m)
			if minute.At = at; any && at.After(since) {
				minutes = append(minutes, minute)
			}
		}
	}
	return slices.Clip(minutes), now, nil
}

// minuteOf reads one minute of an hour of history; any is false if nothing was recorded.
func minuteOf(hour map[string]string, m int) (minute staging.Minute, any bool) {
	number := func(name string) *float64 {
		text, known := hour[strconv.Itoa(m)+":"+name]
		if !known {
			return nil
		}
		any = true
		x, _ := strconv.ParseFloat(text, 64) // a text that is none was not written by us: 0
		return &x
	}
	whole := func(name string) *int {
		if x := number(name); x != nil {
			n := int(*x)
			return &n
		}
		return nil
	}
	count := func(name string) int {
		if n := whole(name); n != nil {
			return *n
		}
		return 0
	}
	minute = staging.Minute{
		Ready: whole("ready"), Claims: count("claims"), Misses: count("misses"), Made: count("made"),
		Wanted: whole("wanted"), Expected: number("expected"), Low: number("low"), High: number("high"),
	}
	if ms := number("made_ms"); ms != nil && minute.Made > 0 {
		minute.ToReadySeconds = *ms / 1000 / float64(minute.Made)
	}
	return minute, any
}
