package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// TestARedisFromYesterdayGivesNobodyAnEndedSession: an old copy of Redis names as ready a
// session that had a user and has ended, together with its fate record. No scaler has renewed
// trust in that Redis, so claims do not use it. Scalers repair it while launches write to it.
func TestARedisFromYesterdayGivesNobodyAnEndedSession(t *testing.T) {
	c, d := startCluster(t, 0)
	startAgent(t, c, "scaler")
	// Without a hook, only the launch's answer shows that a session was assigned.
	plain := quickImage("plain")
	plain.ExecConfig.Assign = nil
	const ready = 3
	d.stage(t, plain, ready)
	d.untilReady(t, "plain", ready)
	back := d.copyRedis(t)
	var over []string
	for i := range ready {
		var l launched
		d.ask(t, "POST", "/v1/sessions", launch("plain", "east", fmt.Sprint("early-", i)), 201, &l)
		over = append(over, l.ID)
		d.ask(t, "DELETE", "/v1/sessions/"+l.ID, nil, 204, nil)
		d.untilEnded(t, l.ID)
	}
	// As a day later: Nomad and Consul no longer have them, and the markers in Redis are old.
	for _, id := range over {
		_, _, err := d.nomad(t).Jobs().Deregister(id, true, nil)
		must(t, err)
		_, err = d.consul(t).KV().Delete("greenroom/fates/"+id, nil)
		must(t, err)
	}
	d.untilReady(t, "plain", ready)
	rdb := redis.NewClient(&redis.Options{Addr: d.Redis})
	defer rdb.Close()
	back()
	must(t, rdb.HSet(t.Context(), "greenroom:vouched:east", "at", time.Now().Add(-24*time.Hour).UnixMilli()).Err())
	for i := range 2 * ready {
		var l launched
		d.ask(t, "POST", "/v1/sessions", launch("plain", "east", fmt.Sprint("late-", i)), 201, &l)
		if slices.Contains(over, l.ID) {
			t.Errorf("a user was given session %s, which was another's and is over", l.ID)
		}
		if get(t, l.page()+"/version"); t.Failed() {
			t.Errorf("no session answers where %s should be, by its launch", l.ID)
		}
	}
	d.untilReady(t, "plain", ready)
	until(t, "Redis no longer knows those that are over", func() (bool, string) {
		ids := d.ids(t, "plain", "ready")
		return !slices.ContainsFunc(ids, func(id string) bool { return slices.Contains(over, id) }), fmt.Sprint(ids, over)
	})
}

// TestAKeyThatRedisForgotIsItsSessionsAgain: each repeat is answered with the session at once,
// and a different launch with the same key does not get it.
func TestAKeyThatRedisForgotIsItsSessionsAgain(t *testing.T) {
	d := sharedDev(t)
	d.stage(t, quickImage("keyed"), 2)
	d.untilReady(t, "keyed", 2)
	const key = "forgotten"
	body := jsonText(launch("keyed", "east", "kim"))
	repeat := func(body string, status int) (l launched) {
		t.Helper()
		r, err := d.call("POST", "/v1/sessions?wait=10s", body, "Idempotency-Key", key)
		must(t, err)
		if r.status != status || status == http.StatusCreated && json.Unmarshal(r.body, &l) != nil {
			t.Fatalf("%d %s; want %d", r.status, r.body, status)
		}
		return l
	}
	first := repeat(body, 201)
	rdb := redis.NewClient(&redis.Options{Addr: d.Redis})
	defer rdb.Close()
	forget := func() {
		t.Helper()
		keys, err := rdb.Keys(t.Context(), "greenroom:key:*").Result()
		must(t, err)
		must(t, rdb.Del(t.Context(), keys...).Err())
	}
	for range 2 {
		forget()
		for range 3 {
			if again := repeat(body, 201); again.ID != first.ID {
				t.Fatalf("a repeat was given %s, the first launch %s", again.ID, first.ID)
			}
		}
	}
	forget()
	repeat(jsonText(launch("keyed", "east", "somebody-else")), 422)
	if again := repeat(body, 201); again.ID != first.ID {
		t.Errorf("after another launch had come with the key, a repeat was given %s, the first launch %s", again.ID, first.ID)
	}
	if got := record(t, first); len(got) != 1 || got[0].UserName != "kim" {
		t.Errorf("the session's own record: %+v", got)
	}
}
