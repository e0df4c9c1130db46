package devcluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// Resources that a Nomad client reports unless the options set others. They have ample
// room for 4000 mock sessions of 10 MHz, 10 MB of memory and 10 MB of disk each.
const (
	defaultCPU      = 400_000
	defaultMemoryMB = 400_000
	diskMB          = 1_000_000
)

// sessionsNice is the nice value of Nomad's clients and their sessions, so that the
// servers and greenroom get the CPU first.
const sessionsNice = 5

// defineNomad defines a Nomad server and a client for each datacenter.
func (c *Cluster) defineNomad(o Options, bins binaries) error {
	ports, err := c.ports.take(3)
	if err != nil {
		return err
	}
	c.NomadAddr = fmt.Sprintf("%s://127.0.0.1:%d", o.TLS.scheme(), ports[0])
	server, dir, err := c.newProcess("nomad-server", bins.nomad, c.nomadServerReady)
	if err != nil {
		return err
	}
	c.NomadServer = server
	c.nomadSerf = fmt.Sprintf("127.0.0.1:%d", ports[2])
	// Nomad collects ended jobs and batch evaluations after an hour. With the default of
	// a day for evaluations, a day of churn would fill the server. The event buffer is
	// large, so that a watcher that reconnects finds the events that it missed.
	err = nomadConfig(server, dir, fmt.Sprintf(`
datacenter = %q
ports {
  http = %d
  rpc  = %d
  serf = %d
}
server {
  enabled                 = true
  bootstrap_expect        = 1
  event_buffer_size       = 20000
  job_gc_threshold        = "1h"
  eval_gc_threshold       = "1h"
  batch_eval_gc_threshold = "1h"
}
%s`, o.Datacenters[0], ports[0], ports[1], ports[2], nomadConsul(c.ConsulAddr)+o.TLS.nomad()+nomadACL(o.NomadACL)+nomadRegion(o.Region)))
	if err != nil {
		return err
	}
	for i := range o.Datacenters {
		if err := c.defineNomadClient(o, bins, i, ports[1]); err != nil {
			return err
		}
	}
	return nil
}

// defineNomadClient defines the Nomad client of the i-th datacenter and a Consul agent for
// it. The client of the first datacenter uses the Consul server instead.
func (c *Cluster) defineNomadClient(o Options, bins binaries, i, serverRPC int) error {
	dc := o.Datacenters[i]
	ports, err := c.ports.take(1)
	if err != nil {
		return err
	}
	consul := c.ConsulAddr
	if i > 0 {
		if consul, err = c.defineConsulAgent(bins.consul, o.Region, dc); err != nil {
			return err
		}
	}
	drivers := []string{"raw_exec", "mock_driver"}
	if o.Docker {
		drivers = append(drivers, "docker")
	}
	name := "nomad-client-" + dc
	addr := fmt.Sprintf("%s://127.0.0.1:%d", o.TLS.scheme(), ports[0])
	ready := func(ctx context.Context) error { return c.nomadClientReady(ctx, addr, drivers) }
	p, dir, err := c.newProcess(name, bins.nomad, ready)
	if err != nil {
		return err
	}
	p.addr = addr
	// In production, sessions run on other machines. Here, sessions that start must not
	// take the CPU from launches.
	p.nice = sessionsNice
	c.NomadClients = append(c.NomadClients, p)
	cpu, memory := o.CPU, o.MemoryMB
	if cpu == 0 {
		cpu = defaultCPU
	}
	if memory == 0 {
		memory = defaultMemoryMB
	}
	// Keep this path short: Nomad creates a socket deep below it, and the path of a
	// socket must be shorter than 108 bytes.
	allocs := filepath.Join(c.Dir, "alloc", dc)
	first, last := c.ports.sessions(i, len(o.Datacenters))
	// Several clients share one Docker daemon, so no client may remove containers that
	// it does not know: they belong to another client. Up to 5000 ended allocations keep
	// their files for inspection.
	return nomadConfig(p, dir, fmt.Sprintf(`
datacenter = %q
name       = %q
ports {
  http = %d
}
client {
  enabled              = true
  alloc_dir            = %q
  servers              = ["127.0.0.1:%d"]
  network_interface    = "lo"
  cpu_total_compute    = %d
  memory_total_mb      = %d
  disk_total_mb        = %d
  disk_free_mb         = %d
  min_dynamic_port     = %d
  max_dynamic_port     = %d
  gc_max_allocs        = 5000
  gc_disk_usage_threshold  = 99
  gc_inode_usage_threshold = 99
  options = {
    "fingerprint.denylist" = "env_aws,env_gce,env_azure,env_digitalocean"
    "driver.allowlist"     = %q
  }
}
plugin "raw_exec" {
  config { enabled = true }
}
plugin "docker" {
  config {
    gc {
      image = false
      dangling_containers { enabled = false }
    }
    volumes { enabled = true }
    allow_caps = ["all"]
  }
}
%s`, dc, name, ports[0], allocs, serverRPC, cpu, memory, diskMB, diskMB, first, last, strings.Join(drivers, ","), nomadConsul(consul)+o.TLS.nomad()+nomadACL(o.NomadACL)+nomadRegion(o.Region)))
}

