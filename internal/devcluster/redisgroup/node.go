package redisgroup

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/greenroom/greenroom/internal/devcluster/devtest"
)

// StartNode starts a Redis Cluster of one node, which has all slots. As in a larger one, the
// keys of one script must share a slot.
func StartNode(t testing.TB) *Server {
	t.Helper()
	ports, dir := devtest.FreePorts(t, 2), t.TempDir()
	s := start(t, "node", dir, ports[0], Login{}, redisArgs(
		dir, ports[0],
		"--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf",
		// The default, 10000 above the port, is where other tests have their servers.
		"--cluster-port", fmt.Sprint(ports[1]),
	)...)
	c := s.Client(t)
	if err := c.ClusterAddSlotsRange(t.Context(), 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	until(t, "the cluster's state is ok", func(ctx context.Context) error {
		info, err := c.ClusterInfo(ctx).Result()
		if err == nil && !strings.Contains(info, "cluster_state:ok") {
			err = errors.New(info)
		}
		return err
	})
	return s
}
