package failover

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/internal/devcluster/agenttest"
	"github.com/greenroom/greenroom/internal/devcluster/redisgroup"
	"github.com/greenroom/greenroom/internal/staging"
)

// TestRedisFailsOverWhileCallersLaunch: Sentinels make a replica the primary, with all writes and
// without the last ones. Callers are served meanwhile, no session has two users, and no
// acknowledged launch is lost. Agents, replicas and Sentinels are the users of acl/redis.acl.
func TestRedisFailsOverWhileCallersLaunch(t *testing.T) {
	c, r := shared.Cluster(t), redisgroup.StartWatched(t, usersOfRedis(t))
	w := startWorldAs(t, login, "gr-sent", c.NomadAddr, c.ConsulAddr, "--redis-address", r.Addresses(), "--redis-sentinel-master", r.Name)
	const desired = 30
	w.pool(t, desired)

	t.Run("the primary is killed", func(t *testing.T) {
		calls := startCallers(w, "killed", 3)
		calls.untilMore(t, 10)
		old := r.Primary(t)
		old.Kill()
		killed := time.Now()
		calls.untilMore(t, 10)
		served := time.Since(killed)
		untilPromoted(t, r, old)
		promoted := time.Since(killed)
		w.untilReady(t, "mock", 1)
		agenttest.Measured("Redis's primary was killed: 10 launches were served within %.1f s, a replica was the primary after %.1f s, a scaler vouched for it after %.1f s\n",
			served.Seconds(), promoted.Seconds(), time.Since(killed).Seconds())
		calls.untilMore(t, 10)
		w.check(t, calls.done(t))
	})
	w.untilReady(t, "mock", desired)

	t.Run("the new primary lacks the last launches", func(t *testing.T) {
		before := startCallers(w, "lost", 3)
		before.untilMore(t, 5)
		r.Sever(t)
		severed := len(before.acknowledged())
		before.untilMore(t, 10)
		acks := before.done(t)
		lost := acks[severed:]
		old := r.Primary(t)
		missing := lacking(t, r, old, lost)
		old.Kill()
		killed := time.Now()
		// Others launch meanwhile, and those whose launches Redis has lost repeat them.
		others := startCallers(w, "others", 2)
		var repeats sync.WaitGroup
		for range 2 {
			repeats.Go(func() { w.repeat(t, lost) })
		}
		untilPromoted(t, r, old)
		w.repeat(t, lost)
		repeats.Wait()
		w.untilReady(t, "mock", 1)
		agenttest.Measured("Redis's primary was killed with %d launches that no replica had: a scaler vouched for the next one after %.1f s\n",
			missing, time.Since(killed).Seconds())
		others.untilMore(t, 10)
		w.check(t, append(others.done(t), acks...))
	})
	w.untilReady(t, "mock", desired)
	w.untilAgentsAreReady(t)
}

// untilPromoted waits until the Sentinels name another primary.
func untilPromoted(t *testing.T, r *redisgroup.Watched, old *redisgroup.Server) {
	t.Helper()
	agenttest.Until(t, "a replica is the primary", func() (bool, string) {
		now := r.Primary(t)
		return now != old, fmt.Sprintf("%s, as before", now.Name)
	})
}

// lacking counts the launches that the primary has and no replica, and fails if there are none.
func lacking(t *testing.T, r *redisgroup.Watched, primary *redisgroup.Server, acks []ack) int {
	t.Helper()
	n := 0
	for _, a := range acks {
		has := map[bool]int{}
		for _, s := range r.Redis {
			if !s.Runs() {
				continue
			}
			state, err := s.Client(t).HGet(t.Context(), "greenroom:session:"+a.session, "state").Result()
			if err != nil && !errors.Is(err, redis.Nil) {
				t.Fatal(err)
			}
			if state == string(staging.Assigned) {
				has[s == primary]++
			}
		}
		if has[true] == 1 && has[false] == 0 {
			n++
		}
	}
	if n == 0 {
		t.Errorf("the replicas have all %d launches: none can be lost", len(acks))
	}
	return n
}
