package redisstore

import (
	"context"
	"slices"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/internal/staging"
)

// scanMost bounds the sessions that are read for one page. Past it the page is given as
// it is, with where to go on: a caller who asks for what is rare asks more often, and
// nobody's question holds Redis for long.
const scanMost = 2000

// Page reads up to limit of the sessions that the filter lets through and that have not
// ended, from after a position on, the oldest first.
//
// It reads no more than it must: a user's sessions are in a set of their own, a pool's
// unassigned ones in its set, its ready ones in its queue. Only what none of those holds
// is looked for among all sessions.
func (s *Store) Page(ctx context.Context, f staging.SessionFilter, after staging.Position, limit int) (staging.SessionPage, error) {
	index := s.indexKey()
	switch {
	case f.User != "":
		return s.pageOfSet(ctx, s.rdb.ZCard(ctx, s.userKey(f.User)), func() *redis.StringSliceCmd {
			return s.rdb.ZRange(ctx, s.userKey(f.User), 0, -1)
		}, f, after, limit)
	case f.Staging != "" && len(f.States) == 1 && f.States[0] == staging.Ready:
		index = s.readyKey(f.Staging)
	case f.Staging != "" && f.Unassigned():
		return s.pageOfSet(ctx, s.rdb.SCard(ctx, s.poolKey(f.Staging)), func() *redis.StringSliceCmd {
			return s.rdb.SMembers(ctx, s.poolKey(f.Staging))
		}, f, after, limit)
	}
	return s.scan(ctx, index, f, after, limit)
}

// pageOfSet reads a page of a set that has another order, or none: all of it is read,
// unless it is so large that the index of all sessions does better.
func (s *Store) pageOfSet(ctx context.Context, size *redis.IntCmd, ids func() *redis.StringSliceCmd, f staging.SessionFilter, after staging.Position, limit int) (staging.SessionPage, error) {
	n, err := size.Result()
	if err != nil {
		return staging.SessionPage{}, err
	}
	if n > scanMost {
		return s.scan(ctx, s.indexKey(), f, after, limit)
	}
	members, err := ids().Result()
	if err != nil {
		return staging.SessionPage{}, err
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

// scan reads a page from an index of ids by their time of creation.
func (s *Store) scan(ctx context.Context, index string, f staging.SessionFilter, after staging.Position, limit int) (staging.SessionPage, error) {
	page := staging.SessionPage{Items: []staging.Session{}}
	from, offset, looked := after, int64(0), 0
	for looked < scanMost {
		count := min(readPage, scanMost-looked)
		found, err := s.rdb.ZRangeArgsWithScores(ctx, redis.ZRangeArgs{
			Key: index, Start: strconv.FormatInt(after.Created, 10), Stop: "+inf", ByScore: true, Offset: offset, Count: int64(count),
		}).Result()
		if err != nil {
			return page, err
		}
		offset += int64(len(found))
		looked += len(found)
		var ids []string
		at := map[string]staging.Position{}
		for _, z := range found {
			id, _ := z.Member.(string)
			p := staging.Position{Created: int64(z.Score), ID: id}
			// Others were made in the same millisecond, and came in the page before.
			if p.Compare(after) > 0 {
				ids, at[id] = append(ids, id), p
			}
		}
		all, err := s.read(ctx, ids)
		if err != nil {
			return page, err
		}
		for _, x := range all {
			if x.State == staging.Ended || !f.Lets(x) {
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
