package e2e

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/internal/benchreport"
	"github.com/greenroom/greenroom/internal/devcluster/agenttest"
	"github.com/greenroom/greenroom/internal/staging"
)

// logged is what the servers have written to their Raft logs so far, and how many evaluations
// Nomad has.
type logged struct{ consul, nomad, evaluations int }

func (d *devProcess) logged(t *testing.T) logged {
	t.Helper()
	evaluations, _, err := d.nomad(t).Evaluations().List(&nomadapi.QueryOptions{Namespace: "*"})
	must(t, err)
	return logged{raftIndex(t, d.Consul), raftIndex(t, d.Nomad), len(evaluations)}
}

// raftIndex returns the index of the last entry in a server's Raft log.
func raftIndex(t *testing.T, server string) int {
	t.Helper()
	var self struct {
		Stats struct {
			Raft struct {
				Index string `json:"last_log_index"`
			}
		}
	}
	must(t, json.Unmarshal([]byte(get(t, server+"/v1/agent/self")), &self))
	n, err := strconv.Atoi(self.Stats.Raft.Index)
	must(t, err)
	return n
}

// settled waits until the servers write nothing for a moment, and returns what they have written.
func (d *devProcess) settled(t *testing.T) (now logged) {
	t.Helper()
	now = d.logged(t)
	agenttest.UntilEvery(t, 2*time.Second, "the servers write nothing", func() (bool, string) {
		before := now
		now = d.logged(t)
		return now == before, fmt.Sprint(before, now)
	})
	return now
}

// per returns what was written since before, for each of n.
func (w logged) per(before logged, n int) cost {
	return cost{float64(w.consul-before.consul) / float64(n), float64(w.nomad-before.nomad) / float64(n), float64(w.evaluations-before.evaluations) / float64(n)}
}

// cost is what one session or launch makes the servers write.
type cost struct {
	Consul      float64 `json:"consul_writes"`
	Nomad       float64 `json:"nomad_writes"`
	Evaluations float64 `json:"nomad_evaluations"`
}

func (c cost) String() string {
	return fmt.Sprintf("%.1f writes in Consul, %.1f in Nomad, %.1f evaluations", c.Consul, c.Nomad, c.Evaluations)
}

// memory is what one session takes in Redis, in bytes: the keys that are named after it, and all
// that Redis has more.
type memory struct {
	Keys  float64 `json:"keys_bytes"`
	Grown float64 `json:"grown_bytes"`
}

// keysOf returns the memory of the keys that are named after a session in one of the ids, for each.
func keysOf(t *testing.T, rdb *redis.Client, ids []string) float64 {
	t.Helper()
	mine := map[string]bool{}
	for _, id := range ids {
		mine[id] = true
	}
	var total int64
	keys := rdb.Scan(t.Context(), 0, "greenroom:*", 1000).Iterator()
	for keys.Next(t.Context()) {
		if at := strings.Index(keys.Val(), staging.SessionPrefix); at < 0 || !mine[strings.SplitN(keys.Val()[at:], ":", 2)[0]] {
			continue
		}
		n, err := rdb.MemoryUsage(t.Context(), keys.Val(), 0).Result()
		must(t, err)
		total += n
	}
	must(t, keys.Err())
	return float64(total) / float64(len(ids))
}

// used returns the bytes that Redis uses, without the stream of events, which is bounded.
func used(t *testing.T, rdb *redis.Client) float64 {
	t.Helper()
	info, err := rdb.InfoMap(t.Context(), "memory").Result()
	must(t, err)
	n, err := strconv.ParseInt(info["Memory"]["used_memory"], 10, 64)
	must(t, err)
	events, err := rdb.MemoryUsage(t.Context(), "greenroom:events", 0).Result()
	must(t, err)
	return float64(n - events)
}

// connectionsTo counts an agent's connections to each server.
func connectionsTo(t *testing.T, a *agent, servers map[string]string) map[string]int {
	t.Helper()
	counts := map[string]int{}
	for name, address := range servers {
		if n := connectionsOf(t, a.PID(), address); n > 0 {
			counts[name] = n
		}
	}
	return counts
}

// readySessions returns the ids of a pool's ready sessions.
func (d *devProcess) readySessions(t *testing.T, pool string) (ids []string) {
	t.Helper()
	var list struct{ Items []struct{ ID string } }
	d.ask(t, "GET", "/v1/sessions?limit=1000&state=ready&staging="+pool, nil, 200, &list)
	for _, s := range list.Items {
		ids = append(ids, s.ID)
	}
	return ids
}

