// Package devtest gives tests real servers.
//
// It promises that a server it returns answers, and that it is gone when the
// test, or the package's tests, have ended. A server that is missing fails the
// test and says what to install. Docker alone may be missing, and only outside
// CI: then clusters run without it, and a test that calls Docker is skipped with
// the reason. When a test fails, the end of each of its servers' logs is printed.
package devtest

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/devcluster"
)

// startTimeout bounds a start, a first build of the servers included.
const startTimeout = 30 * time.Minute

// tailLines is how much of each log a failed test prints.
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

// Docker demands a Docker daemon. Without one the test fails under CI=true, and
// is skipped elsewhere, for Docker is not everyone's to install.
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

// logs prints the end of each server's log when the test has failed.
func logs(t testing.TB, c *devcluster.Cluster) {
	t.Helper()
	if !t.Failed() {
		return
	}
	for _, p := range c.Processes() {
		t.Logf("the end of the log of %s:\n%s", p.Name, p.LogTail(tailLines))
	}
}

// Shared is one cluster for all tests of a package, started by the first that
// asks for it. Make one in a package variable, and run the tests inside it:
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

// Share prepares a shared cluster; nothing starts yet.
func Share(o devcluster.Options) *Shared { return &Shared{options: o} }

// Cluster returns the shared cluster, which it starts when it is the first to
// ask. Other tests use it too: name things apart.
func (s *Shared) Cluster(t testing.TB) *devcluster.Cluster {
	t.Helper()
	s.once.Do(func() { s.cluster, s.err = start(s.options) })
	if s.err != nil {
		t.Fatalf("devtest: %v", s.err)
	}
	t.Cleanup(func() { logs(t, s.cluster) })
	return s.cluster
}

// Runner is a set of tests: a *testing.M, or one wrapped.
type Runner interface{ Run() int }

// Around returns a Runner that runs m and then stops the cluster, so that a
// leak check around it (goleak.VerifyTestMain) finds nothing of it.
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
