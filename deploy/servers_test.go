package deploy_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	consulapi "github.com/hashicorp/consul/api"
	nomadapi "github.com/hashicorp/nomad/api"
	"go.uber.org/goleak"

	"github.com/greenroom/greenroom/internal/devcluster"
	"github.com/greenroom/greenroom/internal/devcluster/agenttest"
	"github.com/greenroom/greenroom/internal/devcluster/devtest"
)

// shared is a cluster without access control. Tests use it to validate job files, and use
// its Redis and the paths of its servers' programs.
var shared = devtest.Share(devcluster.Options{Datacenters: []string{"dc1"}})

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(agenttest.Around(shared.Around(m)), goleak.IgnoreCurrent())
}

// patience limits how long a test waits. It is generous and no expected duration.
const patience = 2 * time.Minute

// patient returns a context that ends after patience.
func patient(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// eventually polls until f returns nil.
func eventually(t testing.TB, f func(context.Context) error) {
	t.Helper()
	ctx := patient(t)
	for {
		err := f(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("gave up waiting: %v", err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// guarded is a Nomad and a Consul with access control and TLS, with their management tokens.
type guarded struct {
	// ca signs the servers' certificates, as server.pem.
	ca *devtest.Authority
	// allocs is where the Nomad client keeps what its tasks have.
	allocs                string
	nomadAddr, consulAddr string
	// nodeAddr is the Nomad client agent's own HTTP address.
	nodeAddr                string
	nomadToken, consulToken string
	nomad                   *nomadapi.Client
	consul                  *consulapi.Client
}

const (
	consulManagement = "c0000000-0000-4000-8000-000000000001"
	nomadManagement  = "d0000000-0000-4000-8000-000000000001"
)

// nomadAgentsRules are the rights in Consul of Nomad's own agents: they register the services of
// all jobs. Tokens for tasks they get by the tasks' identities.
const nomadAgentsRules = `
agent_prefix "" { policy = "read" }
node_prefix "" { policy = "read" }
service_prefix "" { policy = "write" }
`

// startGuarded starts a Nomad and a Consul with access control and TLS for this test.
func startGuarded(t *testing.T) *guarded {
	t.Helper()
	c := shared.Cluster(t)
	dir := t.TempDir()
	ports := devtest.FreePorts(t, 7)
	g := &guarded{
		ca: devtest.NewAuthority(t), allocs: filepath.Join(dir, "nomad-client", "alloc"),
		consulAddr: fmt.Sprintf("https://127.0.0.1:%d", ports[0]), consulToken: consulManagement,
		nomadAddr: fmt.Sprintf("https://127.0.0.1:%d", ports[3]), nomadToken: nomadManagement,
		nodeAddr: fmt.Sprintf("https://127.0.0.1:%d", ports[6]),
	}
	g.ca.Issue("server", 10)
	ca, cert, key := g.ca.File("ca.pem"), g.ca.File("server.pem"), g.ca.File("server.key")
	agent(t, program(t, c.Consul), filepath.Join(dir, "consul"), "-config-file", fmt.Sprintf(`
server           = true
bootstrap_expect = 1
node_name        = "consul"
data_dir         = %q
bind_addr        = "127.0.0.1"
client_addr      = "127.0.0.1"
ports {
  http     = -1
  https    = %d
  server   = %d
  serf_lan = %d
  serf_wan = -1
  dns      = -1
  grpc     = -1
  grpc_tls = -1
}
performance { raft_multiplier = 1 }
disable_update_check = true
tls {
  https {
    ca_file   = %q
    cert_file = %q
    key_file  = %q
  }
}
acl {
  enabled        = true
  default_policy = "deny"
  tokens {
    initial_management = %q
    agent              = %q
  }
}
`, filepath.Join(dir, "consul"), ports[0], ports[1], ports[2], ca, cert, key, consulManagement, consulManagement))
	g.consul = g.consulClient(t, consulManagement)
	eventually(t, func(ctx context.Context) error {
		_, err := g.consul.KV().Put(&consulapi.KVPair{Key: "elsewhere/key", Value: []byte("not greenroom's")}, (&consulapi.WriteOptions{}).WithContext(ctx))
		return err
	})

	// Nomad has a server and a client agent, as on a real cluster, because the two do not
	// accept the same tokens for everything.
	common := fmt.Sprintf(`
bind_addr            = "127.0.0.1"
disable_update_check = true
advertise {
  http = "127.0.0.1"
  rpc  = "127.0.0.1"
  serf = "127.0.0.1"
}
acl {
  enabled    = true
  policy_ttl = "1s" # how long a change of a policy takes to count everywhere; 30 s by default
}
tls {
  http                   = true
  rpc                    = true
  verify_server_hostname = true
  ca_file                = %q
  cert_file              = %q
  key_file               = %q
}
consul {
  address = %q
  ssl     = true
  ca_file = %q
  token   = %q
}
`, ca, cert, key, strings.TrimPrefix(g.consulAddr, "https://"), ca, g.consulTokenFor(t, "nomad-agents", nomadAgentsRules))
	agent(t, program(t, c.NomadServer), filepath.Join(dir, "nomad-server"), "-config", common+fmt.Sprintf(`
data_dir = %q
ports {
  http = %d
  rpc  = %d
  serf = %d
}
server {
  enabled          = true
  bootstrap_expect = 1
}
`, filepath.Join(dir, "nomad-server"), ports[3], ports[4], ports[5]))
	agent(t, program(t, c.NomadServer), filepath.Join(dir, "nomad-client"), "-config", common+fmt.Sprintf(`
data_dir = %q
ports { http = %d }
client {
  enabled           = true
  servers           = ["127.0.0.1:%d"]
  network_interface = "lo"
  cpu_total_compute = 8000
  memory_total_mb   = 8000
  options = {
    "fingerprint.denylist" = "env_aws,env_gce,env_azure,env_digitalocean"
    "driver.allowlist"     = "raw_exec,mock_driver"
  }
}
plugin "raw_exec" {
  config { enabled = true }
}
# Isolated, as docker is: an exec in such a task does not run on the node.
plugin "mock_driver" {
  config { fs_isolation = "image" }
}
`, filepath.Join(dir, "nomad-client"), ports[6], ports[4]))
	g.nomad = g.nomadClient(t, nomadManagement)
	eventually(t, func(ctx context.Context) error {
		_, _, err := g.nomad.ACLTokens().BootstrapOpts(nomadManagement, (&nomadapi.WriteOptions{}).WithContext(ctx))
		if err != nil && strings.Contains(err.Error(), "already") {
			return nil
		}
		return err
	})
	eventually(t, func(ctx context.Context) error {
		nodes, _, err := g.nomad.Nodes().List((&nomadapi.QueryOptions{Params: map[string]string{"os": "true"}}).WithContext(ctx))
		if err != nil || len(nodes) != 1 || nodes[0].Status != "ready" || !nodes[0].Drivers["mock_driver"].Healthy || !nodes[0].Drivers["raw_exec"].Healthy {
			return fmt.Errorf("nodes %v, %v", nodes, err)
		}
		node, _, err := g.nomad.Nodes().Info(nodes[0].ID, (&nomadapi.QueryOptions{}).WithContext(ctx))
		if err != nil || node.Attributes["consul.version"] == "" {
			return fmt.Errorf("the node has not found Consul: %w", err)
		}
		return nil
	})
	return g
}

func (g *guarded) nomadClient(t testing.TB, token string) *nomadapi.Client {
	t.Helper()
	client, err := nomadapi.NewClient(&nomadapi.Config{Address: g.nomadAddr, SecretID: token, TLSConfig: &nomadapi.TLSConfig{CACert: g.ca.File("ca.pem")}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func (g *guarded) consulClient(t testing.TB, token string) *consulapi.Client {
	t.Helper()
	c := consulapi.DefaultConfig()
	c.Address, c.Token, c.TLSConfig.CAFile = g.consulAddr, token, g.ca.File("ca.pem")
	client, err := consulapi.NewClient(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Transport.CloseIdleConnections)
	return client
}
