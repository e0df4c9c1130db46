package redisstore

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// TestAClaimTakesOnlySessionsOfItsRevision: those of another one stay where they are in the
// queue, for a launch that wants them or the scaler.
func TestAClaimTakesOnlySessionsOfItsRevision(t *testing.T) {
	for _, n := range []int{1, 2} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			s, ctx := newStore(t), t.Context()
			for i, revision := range []string{"old", "old", "new", "old", "new"} {
				x := session(fmt.Sprint("s", i), time.Duration(5-i)*time.Second)
				x.Revision = revision
				must(t, s.Publish(ctx, x))
			}
			queue := func() []string {
				all, err := s.rdb.ZRange(ctx, s.readyKey("demo-east"), 0, -1).Result()
				must(t, err)
				return all
			}
			take := func(id, revision string) staging.ClaimResult {
				c := claim(id)
				c.Prefer = []string{"s1"}
				if revision != "" {
					c.Revisions = map[string]string{"demo-east": revision}
				}
				r, err := s.Claim(ctx, []staging.Config{{Name: "demo-east", Zone: "east"}}, n, c)
				must(t, err)
				return r
			}
			var got []string
			for i := range 2 / n {
				for _, x := range take(fmt.Sprint("c", i), "new").Sessions {
					got = append(got, x.ID)
				}
			}
			if want := []string{"s2", "s4"}; !slices.Equal(got, want) {
				t.Errorf("claimed %v, want %v", got, want)
			}
			if r := take("c9", "new"); r.Outcome != staging.ClaimEmpty {
				t.Errorf("%+v", r)
			}
			if want := []string{"s0", "s1", "s3"}; !slices.Equal(queue(), want) {
				t.Errorf("left in the queue %v, want %v", queue(), want)
			}
			if r := take("d", ""); len(r.Sessions) != n || r.Sessions[0].ID != "s1" {
				t.Errorf("of any revision: %+v", r)
			}
		})
	}
}
