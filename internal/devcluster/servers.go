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

// defineConsul lays out a single Consul server that keeps its data.
func (c *Cluster) defineConsul(path string) error {
	var ports [3]int
	for i := range ports {
		p, err := c.ports.port()
		if err != nil {
			return err
		}
		ports[i] = p
	}
	c.ConsulAddr = fmt.Sprintf("http://127.0.0.1:%d", ports[0])
	p, dir, err := c.newProcess("consul", path, c.consulReady)
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "consul.hcl")
	// Leaving gracefully would take the only server out of its own quorum.
	config := fmt.Sprintf(`
server           = true
bootstrap_expect = 1
node_name        = "consul"
data_dir         = %q
bind_addr        = "127.0.0.1"
client_addr      = "127.0.0.1"
log_level        = "INFO"

ports {
  http     = %d
  server   = %d
  serf_lan = %d
  serf_wan = -1
  dns      = -1
  grpc     = -1
  grpc_tls = -1
}

ui_config { enabled = true }
limits { http_max_conns_per_client = 2000 }
performance { raft_multiplier = 1 }

disable_update_check    = true
leave_on_terminate      = false
skip_leave_on_interrupt = true
`, filepath.Join(dir, "data"), ports[0], ports[1], ports[2])
	p.args = []string{"agent", "-config-file", file}
	c.Consul = p
	return os.WriteFile(file, []byte(strings.TrimLeft(config, "\n")), 0o644)
}

// consulReady: there is a leader, and it has taken the server itself into the
// catalog, which it does once it can write.
func (c *Cluster) consulReady(ctx context.Context) error {
	var leader string
	if err := getJSON(ctx, c.ConsulAddr+"/v1/status/leader", &leader); err != nil {
		return err
	}
	if leader == "" {
		return errors.New("consul has no leader yet")
	}
	var checks []struct{ Status string }
	if err := getJSON(ctx, c.ConsulAddr+"/v1/health/node/consul", &checks); err != nil {
		return err
	}
	for _, check := range checks {
		if check.Status == "passing" {
			return nil
		}
	}
	return errors.New("consul does not list itself as healthy yet")
}

// defineRedis lays out a Redis that appends every write to a file.
func (c *Cluster) defineRedis(path string) error {
	port, err := c.ports.port()
	if err != nil {
		return err
	}
	c.RedisAddr = fmt.Sprintf("127.0.0.1:%d", port)
	p, dir, err := c.newProcess("redis", path, c.redisReady)
	if err != nil {
		return err
	}
	p.args = []string{
		"--bind", "127.0.0.1", "--port", fmt.Sprint(port), "--protected-mode", "yes",
		"--dir", dir, "--appendonly", "yes", "--save", "", "--daemonize", "no",
	}
	c.Redis = p
	return nil
}

// redisReady: it answers PING; while it still loads its file it answers -LOADING.
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