// TestMeasureWhatASessionCosts measures what deploy/sizing.md is made of: what a session and a launch
// make Consul and Nomad write, what they take in Redis, and the agents' connections and memory.
// Counts do not depend on the machine.
func TestMeasureWhatASessionCosts(t *testing.T) {
	keep := measure(t)
	const ready, times = 200, 40
	c, d := startCluster(t, 0)
	rdb := redis.NewClient(&redis.Options{Addr: c.RedisAddr})
	t.Cleanup(func() { rdb.Close() })
	first := startAgent(t, c, "scaler")
	until(t, "a scaler acts", func() (bool, string) { return d.believed(t, "east"), "none" })
	second := startAgent(t, c, "scaler")
	empty, usedBefore := d.settled(t), used(t, rdb)
	d.want(t, ready)
	d.untilReady(t, "mock", ready)
	full := d.settled(t)
	staged := full.per(empty, ready)
	waiting := memory{keysOf(t, rdb, d.readySessions(t, "mock")), (used(t, rdb) - usedBefore) / ready}

	// The pools of the launches that have a hook, and of those that find nothing ready.
	hooked := quickImage("hooked")
	d.ask(t, "PUT", "/v1/images/hooked", hooked, 201, nil)
	d.ask(t, "PUT", "/v1/staging/hooked", staging.Config{Zone: "east", Image: "hooked", DesiredSessions: times}, 201, nil)
	d.untilReady(t, "hooked", times)
	d.settled(t)
	servers := map[string]string{"nomad": c.NomadAddr, "consul": c.ConsulAddr, "redis": c.RedisAddr}
	resting := map[string]map[string]int{
		"broker": connectionsTo(t, d.agent, servers), "acting scaler": connectionsTo(t, first, servers), "standby scaler": connectionsTo(t, second, servers),
	}
	acting, standby := resident(t, first)/1e6, resident(t, second)/1e6

	// Without scalers nothing is refilled meanwhile: what is written is the launch's own.
	first.End(t, syscall.SIGTERM)
	second.End(t, syscall.SIGTERM)
	var given []string
	measureLaunches := func(image string, skipStaged bool) cost {
		before := d.settled(t)
		for i := range times {
			body := launch(image, "east", fmt.Sprint("user-", i))
			body["skip_staged"] = skipStaged
			var l launched
			d.ask(t, "POST", "/v1/sessions?wait=60s", body, 201, &l)
			if want := map[bool]string{true: "on_demand", false: "staged"}[skipStaged]; l.Origin != want {
				t.Fatalf("%s: %+v", image, l)
			}
			given = append(given, l.ID)
		}
		return d.settled(t).per(before, times)
	}
	plain, withHook, onDemand := measureLaunches("mock", false), measureLaunches("hooked", false), measureLaunches("mock", true)
	assigned := keysOf(t, rdb, given)

	// The rest of their lives: they end, and what was taken is refilled.
	before := d.settled(t)
	startAgent(t, c, "scaler")
	d.untilReady(t, "mock", ready)
	d.untilReady(t, "hooked", times)
	for _, id := range given {
		d.ask(t, "DELETE", "/v1/sessions/"+id, nil, 204, nil)
	}
	for _, id := range given {
		d.untilEnded(t, id)
	}
	rest := d.settled(t)
	after := cost{
		float64(rest.consul-before.consul)/times/3 - staged.Consul*2/3, float64(rest.nomad-before.nomad)/times/3 - staged.Nomad*2/3, 0,
	}

	keep(benchreport.Row{
		Number: 30, What: "what a session makes the servers write", Target: "none: for deploy/sizing.md", Met: true,
		Figure: fmt.Sprintf("staged until ready: %s; a staged launch: %.1f writes in Consul, %.1f in Nomad; with a hook: %.1f and %.1f; on demand: %s; its end and its entry in the catalog: %.1f in Consul, %.1f in Nomad",
			staged, plain.Consul, plain.Nomad, withHook.Consul, withHook.Nomad, onDemand, after.Consul, after.Nomad),
		Note: "entries of the Raft logs, one launch after the other: launches that come together share writes in Consul",
		Raw:  map[string]cost{"staged": staged, "launch": plain, "launch_with_hook": withHook, "launch_on_demand": onDemand, "end": after},
	})
	keep(benchreport.Row{
		Number: 31, What: "what a session takes in Redis", Target: "none: for deploy/sizing.md", Met: true,
		Figure: fmt.Sprintf("ready: %.0f bytes in its own keys, %.0f in all; assigned: %.0f bytes in its own keys", waiting.Keys, waiting.Grown, assigned),
		Note:   fmt.Sprintf("%d ready sessions of one pool, without the stream of events", ready),
		Raw:    map[string]any{"ready": waiting, "assigned_keys": assigned},
	})
	keep(benchreport.Row{
		Number: 32, What: "connections and memory of agents at rest", Target: "none: for deploy/sizing.md", Met: true,
		Figure: fmt.Sprintf("%v; an acting scaler %.0f MB, a standby %.0f MB", resting, acting, standby),
		Note:   fmt.Sprintf("two pools, %d sessions, of which %d have a hook, and a broker with shells that wait for it", ready+times, times),
		Raw:    map[string]any{"connections": resting, "acting_mb": acting, "standby_mb": standby},
	})
}
