package devcluster

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
)

// defineConsul defines a single Consul server with persistent data.
func (c *Cluster) defineConsul(path, datacenter string, files *TLSFiles) error {
	ports, err := c.ports.take(3)
	if err != nil {
		return err
	}
	c.ConsulAddr = fmt.Sprintf("http://127.0.0.1:%d", ports[0])
	https, httpsPort := "", ""
	if files != nil {
		port, err := c.ports.take(1)
		if err != nil {
			return err
		}
		c.ConsulHTTPS = fmt.Sprintf("https://127.0.0.1:%d", port[0])
		httpsPort = fmt.Sprintf("\n  https    = %d", port[0])
		https = fmt.Sprintf(`
tls {
  https {
    ca_file         = %q
    cert_file       = %q
    key_file        = %q
    verify_incoming = true
  }
}
`, files.CA, files.Cert, files.Key)
	}
	ready := func(ctx context.Context) error { return c.consulReady(ctx, "consul") }
	// A launch needs two writes. With the write-ahead log a write is faster than with
	// BoltDB, the default of Consul 1.19: 0.35 ms instead of 0.5 ms at best, 1.1 ms
	// instead of 1.4 ms on an idle server.
	c.Consul, err = c.newConsul("consul", path, ready, fmt.Sprintf(`
server           = true
bootstrap_expect = 1
ports {
  http     = %d
  server   = %d
  serf_lan = %d
  %s
}
ui_config { enabled = true }
performance { raft_multiplier = 1 }
raft_logstore { backend = "wal" }
`, ports[0], ports[1], ports[2], unusedConsulPorts+httpsPort)+https+consulDatacenter(datacenter))
	c.consulJoin = fmt.Sprintf("127.0.0.1:%d", ports[2])
	return err
}

// defineConsulAgent defines a Consul client agent for a datacenter's Nomad client and
// returns its address. Two Nomad clients must not share a Consul agent, because each
// removes the Nomad services that it does not know from its agent.
func (c *Cluster) defineConsulAgent(path, datacenter, dc string) (string, error) {
	ports, err := c.ports.take(2)
	if err != nil {
		return "", err
	}
	name := "consul-agent-" + dc
	ready := func(ctx context.Context) error { return c.consulReady(ctx, name) }
	p, err := c.newConsul(name, path, ready, fmt.Sprintf(`
retry_join     = [%q]
retry_interval = "1s"
ports {
  http     = %d
  serf_lan = %d
  %s
}
`, c.consulJoin, ports[0], ports[1], unusedConsulPorts)+consulDatacenter(datacenter))
	if err != nil {
		return "", err
	}
	c.ConsulAgents = append(c.ConsulAgents, p)
	return fmt.Sprintf("http://127.0.0.1:%d", ports[0]), nil
}

// consulDatacenter configures an agent's datacenter; "" for the default one.
func consulDatacenter(name string) string {
	if name == "" {
		return ""
	}
	return fmt.Sprintf("datacenter = %q\n", name)
}

// unusedConsulPorts turns off the ports that nothing here uses.
const unusedConsulPorts = "serf_wan = -1\n  dns = -1\n  grpc = -1\n  grpc_tls = -1"

// newConsul returns the process of a Consul agent and writes its configuration: the
// settings of all agents, then own.
func (c *Cluster) newConsul(name, path string, ready func(context.Context) error, own string) (*Process, error) {
	p, dir, err := c.newProcess(name, path, ready)
	if err != nil {
		return nil, err
	}
	// A server that leaves gracefully removes itself from the quorum, and here it is the
	// only one.
	shared := fmt.Sprintf(`
node_name   = %q
data_dir    = %q
bind_addr   = "127.0.0.1"
client_addr = "127.0.0.1"
log_level   = "INFO"

disable_update_check    = true
leave_on_terminate      = false
skip_leave_on_interrupt = true

limits { http_max_conns_per_client = 2000 }
`, name, filepath.Join(dir, "data"))
	file := filepath.Join(dir, "consul.hcl")
	p.args = []string{"agent", "-config-file", file}
	return p, os.WriteFile(file, []byte(strings.TrimLeft(shared, "\n")+own), 0o644)
}

// consulReady returns nil if Consul has a leader and lists the agent's node as healthy.
func (c *Cluster) consulReady(ctx context.Context, node string) error {
	var leader string
	if err := getJSON(ctx, c.ConsulAddr+"/v1/status/leader", &leader); err != nil {
		return err
	}
	if leader == "" {
		return errors.New("consul has no leader yet")
	}
	var checks []struct{ CheckID, Status string }
	if err := getJSON(ctx, c.ConsulAddr+"/v1/health/node/"+node, &checks); err != nil {
		return err
	}
	for _, check := range checks {
		if check.CheckID == "serfHealth" && check.Status == "passing" {
			return nil
		}
	}
	return fmt.Errorf("consul does not list %s as healthy yet", node)
}

// defineRedis defines a Redis that appends every write to a file.
func (c *Cluster) defineRedis(path string) error {
	ports, err := c.ports.take(1)
	if err != nil {
		return err
	}
	c.RedisAddr = fmt.Sprintf("127.0.0.1:%d", ports[0])
	p, dir, err := c.newProcess("redis", path, c.redisReady)
	if err != nil {
		return err
	}
	p.args = []string{
		"--bind", "127.0.0.1", "--port", fmt.Sprint(ports[0]), "--protected-mode", "yes",
		"--dir", dir, "--appendonly", "yes", "--save", "", "--daemonize", "no",
	}
	c.Redis = p
	return nil
}

// redisReady returns nil if Redis answers PING. While Redis loads its file, it answers
// -LOADING.
func (c *Cluster) redisReady(ctx context.Context) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", c.RedisAddr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return err
		}
	}
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return err
	}
	if line = strings.TrimSpace(line); line != "+PONG" {
		return fmt.Errorf("redis answers PING with %q", line)
	}
	return nil
}
