package redisstore

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/internal/staging"
)

// reads counts the sessions that pipelines read.
type reads struct{ sessions int }

func (r *reads) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}
func (r *reads) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (r *reads) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		for _, c := range cmds {
			if c.Name() == "hgetall" {
				r.sessions++
			}
		}
		return next(ctx, cmds)
	}
}

// every reads all pages of a list, and returns the ids and the number of pages.
func every(t *testing.T, s *Store, f staging.SessionFilter, limit int) (ids []string, pages int) {
	t.Helper()
	for after := (staging.Position{}); ; {
		page, err := s.Page(t.Context(), f, after, limit)
		must(t, err)
		pages++
		if len(page.Items) > limit {
			t.Fatalf("a page of at most %d has %d", limit, len(page.Items))
		}
		for _, x := range page.Items {
			ids = append(ids, x.ID)
		}
		if !page.More {
			return ids, pages
		}
		if on := page.Next.Compare(after); after != (staging.Position{}) && (f.Ended() && on >= 0 || !f.Ended() && on <= 0) {
			t.Fatalf("after %v the list goes on at %v", after, page.Next)
		}
		after = page.Next
	}
}

// pages stores 60 sessions of two pools. Some belong to users, and many were created in
// the same millisecond.
func pages(t *testing.T, s *Store) {
	t.Helper()
	at := time.Now().UTC().Truncate(time.Millisecond)
	for i := range 60 {
		x := session(fmt.Sprintf("s%02d", i), 0)
		x.CreatedAt = at.Add(time.Duration(i/7) * time.Millisecond)
		if i%2 == 1 {
			x.Staging, x.Image = "other-east", "other"
		}
		if i%3 == 0 {
			x.Revision = "r2"
		}
		if i%10 == 9 {
			_, err := s.Record(t.Context(), x)
			must(t, err)
			continue
		}
		must(t, s.Publish(t.Context(), x))
	}
	for range 5 {
		c := claim("alice")
		c.ID, c.User.ID = staging.NewClaimID(), "alice"
		r, err := claimOne(t.Context(), s, "demo-east", c)
		must(t, err)
		if r.Outcome != staging.ClaimTaken {
			t.Fatal(r.Outcome)
		}
	}
	must(t, s.Retire(t.Context(), session("s58", 0), "x"))
}

// TestAPageIsAPartOfTheList: for every filter and page size, the pages together are the
// whole list, in its order, with each session once.
func TestAPageIsAPartOfTheList(t *testing.T) {
	s := newStore(t)
	pages(t, s)
	all, err := s.Sessions(t.Context())
	must(t, err)
	filters := map[string]staging.SessionFilter{
		"all":                    {},
		"of a user":              {User: "alice"},
		"of a user, of an image": {User: "alice", Image: "other"},
		"of an unknown user":     {User: "nobody"},
		"ready ones of a pool":   {Staging: "demo-east", States: []staging.State{staging.Ready}},
		"unassigned of a pool":   {Staging: "other-east", States: []staging.State{staging.Ready, staging.Pending}},
		"claimed ones of a pool": {Staging: "demo-east", States: []staging.State{staging.Claimed}},
		"of a pool":              {Staging: "demo-east"},
		"of an image":            {Image: "other"},
		"of a revision":          {Revision: "r2"},
		"of a zone":              {Zone: "east"},
		"of no zone":             {Zone: "west"},
		"on demand":              {Origin: staging.OnDemand},
		"retiring":               {States: []staging.State{staging.Retiring}},
	}
	for name, f := range filters {
		t.Run(name, func(t *testing.T) {
			var want []string
			for _, x := range all {
				if f.Lets(x) {
					want = append(want, x.ID)
				}
			}
			for _, limit := range []int{1, 7, 1000} {
				if got, _ := every(t, s, f, limit); !slices.Equal(got, want) {
					t.Errorf("by %d: got %v, want %v", limit, got, want)
				}
			}
		})
	}
}

// TestAPageReadsNoMoreThanItMust reads from 3000 sessions those of a user, of a pool and of a rare kind.
func TestAPageReadsNoMoreThanItMust(t *testing.T) {
	s, count := newStore(t), &reads{}
	pipe := s.rdb.Pipeline()
	for i := range 3000 {
		x := session(fmt.Sprintf("m%04d", i), 0)
		x.Staging, x.CreatedAt = "mass", time.UnixMilli(int64(1000+i)).UTC()
		pipe.HSet(t.Context(), s.sessionKey(x.ID), "state", "assigned", "facts", facts(x), "pool", "mass")
		pipe.ZAdd(t.Context(), s.indexKey(), redis.Z{Score: float64(1000 + i), Member: x.ID})
	}
	_, err := pipe.Exec(t.Context())
	must(t, err)
	pages(t, s)
	s.rdb.AddHook(count)
	for _, c := range []struct {
		what string
		f    staging.SessionFilter
		most int
	}{
		{"a user's", staging.SessionFilter{User: "alice"}, 5},
		{"the ready ones of a pool", staging.SessionFilter{Staging: "demo-east", States: []staging.State{staging.Ready}}, 30},
		{"the unassigned of a pool", staging.SessionFilter{Staging: "demo-east", States: []staging.State{staging.Ready, staging.Starting}}, 30},
		{"the first of all", staging.SessionFilter{}, readPage},
		{"what is rare", staging.SessionFilter{Image: "other"}, maxScan},
	} {
		count.sessions = 0
		page, err := s.Page(t.Context(), c.f, staging.Position{}, 10)
		must(t, err)
		if count.sessions > c.most {
			t.Errorf("a page of %s read %d sessions, want at most %d", c.what, count.sessions, c.most)
		}
		if strings.HasPrefix(c.what, "what") && (len(page.Items) != 0 || !page.More) {
			t.Errorf("a page that reaches its bound must end, with a position to continue at: %d items, more: %v", len(page.Items), page.More)
		}
	}
	if got, n := every(t, s, staging.SessionFilter{Image: "other"}, 1000); len(got) != 30 || n != 2 {
		t.Errorf("the rare ones are %d on %d pages, want 30 on 2", len(got), n)
	}
}
