package launch_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/greenroom/greenroom/broker/launch"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

// TestTheBrokersOwnLimitIsForUsersWhoseGroupsSayNothing: it goes into the claim, which decides,
// and the refusal says which limit it was.
func TestTheBrokersOwnLimitIsForUsersWhoseGroupsSayNothing(t *testing.T) {
	const own = 3
	five := 5
	res := threeZones(func(r *staging.Resources) {
		r.Groups["five"] = staging.Group{Name: "five", MaxSessionsPerUser: &five}
		r.Groups["silent"] = staging.Group{Name: "silent"}
	})
	for _, c := range []struct {
		groups []string
		broker int
		want   int
		detail string
	}{
		{nil, own, own, "this broker's setting max_sessions_per_user allows 3 at once"},
		{[]string{"silent"}, own, own, "this broker's setting max_sessions_per_user allows 3 at once"},
		{[]string{"silent", "five"}, own, five, "max_sessions_per_user of the user's group five allows 5 at once"},
		{nil, 0, 0, ""},
	} {
		w := &world{resources: res, ready: []string{"s1"}}
		l := with(w, manyTasks, launch.Options{MaxSessionsPerUser: c.broker})
		request := launch.Request{Launch: staging.Launch{Image: "plain", Zone: "east", User: staging.User{ID: "u"}, Groups: c.groups}}
		if _, err := l.one(t.Context(), request); err != nil || w.claim.MaxSessionsPerUser != c.want {
			t.Errorf("groups %v: a limit of %d in the claim, %v", c.groups, w.claim.MaxSessionsPerUser, err)
		}
		w.limited = []string{"a", "b"}
		_, err := l.one(t.Context(), request)
		var refused *refusal.Error
		if c.detail != "" && (!errors.As(err, &refused) || !strings.HasPrefix(refused.Detail, c.detail)) {
			t.Errorf("groups %v: %v", c.groups, err)
		}
		l.Close()
	}
}

// TestTheBrokersOwnLimitHoldsWithoutRedis, also for launches of several sessions.
func TestTheBrokersOwnLimitHoldsWithoutRedis(t *testing.T) {
	for _, count := range []int{1, 2} {
		w := &world{
			resources: threeZones(func(*staging.Resources) {}), inConsul: []string{"s1", "s2"}, fail: map[string]error{"claim": errAway, "begin": errAway},
			fates: map[string]staging.Fate{"mine": {Session: "mine", Verdict: staging.VerdictAssigned, Claim: "c0", User: &staging.User{ID: "u"}, Zone: "east"}},
		}
		l := with(w, manyTasks, launch.Options{MaxSessionsPerUser: count})
		_, err := l.Launch(t.Context(), launch.Request{Launch: staging.Launch{Image: "plain", Zone: "east", User: staging.User{ID: "u"}, Count: count}})
		l.Close()
		var refused *refusal.Error
		if !errors.As(err, &refused) || refused.Kind != refusal.SessionLimit || !slices.Equal(refused.Sessions, []string{"mine"}) {
			t.Errorf("%d sessions: %v: %v", count, err, w.calls)
		}
	}
}
