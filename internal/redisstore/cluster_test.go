package redisstore

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/internal/devcluster/redisgroup"
)

// onCluster has the addresses of a Redis Cluster in the process that runs this package's tests
// on one.
const onCluster = "GREENROOM_TEST_REDIS_CLUSTER"

// testClient returns a client of the Redis that this package's tests use.
func testClient(t *testing.T) redis.UniversalClient {
	t.Helper()
	if nodes := os.Getenv(onCluster); nodes != "" {
		return NewClient(&redis.UniversalOptions{Addrs: strings.Split(nodes, ","), IsClusterMode: true, ContextTimeoutEnabled: true})
	}
	return redis.NewClient(&redis.Options{Addr: servers.Cluster(t).RedisAddr})
}

// testPrefix is a prefix of keys for the Redis that this package's tests use.
func testPrefix(name string) string {
	if os.Getenv(onCluster) != "" {
		return ClusterPrefix(name + ":")
	}
	return name + ":"
}

// keysOf returns the store's keys that match a pattern. In a cluster any node answers KEYS, and
// a script with a key is run by the one that has it.
func keysOf(ctx context.Context, s *Store, pattern string) ([]string, error) {
	return s.rdb.Eval(ctx, `return redis.call('KEYS', ARGV[1])`, []string{s.o.Prefix}, s.o.Prefix+pattern).StringSlice()
}

// TestTheStoreOnARedisCluster runs this package's other tests on a Redis Cluster.
func TestTheStoreOnARedisCluster(t *testing.T) {
	if os.Getenv(onCluster) != "" {
		t.Skip("this is such a run")
	}
	node := redisgroup.StartNode(t)
	// A node of a cluster is not made a replica by hand.
	run := exec.CommandContext(t.Context(), os.Args[0], "-test.v", "-test.skip=^TestAServerThatTakesNoWritesSaysSo$", "-test.timeout=8m", "-rapid.checks=20", "-rapid.nofailfile")
	run.Env = append(os.Environ(), onCluster+"="+node.Address)
	out, err := run.CombinedOutput()
	passed := bytes.Count(out, []byte("--- PASS: Test"))
	if err != nil || passed < 30 {
		t.Fatalf("%d passed, %v\n%s", passed, err, out)
	}
	t.Logf("%d tests passed on a Redis Cluster", passed)
}
