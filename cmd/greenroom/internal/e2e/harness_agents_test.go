package e2e

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/internal/devcluster"
	"github.com/greenroom/greenroom/internal/devcluster/agenttest"
	"github.com/greenroom/greenroom/internal/staging"
	"github.com/greenroom/greenroom/jobspecs"
)

// agent is a broker, a scaler or a gateway as a process of its own.
type agent = agenttest.Agent

// startAgent starts an agent of a kind ("broker", "scaler" or "gateway") on a free port and returns once
// it listens. If it still runs when the test ends, it is killed.
func startAgent(t *testing.T, c *devcluster.Cluster, kind string, flags ...string) *agent {
	t.Helper()
	return startAgentOf(t, filepath.Join(bin, "greenroom"), c, kind, flags...)
}

// startAgentOf is startAgent for another build of greenroom.
func startAgentOf(t *testing.T, program string, c *devcluster.Cluster, kind string, flags ...string) *agent {
	t.Helper()
	return agenttest.Start(t, program, kind, append(agenttest.On(c), flags...)...)
}

// startCluster starts servers for this test alone, which it may disturb, and a broker. It
// stores a zone, and a mock image with a pool.
func startCluster(t *testing.T, desired int, brokerFlags ...string) (*devcluster.Cluster, *devProcess) {
	t.Helper()
	c, d := startServers(t, []string{"dc1"}, brokerFlags...)
	d.ask(t, "PUT", "/v1/images/mock", staging.Image{Name: "mock", Jobspec: jobspecs.DemoMock}, 201, nil)
	d.want(t, desired)
	return c, d
}

// startServers starts servers for this test alone, with a Nomad node in each of the
// datacenters, and a broker. It stores the zone east, which has all datacenters.
func startServers(t *testing.T, datacenters []string, brokerFlags ...string) (*devcluster.Cluster, *devProcess) {
	t.Helper()
	return startServersWith(t, devcluster.Options{Datacenters: datacenters}, brokerFlags...)
}

// startServersWith is startServers for a cluster with other options.
func startServersWith(t *testing.T, o devcluster.Options, brokerFlags ...string) (*devcluster.Cluster, *devProcess) {
	t.Helper()
	c, err := devcluster.Start(context.Background(), o)
	must(t, err)
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	b := startAgent(t, c, "broker", brokerFlags...)
	d := &devProcess{agent: b, readyFile: readyFile{Broker: "http://" + b.Address, Consul: c.ConsulAddr, Nomad: c.NomadAddr, Redis: c.RedisAddr}}
	d.ask(t, "PUT", "/v1/zones/east", staging.Zone{
		Name: "east", Datacenters: o.Datacenters, AllowOriginDomain: "127.0.0.1", UpstreamAuthAddress: "127.0.0.1",
	}, 201, nil)
	return c, d
}

// want sets the pool's size.
func (d *devProcess) want(t *testing.T, desired int) {
	t.Helper()
	r, err := d.call("PUT", "/v1/staging/mock", fmt.Sprintf(`{"zone":"east","image":"mock","desired_sessions":%d}`, desired))
	must(t, err)
	if r.status != 200 && r.status != 201 {
		t.Fatalf("%d %s", r.status, r.body)
	}
}

// wipeRedis deletes everything in Redis.
func (d *devProcess) wipeRedis(t *testing.T) error {
	rdb := redis.NewClient(&redis.Options{Addr: d.Redis})
	defer rdb.Close()
	return rdb.FlushAll(t.Context()).Err()
}

// copyRedis copies everything in Redis. The function that it returns restores exactly that,
// as if the server had lost all later writes.
func (d *devProcess) copyRedis(t *testing.T) (back func()) {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: d.Redis})
	t.Cleanup(func() { rdb.Close() })
	all, err := redis.NewScript(`
local all = {}
for _, key in ipairs(redis.call('KEYS', '*')) do
  all[#all + 1] = key
  all[#all + 1] = redis.call('DUMP', key)
  all[#all + 1] = tostring(math.max(0, redis.call('PTTL', key)))
end
return all`).Run(t.Context(), rdb, nil).StringSlice()
	must(t, err)
	return func() {
		t.Helper()
		_, err := rdb.TxPipelined(t.Context(), func(p redis.Pipeliner) error {
			p.FlushAll(t.Context())
			for i := 0; i < len(all); i += 3 {
				life, err := strconv.Atoi(all[i+2])
				if err != nil {
					return err
				}
				p.Restore(t.Context(), all[i], time.Duration(life)*time.Millisecond, all[i+1])
			}
			return nil
		})
		must(t, err)
	}
}

// believed reports whether a scaler has renewed trust in Redis for a zone. Until it has,
// claims there use Consul.
func (d *devProcess) believed(t *testing.T, zone string) bool {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: d.Redis})
	defer rdb.Close()
	at, err := rdb.HGet(t.Context(), "greenroom:vouched:"+zone, "at").Int64()
	if !errors.Is(err, redis.Nil) {
		must(t, err)
	}
	return time.Since(time.UnixMilli(at)) < staging.TrustTTL
}

// holder returns the scaler that holds a zone's lock in Consul.
func (d *devProcess) holder(t *testing.T, zone string, scalers ...*agent) *agent {
	t.Helper()
	var found *agent
	until(t, "one of the scalers holds zone "+zone, func() (bool, string) {
		pair, _, err := d.consul(t).KV().Get("greenroom/locks/"+zone, nil)
		must(t, err)
		if pair == nil || pair.Session == "" {
			return false, "nobody"
		}
		i := slices.IndexFunc(scalers, func(a *agent) bool { return strings.HasPrefix(string(pair.Value), a.Name()) })
		if i < 0 {
			return false, string(pair.Value)
		}
		found = scalers[i]
		return true, ""
	})
	return found
}
