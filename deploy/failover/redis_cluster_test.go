package failover

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/devcluster/agenttest"
	"github.com/greenroom/greenroom/internal/devcluster/redisgroup"
	"github.com/greenroom/greenroom/internal/staging"
	"github.com/greenroom/greenroom/jobspecs"
)

// TestARedisClusterServesEverything: staging, launches of one and of several, hooks, limits, extensions, ends,
// events and webhooks work on a Redis Cluster of three primaries, and callers are served while the
// node that has all keys is killed. The agents are the users of acl/redis.acl, with what README.md adds.
func TestARedisClusterServesEverything(t *testing.T) {
	c, r := shared.Cluster(t), redisgroup.StartCluster(t, usersOfRedis(t, "~greenroom:*", "~{greenroom}:*", "+evalsha", "+evalsha +cluster|slots"))
	w := startWorldAs(t, login, "gr-clus", c.NomadAddr, c.ConsulAddr, "--redis-address", r.Addresses(), "--redis-cluster")
	const desired = 20
	w.pool(t, desired)

	t.Run("each operation", func(t *testing.T) { w.everything(t) })
	tagged := 0
	for _, n := range r.Nodes {
		keys, err := n.Client(t).Keys(t.Context(), "*").Result()
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range keys {
			if !strings.HasPrefix(key, "{greenroom}:") {
				t.Errorf("%s has the key %s, without the hash tag", n.Name, key)
			}
			tagged++
		}
	}
	if tagged == 0 {
		t.Error("no node has a key")
	}

	t.Run("the node with the keys is killed", func(t *testing.T) {
		calls := startCallers(w, "cluster", 3)
		calls.untilMore(t, 10)
		old := r.Owner(t, "{greenroom}:events")
		old.Kill()
		killed := time.Now()
		calls.untilMore(t, 10)
		served := time.Since(killed)
		agenttest.Until(t, "a replica has the keys", func() (bool, string) {
			node, err := r.Client(t).MasterForKey(t.Context(), "{greenroom}:events")
			if err != nil {
				return false, err.Error()
			}
			return node.Options().Addr != old.Address && node.Ping(t.Context()).Err() == nil, node.Options().Addr
		})
		promoted := time.Since(killed)
		w.untilReady(t, "mock", 1)
		agenttest.Measured("the Redis Cluster's node with the keys was killed: 10 launches were served within %.1f s, a replica had the keys after %.1f s, a scaler vouched for it after %.1f s\n",
			served.Seconds(), promoted.Seconds(), time.Since(killed).Seconds())
		calls.untilMore(t, 10)
		w.check(t, calls.done(t))
	})
	w.untilReady(t, "mock", desired)
	w.untilAgentsAreReady(t)
}

