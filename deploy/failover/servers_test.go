package failover

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/devcluster"
	"github.com/greenroom/greenroom/internal/devcluster/agenttest"
	"github.com/greenroom/greenroom/internal/devcluster/devtest"
)

// servers are three servers each of Consul and Nomad, and a client agent of each: agents of
// greenroom call these, as on a node of a real cluster.
type servers struct {
	consul, nomad             []*server
	consulClient, nomadClient string
}

// server is one server's process, with the address of its API.
type server struct {
	*devtest.Process
	api string
	// peer is host:port, by which the other servers know it.
	peer string
}

// startServers starts them, and waits until sessions could be placed.
func startServers(t *testing.T) *servers {
	t.Helper()
	c := shared.Cluster(t)
	const n = 3
	s := &servers{}
	dir := t.TempDir()
	t.Cleanup(func() { // once the servers have ended, before their directory is removed
		if err := devcluster.UnmountBelow(dir); err != nil {
			t.Error(err)
		}
	})
	run := func(name string, of *devcluster.Process, flag, config string) *devtest.Process {
		own := filepath.Join(dir, name)
		if err := os.Mkdir(own, 0o755); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(own, "agent.hcl")
		if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		program, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", of.PID()))
		if err != nil {
			t.Fatal(err)
		}
		return devtest.StartProcess(t, name, own, program, "agent", flag, file)
	}
	ports := devtest.FreePorts(t, 6*n+4)
	take := func() int { p := ports[0]; ports = ports[1:]; return p }
	// A server joins one of the others. If it listed itself, it would join itself alone while the
	// others do not answer yet, and be done: no leader would ever be elected.
	consulGossip, nomadGossip := ports[:n], ports[n:2*n]
	ports = ports[2*n:]
	consul := func(name, role string, http, gossip, rpc int, join []string) (p *devtest.Process, api string) {
		list, _ := json.Marshal(join)
		p = run(name, c.Consul, "-config-file", fmt.Sprintf(`
%s
node_name   = %q
data_dir    = %q
bind_addr   = "127.0.0.1"
client_addr = "127.0.0.1"
retry_join  = %s
retry_interval = "1s"
ports {
  http     = %d
  serf_lan = %d
  server   = %d
  serf_wan = -1
  dns      = -1
  grpc     = -1
  grpc_tls = -1
}
performance { raft_multiplier = 1 }
limits { http_max_conns_per_client = 2000 }
disable_update_check = true
`, role, name, filepath.Join(dir, name, "data"), list, http, gossip, rpc))
		return p, fmt.Sprintf("http://127.0.0.1:%d", http)
	}
	for i := range n {
		rpc := take()
		role := fmt.Sprintf("server = true\nbootstrap_expect = %d\nraft_logstore { backend = \"wal\" }", n)
		p, api := consul(fmt.Sprintf("consul-%d", i), role, take(), consulGossip[i], rpc, others(consulGossip, i))
		s.consul = append(s.consul, &server{p, api, addresses(rpc)[0]})
	}
	_, s.consulClient = consul("consul-client", "server = false", take(), take(), take(), addresses(consulGossip...))

	nomad := func(name, own string) (*devtest.Process, string) {
		port := take()
		return run(name, c.NomadServer, "-config", fmt.Sprintf(`
name       = %q
data_dir   = %q
bind_addr  = "127.0.0.1"
advertise {
  http = "127.0.0.1"
  rpc  = "127.0.0.1"
  serf = "127.0.0.1"
}
consul {
  address          = %q
  auto_advertise   = false
  server_auto_join = false
  client_auto_join = false
}
limits { http_max_conns_per_client = 0 }
disable_update_check = true
`, name, filepath.Join(dir, name, "data"), strings.TrimPrefix(s.consulClient, "http://"))+strings.ReplaceAll(own, "HTTP", fmt.Sprint(port))), fmt.Sprintf("http://127.0.0.1:%d", port)
	}
	var rpcs []string
	for i := range n {
		rpc := take()
		rpcs = append(rpcs, addresses(rpc)...)
		join, _ := json.Marshal(others(nomadGossip, i))
		p, api := nomad(fmt.Sprintf("nomad-%d", i), fmt.Sprintf(`
ports {
  http = HTTP
  rpc  = %d
  serf = %d
}
server {
  enabled           = true
  bootstrap_expect  = %d
  raft_multiplier   = 1
  event_buffer_size = 20000
  server_join {
    retry_join     = %s
    retry_interval = "1s"
  }
}
`, rpc, nomadGossip[i], n, join))
		s.nomad = append(s.nomad, &server{p, api, rpcs[i]})
	}
	all, _ := json.Marshal(rpcs)
	_, s.nomadClient = nomad("nomad-client", fmt.Sprintf(`
ports { http = HTTP }
client {
  enabled           = true
  servers           = %s
  network_interface = "lo"
  cpu_total_compute = 400000
  memory_total_mb   = 400000
  options = {
    "fingerprint.denylist" = "env_aws,env_gce,env_azure,env_digitalocean"
    "driver.allowlist"     = "mock_driver"
  }
}
plugin "mock_driver" {
  config { fs_isolation = "image" }
}
`, all))
	agenttest.Until(t, "a node is ready, and has found Consul", func() (bool, string) {
		var nodes []struct {
			Status  string
			Drivers map[string]struct{ Healthy bool }
		}
		if err := getJSON(t.Context(), s.nomadClient+"/v1/nodes", &nodes); err != nil {
			return false, err.Error()
		}
		return len(nodes) == 1 && nodes[0].Status == "ready" && nodes[0].Drivers["mock_driver"].Healthy, fmt.Sprint(nodes)
	})
	leader(t, s.consul, s.consulClient)
	return s
}

// addresses are those of ports on loopback.
func addresses(ports ...int) []string {
	var all []string
	for _, p := range ports {
		all = append(all, fmt.Sprintf("127.0.0.1:%d", p))
	}
	return all
}

// others are the addresses of all ports but that of one server.
func others(ports []int, i int) []string {
	return addresses(slices.Delete(slices.Clone(ports), i, i+1)...)
}

// getJSON reads a JSON answer.
func getJSON(ctx context.Context, url string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", url, http.NoBody)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, res.Status)
	}
	return json.NewDecoder(res.Body).Decode(into)
}

// leader waits until a client agent names a leader among the servers, and returns it.
func leader(t *testing.T, all []*server, client string) *server {
	t.Helper()
	var found *server
	agenttest.Until(t, "a server leads, as "+client+" says", func() (bool, string) {
		var address string
		if err := getJSON(t.Context(), client+"/v1/status/leader", &address); err != nil {
			return false, err.Error()
		}
		i := slices.IndexFunc(all, func(s *server) bool { return s.peer == address })
		if i < 0 {
			return false, "it says " + address
		}
		found = all[i]
		return true, ""
	})
	return found
}
