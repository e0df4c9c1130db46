package redisstore

import (
	"context"
	"slices"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/internal/staging"
)

// maxScan is the most sessions that are read for one page. After that many, Page returns
// what it found and the position to continue at. A rare match then takes several calls,
// and no call keeps Redis busy for long.
const maxScan = 2000

// Page reads up to limit sessions that match the filter and have not ended, oldest first,
// starting after a position; those that have ended if f.Ended(), the last one to end first.
//
// It uses the smallest index that has all matches: the user's sessions, the pool's ready
// queue, or the pool's set of unassigned sessions. Without one of them it scans the index
// of all sessions.
func (s *Store) Page(ctx context.Context, f staging.SessionFilter, after staging.Position, limit int) (staging.SessionPage, error) {
	in := index{key: s.indexKey()}
	switch {
	case f.Ended():
		in = index{key: s.endedKey(), ended: true}
	case f.User != "":
		return s.pageOfSet(ctx, "user "+f.User, s.rdb.ZCard(ctx, s.userKey(f.User)), func() *redis.StringSliceCmd {
			return s.rdb.ZRange(ctx, s.userKey(f.User), 0, -1)
		}, f, after, limit)
	case f.Staging != "" && len(f.States) == 1 && f.States[0] == staging.Ready:
		in = index{key: s.readyKey(f.Staging)}
	case f.Staging != "" && f.Unassigned():
		return s.pageOfSet(ctx, "pool "+f.Staging, s.rdb.SCard(ctx, s.poolKey(f.Staging)), func() *redis.StringSliceCmd {
			return s.rdb.SMembers(ctx, s.poolKey(f.Staging))
		}, f, after, limit)
	}
	page, err := s.scan(ctx, in, f, after, limit)
	if err != nil || !in.ended {
		return page, err
	}
	return page, s.markKept(ctx, page.Items)
}

// markKept marks those of some ended sessions whose jobs are kept in Nomad.
func (s *Store) markKept(ctx context.Context, ended []staging.Session) error {
	kept, err := s.Kept(ctx)
	if err != nil || len(kept) == 0 {
		return err
	}
	for i := range ended {
		ended[i].Kept = slices.Contains(kept[ended[i].Staging], ended[i].ID)
	}
	return nil
}

// pageOfSet reads a page from a set that is not ordered by creation. It reads the whole
// set; if that is too large, it scans the index of all sessions instead. owner is for its
// errors.
func (s *Store) pageOfSet(ctx context.Context, owner string, size *redis.IntCmd, ids func() *redis.StringSliceCmd, f staging.SessionFilter, after staging.Position, limit int) (staging.SessionPage, error) {
	n, err := size.Result()
	if err != nil {
		return staging.SessionPage{}, callError(err, "count the sessions of %s", owner)
	}
	if n > maxScan {
		return s.scan(ctx, index{key: s.indexKey()}, f, after, limit)
	}
	members, err := ids().Result()
	if err != nil {
		return staging.SessionPage{}, callError(err, "list the sessions of %s", owner)
	}
	all, err := s.read(ctx, members)
	if err != nil {
		return staging.SessionPage{}, err
	}
	all = slices.DeleteFunc(all, func(x staging.Session) bool {
		return x.State == staging.Ended || !f.Lets(x) || staging.PositionOf(x).Compare(after) <= 0
	})
	slices.SortFunc(all, func(a, b staging.Session) int { return staging.PositionOf(a).Compare(staging.PositionOf(b)) })
	page := staging.SessionPage{Items: all}
	if len(all) > limit {
		page.Items, page.More = all[:limit], true
		page.Next = staging.PositionOf(all[limit-1])
	}
	return page, nil
}

// index is a sorted set of sessions: by creation, the oldest first, or those that have ended by
// when they did, the last one first.
type index struct {
	key   string
	ended bool
}

// rangeFrom selects, in the index's order, what is at or after a position.
func (x index) rangeFrom(after staging.Position, offset, count int64) redis.ZRangeArgs {
	at := strconv.FormatInt(after.At, 10)
	args := redis.ZRangeArgs{Key: x.key, Start: at, Stop: "+inf", ByScore: true, Offset: offset, Count: count}
	if x.ended {
		args.Rev, args.Start, args.Stop = true, at, "-inf"
		if after == (staging.Position{}) {
			args.Start = "+inf"
		}
	}
	return args
}

// follows reports whether a position is after another in the index's order. All follow the
// zero position.
func (x index) follows(p, after staging.Position) bool {
	if x.ended {
		return after == (staging.Position{}) || p.Compare(after) < 0
	}
	return p.Compare(after) > 0
}

// scan reads a page from an index.
func (s *Store) scan(ctx context.Context, in index, f staging.SessionFilter, after staging.Position, limit int) (staging.SessionPage, error) {
	page := staging.SessionPage{Items: []staging.Session{}}
	from, offset, scanned := after, int64(0), 0
	for scanned < maxScan {
		count := min(readPage, maxScan-scanned)
		found, err := s.rdb.ZRangeArgsWithScores(ctx, in.rangeFrom(after, offset, int64(count))).Result()
		if err != nil {
			return page, callError(err, "scan %s from %d on", in.key, after.At)
		}
		offset += int64(len(found))
		scanned += len(found)
		var ids []string
		at := map[string]staging.Position{}
		for _, z := range found {
			id, _ := z.Member.(string)
			p := staging.Position{At: int64(z.Score), ID: id}
			// The range starts at a millisecond. Some of its sessions were on the page before.
			if in.follows(p, after) {
				ids, at[id] = append(ids, id), p
			}
		}
		all, err := s.read(ctx, ids)
		if err != nil {
			return page, err
		}
		for _, x := range all {
			if (x.State == staging.Ended) != in.ended || !f.Lets(x) {
				continue
			}
			if len(page.Items) == limit {
				page.More, page.Next = true, from
				return page, nil
			}
			page.Items = append(page.Items, x)
			from = at[x.ID]
		}
		if len(found) < count {
			return page, nil
		}
		if len(ids) > 0 {
			from = at[ids[len(ids)-1]]
		}
	}
	page.More, page.Next = true, from
	return page, nil
}