// everything calls what has scripts, pipelines, transactions or blocking reads of its own in Redis.
func (w *world) everything(t *testing.T) {
	t.Helper()
	var (
		mu       sync.Mutex
		received []string
	)
	receiver := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		var m struct {
			Type string `json:"type"`
			Data struct{ Session string }
		}
		_ = json.NewDecoder(req.Body).Decode(&m)
		mu.Lock()
		received = append(received, m.Type)
		mu.Unlock()
		rw.WriteHeader(http.StatusNoContent)
	}))
	defer receiver.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	events := w.follow(ctx, t)

	session := agenttest.Program(t, "demo-session")
	hooked := staging.Image{
		Name: "hooked", Jobspec: jobspecs.DemoRawExec,
		Variables:        map[string]string{"command": session, "warmup": "0s"},
		SessionTimeLimit: staging.Duration(time.Hour),
		ExecConfig:       staging.ExecConfig{Assign: &staging.Hook{Cmd: []string{session, "assign"}}},
	}
	w.api(0).Ask(t, "PUT", "/v1/images/hooked", hooked, 201, nil)
	w.api(0).Ask(t, "PUT", "/v1/webhooks/ledger", staging.Webhook{
		URL: receiver.URL, Secret: "whsec_" + strings.Repeat("c2VjcmV0", 4), Events: []staging.EventType{"assigned", "ended"}, Images: []string{"hooked"},
	}, 201, nil)
	w.api(0).Ask(t, "PUT", "/v1/groups/few", `{"name":"few","priority":1,"max_sessions_per_user":1,"max_extension":"1h"}`, 201, nil)
	w.api(0).Ask(t, "PUT", "/v1/staging/hooked", staging.Config{Name: "hooked", Zone: "east", Image: "hooked", DesiredSessions: 2}, 201, nil)
	w.untilReady(t, "hooked", 2)

	type launched struct {
		ID, State string
		Attempts  []struct{ Outcome string }
		EndsAt    time.Time `json:"ends_at"`
	}
	var l, again launched
	body := `{"image":"hooked","zone":"east","groups":["few"],"user":{"id":"u-ann","name":"ann"}}`
	w.api(0).Ask(t, "POST", "/v1/sessions", body, 201, &l, "Idempotency-Key", "ann")
	w.api(1).Ask(t, "POST", "/v1/sessions", body, 201, &again, "Idempotency-Key", "ann")
	if l.State != "assigned" || again.ID != l.ID {
		t.Errorf("a launch: %+v; its repeat: %+v", l, again)
	}
	if r := w.api(1).Ask(t, "POST", "/v1/sessions", body, 409, nil); !strings.Contains(string(r.Body), "limit") {
		t.Errorf("beyond the user's limit: %s", r.Body)
	}
	w.api(0).Ask(t, "POST", "/v1/sessions", `{"image":"mock","zone":"east","user":{"id":"u-class","name":"class"},"count":3}`, 201, nil)
	w.api(0).Ask(t, "POST", "/v1/sessions/"+l.ID+"/keepalive", nil, 200, nil)
	var longer launched
	w.api(1).Ask(t, "POST", "/v1/sessions/"+l.ID+"/extend", `{"by":"10m"}`, 200, &longer, "Idempotency-Key", "longer")
	if longer.EndsAt.Sub(l.EndsAt) != 10*time.Minute {
		t.Errorf("extended by 10m, it ends at %s instead of %s", longer.EndsAt, l.EndsAt)
	}
	for _, path := range []string{"/v1/sessions?user=u-ann", "/v1/sessions?staging=mock&state=ready", "/v1/staging/mock", "/v1/staging/mock/history", "/v1/webhooks/ledger/deliveries"} {
		w.api(0).Ask(t, "GET", path, nil, 200, nil)
	}
	w.api(1).Ask(t, "DELETE", "/v1/sessions/"+l.ID, nil, 204, nil)
	agenttest.Until(t, "the webhook's messages came, in order", func() (bool, string) {
		mu.Lock()
		defer mu.Unlock()
		return fmt.Sprint(received) == "[assigned ended]", fmt.Sprint(received)
	})
	agenttest.Until(t, "the events were followed", func() (bool, string) {
		saw := events.String()
		for _, kind := range []string{"claimed", "assigned", "extended", "ending", "ended"} {
			if !strings.Contains(saw, "event: "+kind+"\n") {
				return false, saw
			}
		}
		return true, ""
	})
	w.api(0).Ask(t, "DELETE", "/v1/webhooks/ledger", nil, 204, nil)
	w.api(0).Ask(t, "DELETE", "/v1/staging/hooked", nil, 204, nil)
}

// follow follows a broker's events until ctx is done.
func (w *world) follow(ctx context.Context, t *testing.T) *agenttest.Output {
	t.Helper()
	out := new(agenttest.Output)
	req, err := http.NewRequestWithContext(ctx, "GET", w.api(0).URL+"/v1/events", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer res.Body.Close()
		for lines := bufio.NewScanner(res.Body); lines.Scan(); {
			fmt.Fprintln(out, lines.Text())
		}
	}()
	return out
}