// nomadConsul configures the Consul agent of a Nomad agent. Nomad's agents find each
// other by address, so they need not be in Consul's catalog.
func nomadConsul(addr string) string {
	return fmt.Sprintf(`
consul {
  address          = %q
  auto_advertise   = false
  server_auto_join = false
  client_auto_join = false
}
`, strings.TrimPrefix(addr, "http://"))
}

// nomadRegion configures an agent's region; "" for the default one.
func nomadRegion(region string) string {
	if region == "" {
		return ""
	}
	return fmt.Sprintf("\nregion = %q\n", region)
}

// Federate joins the Nomad of another region, which must be that of a cluster with another
// Options.Region.
func (c *Cluster) Federate(ctx context.Context, other *Cluster) error {
	var joined struct {
		NumJoined int    `json:"num_joined"`
		Error     string `json:"error"`
	}
	err := callJSON(ctx, http.MethodPut, c.NomadAddr+"/v1/agent/join?address="+url.QueryEscape(other.nomadSerf), &joined)
	if err == nil && (joined.NumJoined != 1 || joined.Error != "") {
		err = fmt.Errorf("join the Nomad at %s: %d joined %s", other.nomadSerf, joined.NumJoined, joined.Error)
	}
	return err
}

// scheme returns the URL scheme of Nomad's addresses.
func (f *TLSFiles) scheme() string {
	if f == nil {
		return "http"
	}
	return "https"
}

// nomad configures a Nomad agent to serve https; "" without TLS.
func (f *TLSFiles) nomad() string {
	if f == nil {
		return ""
	}
	return fmt.Sprintf(`
tls {
  http      = true
  ca_file   = %q
  cert_file = %q
  key_file  = %q
}
`, f.CA, f.Cert, f.Key)
}

// nomadACL configures a Nomad agent to check tokens; "" for none.
func nomadACL(enabled bool) string {
	if !enabled {
		return ""
	}
	return `
acl {
  enabled    = true
  policy_ttl = "1s"
  token_ttl  = "1s"
}
`
}

// nomadConfig writes an agent's configuration, with the settings of all agents first,
// and sets the process's arguments to use it.
func nomadConfig(p *Process, dir, config string) error {
	shared := fmt.Sprintf(`
data_dir             = %q
bind_addr            = "127.0.0.1"
log_level            = "INFO"
disable_update_check = true
advertise {
  http = "127.0.0.1"
  rpc  = "127.0.0.1"
  serf = "127.0.0.1"
}
limits {
  http_max_conns_per_client = 0
  rpc_max_conns_per_client  = 0
}
`, filepath.Join(dir, "data"))
	file := filepath.Join(dir, "nomad.hcl")
	p.args = []string{"agent", "-config", file}
	return os.WriteFile(file, []byte(strings.TrimLeft(shared, "\n")+config), 0o644)
}

// nomadServerReady returns nil if there is a leader and it answers.
func (c *Cluster) nomadServerReady(ctx context.Context) error {
	var leader string
	if err := getJSON(ctx, c.NomadAddr+"/v1/status/leader", &leader); err != nil {
		return err
	}
	if leader == "" {
		return errors.New("nomad has no leader yet")
	}
	if c.nomadACL {
		if err := c.openNomad(ctx); err != nil {
			return err
		}
	}
	var jobs []struct{}
	return getJSON(ctx, c.NomadAddr+"/v1/jobs", &jobs)
}

// node holds the fields of a Nomad node that we read.
type node struct {
	Status, SchedulingEligibility string
	Drivers                       map[string]struct{ Healthy bool }
	Attributes                    map[string]string
}

// agentSelf holds the fields of a Nomad client's /v1/agent/self that we read.
type agentSelf struct {
	Stats struct {
		Client struct {
			NodeID       string `json:"node_id"`
			HeartbeatTTL string `json:"heartbeat_ttl"`
		} `json:"client"`
	} `json:"stats"`
}

// nomadClientReady returns nil if the client at addr can run sessions:
//   - It has had a heartbeat since it started. Until then, the server's record of its
//     node may be an old one.
//   - Its node is ready and eligible.
//   - Its node has found Consul. Nomad places no job with a Consul service on a node
//     without it.
//   - Every driver is healthy.
func (c *Cluster) nomadClientReady(ctx context.Context, addr string, drivers []string) error {
	var self agentSelf
	if err := getJSON(ctx, addr+"/v1/agent/self", &self); err != nil {
		return err
	}
	client := self.Stats.Client
	if client.NodeID == "" || client.HeartbeatTTL == "" || client.HeartbeatTTL == "0s" {
		return errors.New("it has had no heartbeat with the server yet")
	}
	var n node
	if err := getJSON(ctx, c.NomadAddr+"/v1/node/"+url.PathEscape(client.NodeID), &n); err != nil {
		return err
	}
	if n.Status != "ready" || n.SchedulingEligibility != "eligible" {
		return fmt.Errorf("its node is %s and %s, not ready and eligible", n.Status, n.SchedulingEligibility)
	}
	if n.Attributes["consul.version"] == "" {
		return errors.New("its node has not found Consul yet")
	}
	for _, d := range drivers {
		if !n.Drivers[d].Healthy {
			return fmt.Errorf("its driver %s is not healthy yet", d)
		}
	}
	return nil
}
