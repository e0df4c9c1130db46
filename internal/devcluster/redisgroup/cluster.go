package redisgroup

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/internal/devcluster/devtest"
)

// Cluster is a Redis Cluster.
type Cluster struct {
	Nodes []*Server
	admin Login
}

// StartCluster starts a Redis Cluster of three primaries with a replica each.
func StartCluster(t testing.TB, access Access) *Cluster {
	t.Helper()
	const nodes = 6
	ports, dir := devtest.FreePorts(t, 2*nodes), t.TempDir()
	c := &Cluster{admin: access.Admin}
	for i := range nodes {
		name := fmt.Sprintf("node-%d", i)
		own := serverDir(t, dir, name)
		c.Nodes = append(c.Nodes, start(t, name, own, ports[i], access.Admin, redisArgs(
			own, ports[i], append(
				access.args(),
				"--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-node-timeout", "2000",
				// The default, 10000 above the port, is where other tests have their servers.
				"--cluster-port", fmt.Sprint(ports[nodes+i]),
			)...,
		)...))
	}
	create := exec.CommandContext(t.Context(), "redis-cli", append(
		append([]string{"--cluster", "create"}, strings.Split(c.Addresses(), ",")...), "--cluster-replicas", "1", "--cluster-yes",
	)...)
	if access.Admin.User != "" {
		create.Args = append(create.Args, "--user", access.Admin.User, "--pass", access.Admin.Password)
	}
	if out, err := create.CombinedOutput(); err != nil {
		t.Fatalf("redis-cli --cluster create: %v\n%s", err, out)
	}
	c.UntilWhole(t)
	return c
}

// Addresses are those of the nodes.
func (c *Cluster) Addresses() string { return addresses(c.Nodes) }

// UntilWhole waits until every node that answers calls the cluster's state ok, and every
// primary has a replica that follows it.
func (c *Cluster) UntilWhole(t testing.TB) {
	t.Helper()
	until(t, "the cluster is whole", func(ctx context.Context) error {
		for _, n := range c.Nodes {
			client := n.Client(t)
			info, err := client.ClusterInfo(ctx).Result()
			if err == nil && !strings.Contains(info, "cluster_state:ok") {
				err = errors.New("its state is not ok")
			}
			role, rerr := client.InfoMap(ctx, "replication").Result()
			if err == nil && rerr == nil {
				if r := role["Replication"]; r["role"] == "master" && r["connected_slaves"] == "0" || r["role"] == "slave" && r["master_link_status"] != "up" {
					err = errors.New("a primary without a replica, or a replica that follows none")
				}
			}
			if err := errors.Join(err, rerr); err != nil {
				return fmt.Errorf("%s: %w", n.Name, err)
			}
		}
		return nil
	})
}

// Client returns a client of the cluster.
func (c *Cluster) Client(t testing.TB) *redis.ClusterClient {
	t.Helper()
	client := redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: strings.Split(c.Addresses(), ","), Username: c.admin.User, Password: c.admin.Password, ContextTimeoutEnabled: true,
	})
	t.Cleanup(func() { client.Close() })
	return client
}

// Owner is the node that has a key.
func (c *Cluster) Owner(t testing.TB, key string) *Server {
	t.Helper()
	node, err := c.Client(t).MasterForKey(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range c.Nodes {
		if n.Address == node.Options().Addr {
			return n
		}
	}
	t.Fatalf("no node listens on %s", node.Options().Addr)
	return nil
}
