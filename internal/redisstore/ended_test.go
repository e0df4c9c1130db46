package redisstore

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/internal/staging"
)

// TestEndedSessionsAreListed: the last one to end first, with why, on pages of any size, as
// long as their records are kept and no more than the bound, and never beside others.
func TestEndedSessionsAreListed(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	s.o.MaxEnded = 20
	var want []string
	for i := range 25 {
		x := session(fmt.Sprintf("s%02d", i), 0)
		if i%2 == 1 {
			x.Staging = "other-east"
		}
		must(t, s.Publish(ctx, x))
		if i == 24 {
			continue // it goes on
		}
		must(t, s.Retire(ctx, x, "failed: exit code "+x.ID))
		must(t, s.Ended(ctx, x, "nothing of it runs"))
		must(t, s.Ended(ctx, x, "again"))
		want = append(want, x.ID)
	}
	must(t, s.Ended(ctx, session("unheard-of", 0), "gone"))
	// Several may have ended in the same millisecond: then the order is that of the ids.
	slices.Reverse(want)
	want = want[:20]
	ended := staging.SessionFilter{States: []staging.State{staging.Ended}}
	for _, limit := range []int{1, 7, 1000} {
		if got, _ := every(t, s, ended, limit); !slices.Equal(got, want) {
			t.Errorf("by %d: got %v, want %v", limit, got, want)
		}
	}
	if got, _ := every(t, s, staging.SessionFilter{}, 7); !slices.Equal(got, []string{"s24"}) {
		t.Errorf("the list of those that have not ended has %v", got)
	}
	of := ended
	of.Staging = "other-east"
	page, err := s.Page(ctx, of, staging.Position{}, 3)
	must(t, err)
	if len(page.Items) != 3 || page.Items[0].ID != "s23" || page.Items[0].Reason != "failed: exit code s23" || page.Items[0].EndedAt.IsZero() || !page.More {
		t.Errorf("of a pool: %+v", page)
	}
	// What is no longer kept is not listed, and the index goes with its last session.
	must(t, s.rdb.Del(ctx, s.sessionKey("s23")).Err())
	if got, _ := every(t, s, ended, 7); !slices.Equal(got, want[1:]) {
		t.Errorf("without the record of s23: %v", got)
	}
	if life, err := s.rdb.PTTL(ctx, s.endedKey()).Result(); err != nil || life <= 0 || life > s.o.EndedLife {
		t.Errorf("the index is kept for %s (%v)", life, err)
	}
	must(t, s.rdb.ZAddArgs(ctx, s.endedKey(), redis.ZAddArgs{Members: []redis.Z{{Score: 1, Member: "s05"}}}).Err())
	must(t, s.Ended(ctx, session("s24", 0), "the last"))
	if _, err := s.rdb.ZScore(ctx, s.endedKey(), "s05").Result(); !errors.Is(err, redis.Nil) {
		t.Errorf("one that ended long ago is in the index: %v", err)
	}
}
