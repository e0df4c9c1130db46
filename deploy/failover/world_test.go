package failover

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"testing"

	consulapi "github.com/hashicorp/consul/api"

	"github.com/greenroom/greenroom/internal/devcluster"
	"github.com/greenroom/greenroom/internal/devcluster/agenttest"
	"github.com/greenroom/greenroom/internal/devcluster/devtest"
	"github.com/greenroom/greenroom/internal/staging"
	"github.com/greenroom/greenroom/jobspecs"
)

// shared has the Nomad and the Consul of the tests of Redis. Each test has a Consul prefix of
// its own there.
var shared = devtest.Share(devcluster.Options{Datacenters: []string{"dc1"}, NoRedis: true})

func TestMain(m *testing.M) { os.Exit(agenttest.Around(shared.Around(m)).Run()) }

// world is a greenroom with two of each agent.
type world struct {
	brokers, scalers, gateways []*agenttest.Agent
	consul                     *consulapi.Client
	nomad, prefix              string
}

// startWorld starts two brokers, two scalers and two gateways, for which Redis has no users.
func startWorld(t *testing.T, prefix, nomad, consul string, flags ...string) *world {
	t.Helper()
	return startWorldAs(t, func(*testing.T, string) []string { return nil }, prefix, nomad, consul, flags...)
}

// startWorldAs starts the same, each with its kind's own flags, too.
func startWorldAs(t *testing.T, own func(t *testing.T, kind string) []string, prefix, nomad, consul string, flags ...string) *world {
	t.Helper()
	w := &world{nomad: nomad, prefix: prefix, consul: consulClient(t, consul)}
	program := agenttest.Program(t, "greenroom")
	all := append([]string{"--nomad-address", nomad, "--consul-address", consul, "--consul-prefix", prefix}, flags...)
	start := func(kind string, more ...string) *agenttest.Agent {
		return agenttest.Start(t, program, kind, slices.Concat(all, own(t, kind), more)...)
	}
	for range 2 {
		w.brokers = append(w.brokers, start("broker"))
		w.scalers = append(w.scalers, start("scaler"))
		w.gateways = append(w.gateways, start("gateway", "--gateway-url", "http://127.0.0.1:1"))
	}
	return w
}

func consulClient(t *testing.T, address string) *consulapi.Client {
	t.Helper()
	c := consulapi.DefaultConfig()
	c.Address = address
	client, err := consulapi.NewClient(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Transport.CloseIdleConnections)
	return client
}

// api is the API of a broker, in turn.
func (w *world) api(i int) agenttest.API { return w.brokers[i%len(w.brokers)].API() }

// pool stores the zone east, an image of sessions that run nothing, and a pool of it.
func (w *world) pool(t *testing.T, desired int) {
	t.Helper()
	w.zone(t)
	w.api(0).Ask(t, "PUT", "/v1/groups/one", `{"name":"one","priority":2,"max_sessions_per_user":1}`, 201, nil)
	w.api(0).Ask(t, "PUT", "/v1/images/mock", staging.Image{Name: "mock", Jobspec: jobspecs.DemoMock}, 201, nil)
	w.api(0).Ask(t, "PUT", "/v1/staging/mock", staging.Config{Name: "mock", Zone: "east", Image: "mock", DesiredSessions: desired}, 201, nil)
	w.untilReady(t, "mock", desired)
}

// zone stores the zone east, with a prefix for the names of its jobs.
func (w *world) zone(t *testing.T) {
	t.Helper()
	w.api(0).Ask(t, "PUT", "/v1/zones/east", staging.Zone{
		Name: "east", Datacenters: []string{"dc1"}, AllowOriginDomain: "127.0.0.1", UpstreamAuthAddress: "127.0.0.1",
	}, 201, nil)
}

// statusAnswer is what the tests read of GET /v1/status.
type statusAnswer struct {
	Status string
	Zones  []struct {
		Name    string
		Vouched bool
		Pools   []struct {
			Name  string
			Ready int `json:"ready_sessions"`
		}
	}
}

// status reads a broker's status; ok is false if it does not tell.
func (w *world) status(i int) (s statusAnswer, ok bool, saw string) {
	r, err := w.api(i).Call("GET", "/v1/status", "")
	if err != nil || r.Status != 200 || json.Unmarshal(r.Body, &s) != nil {
		return s, false, fmt.Sprintf("%d %s %v", r.Status, r.Body, err)
	}
	return s, true, string(r.Body)
}

// untilReady waits until both brokers say that a pool has so many ready sessions and a scaler
// vouches for Redis in its zone.
func (w *world) untilReady(t *testing.T, pool string, ready int) {
	t.Helper()
	for i := range w.brokers {
		agenttest.Until(t, fmt.Sprintf("pool %s has %d ready sessions, by broker %d, and Redis is vouched for", pool, ready, i), func() (bool, string) {
			s, ok, saw := w.status(i)
			if !ok {
				return false, saw
			}
			for _, z := range s.Zones {
				for _, p := range z.Pools {
					if p.Name == pool && p.Ready >= ready && z.Vouched {
						return true, saw
					}
				}
			}
			return false, saw
		})
	}
}

// untilAgentsAreReady waits until every agent says that it is.
func (w *world) untilAgentsAreReady(t *testing.T) {
	t.Helper()
	for _, agents := range [][]*agenttest.Agent{w.brokers, w.scalers, w.gateways} {
		for _, a := range agents {
			if a.Kind == "scaler" {
				continue // one of the two stands by, and says so
			}
			agenttest.Until(t, "the "+a.Kind+" at "+a.Address+" is ready", func() (bool, string) {
				r, err := a.API().Call("GET", "/v1/health/ready", "")
				return err == nil && r.Status == 200, fmt.Sprintf("%d %s %v", r.Status, r.Body, err)
			})
		}
	}
}

// fates reads all fate records that assign a session.
func (w *world) fates(t *testing.T) []staging.Fate {
	t.Helper()
	pairs, _, err := w.consul.KV().List(w.prefix+"/fates/", nil)
	if err != nil {
		t.Fatal(err)
	}
	var all []staging.Fate
	for _, p := range pairs {
		var f staging.Fate
		if err := json.Unmarshal(p.Value, &f); err != nil {
			t.Fatalf("%s: %v", p.Key, err)
		}
		if f.Verdict == staging.VerdictAssigned {
			all = append(all, f)
		}
	}
	return all
}
