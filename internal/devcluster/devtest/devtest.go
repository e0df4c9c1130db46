// Package devtest provides real servers to tests.
//
// A server that it returns answers, and is gone when the test, or the package's tests,
// have ended. If a server's program is missing, the test fails with advice on what to
// install. Docker may be missing, except under CI=true: then clusters run without it,
// and a test that calls Docker is skipped with the reason. If a test fails, devtest logs
// the end of each of its servers' logs.
package devtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/devcluster"
)

// startTimeout limits a start, including a first build of the servers.
const startTimeout = 30 * time.Minute

// tailLines is how many lines of each log a failed test prints.
const tailLines = 40

// Redis starts a Redis for this test and returns its host:port.
func Redis(t testing.TB) string {
	t.Helper()
	return Cluster(t, devcluster.Options{NoConsul: true}).RedisAddr
}

// Consul starts a Consul for this test and returns its URL.
func Consul(t testing.TB) string {
	t.Helper()
	return Cluster(t, devcluster.Options{NoRedis: true}).ConsulAddr
}

// Cluster starts a cluster for this test.
func Cluster(t testing.TB, o devcluster.Options) *devcluster.Cluster {
	t.Helper()
	c, err := start(o)
	if err != nil {
		t.Fatalf("devtest: %v", err)
	}
	t.Cleanup(func() {
		logs(t, c)
		if err := c.Stop(); err != nil {
			t.Errorf("devtest: stop: %v", err)
		}
	})
	return c
}

// Docker requires a Docker daemon. Without one, the test fails under CI=true and is
// skipped otherwise, because not every developer can install Docker.
func Docker(t testing.TB) {
	t.Helper()
	err := devcluster.DockerAvailable(context.Background())
	switch {
	case err == nil:
	case inCI():
		t.Fatalf("devtest: %v", err)
	default:
		t.Skipf("devtest: %v", err)
	}
}

func inCI() bool { return os.Getenv("CI") == "true" }

// start starts a cluster, outside CI without Docker if no daemon answers.
func start(o devcluster.Options) (*devcluster.Cluster, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if o.Docker {
		if err := devcluster.DockerAvailable(ctx); err != nil {
			if inCI() {
				return nil, err
			}
			o.Docker = false
		}
	}
	if o.Progress == nil {
		o.Progress = os.Stderr
	}
	return devcluster.Start(ctx, o)
}

// logs prints the end of each server's log if the test has failed.
func logs(t testing.TB, c *devcluster.Cluster) {
	t.Helper()
	if !t.Failed() {
		return
	}
	for _, p := range c.Processes() {
		t.Logf("the end of the log of %s:\n%s", p.Name, p.LogTail(tailLines))
	}
}

// Shared is one cluster for all tests of a package. The first test that uses it starts
// it. Create one in a package variable and run the tests with Around:
//
//	var shared = devtest.Share(devcluster.Options{Datacenters: []string{"dc1"}})
//
//	func TestMain(m *testing.M) { os.Exit(shared.Around(m).Run()) }
//
//	func TestIt(t *testing.T) { c := shared.Cluster(t); ... }
type Shared struct {
	options devcluster.Options
	once    sync.Once
	cluster *devcluster.Cluster
	err     error
}

// Share returns a shared cluster that is not started yet.
func Share(o devcluster.Options) *Shared { return &Shared{options: o} }

// Cluster returns the shared cluster. The first call starts it. Other tests use the same
// cluster, so names must be unique among the tests.
func (s *Shared) Cluster(t testing.TB) *devcluster.Cluster {
	t.Helper()
	s.once.Do(func() { s.cluster, s.err = start(s.options) })
	if s.err != nil {
		t.Fatalf("devtest: %v", s.err)
	}
	t.Cleanup(func() { logs(t, s.cluster) })
	return s.cluster
}

// Runner runs a set of tests: a *testing.M or a wrapper of one.
type Runner interface{ Run() int }

// Around returns a Runner that runs m and then stops the cluster, so that a leak check
// after it (goleak.VerifyTestMain) does not find the cluster's goroutines.
func (s *Shared) Around(m Runner) Runner { return around{s, m} }

type around struct {
	shared *Shared
	inner  Runner
}

// Run implements Runner.
func (a around) Run() int {
	code := a.inner.Run()
	if a.shared.cluster == nil {
		return code
	}
	if err := a.shared.cluster.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, "devtest: stop:", err)
		return max(code, 1)
	}
	return code
}

// FreePorts returns ports on which nothing listens. Neither the kernel (for outgoing
// connections) nor devcluster uses ports from their range, so they are still free when
// the servers start.
func FreePorts(t testing.TB, n int) []int {
	t.Helper()
	const first, last = 7000, 9999
	var ports []int
	start := rand.IntN(last - first)
	for i := range last - first {
		port := first + (start+i)%(last-first)
		l, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		l.Close()
		if ports = append(ports, port); len(ports) == n {
			return ports
		}
	}
	t.Fatalf("no %d ports are free between %d and %d", n, first, last)
	return nil
}
