package devcluster_test

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/greenroom/greenroom/internal/devcluster"
	"github.com/greenroom/greenroom/internal/devcluster/devtest"
	"github.com/greenroom/greenroom/jobspecs"
)

// shared is the cluster of the tests that only run jobs. Tests that stop or harm servers
// start their own.
var shared = devtest.Share(devcluster.Options{Datacenters: []string{"dc1", "dc2"}, Docker: true})

// TestMain also checks that a stopped cluster leaves no goroutine.
func TestMain(m *testing.M) { goleak.VerifyTestMain(shared.Around(m)) }

// ports returns the known ports of a cluster's servers.
func ports(t *testing.T, c *devcluster.Cluster) []int {
	t.Helper()
	var list []int
	for _, addr := range []string{c.NomadAddr, c.ConsulAddr, "http://" + c.RedisAddr} {
		u, err := url.Parse(addr)
		if err != nil {
			t.Fatal(err)
		}
		if port, err := strconv.Atoi(u.Port()); err == nil {
			list = append(list, port)
		}
	}
	return list
}

// nothingLeft fails the test if anything of a stopped cluster still exists.
func nothingLeft(t *testing.T, c *devcluster.Cluster, ports []int) {
	t.Helper()
	for _, p := range c.Processes() {
		select {
		case <-p.Done():
		default:
			t.Errorf("%s still runs", p.Name)
		}
	}
	if pids := devcluster.Marked(c.Dir); len(pids) > 0 {
		t.Errorf("processes are left: %v", pids)
	}
	ids, err := devcluster.Containers(context.Background(), c.Dir)
	if err != nil || len(ids) > 0 {
		t.Errorf("containers are left: %v, %v", ids, err)
	}
	mounts, err := devcluster.MountsBelow(c.Dir)
	if err != nil || len(mounts) > 0 {
		t.Errorf("mounts are left: %v, %v", mounts, err)
	}
	for _, port := range ports {
		if !devcluster.PortFree(port) {
			t.Errorf("port %d is still taken", port)
		}
	}
}

// startDemo starts n demo sessions with docker in dc1, and one with raw_exec and one with
// mock_driver in dc2. It returns the sessions' ports once all run. Without Docker it
// starts none with docker.
func startDemo(t *testing.T, c *devcluster.Cluster, n int) []int {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	binary, err := devcluster.DemoBinary(ctx)
	if err != nil {
		t.Fatal(err)
	}
	image := ""
	if devcluster.DockerAvailable(ctx) != nil {
		n = 0 // under CI=true the cluster would not have started
	} else if image, err = devcluster.BuildDemoImage(ctx); err != nil {
		t.Fatal(err)
	}
	client := nomadClient(t, c)
	ids := []string{"raw", "mock"}
	runJob(t, client, jobspecs.DemoRawExec, "raw", "dc2", map[string]string{"command": binary})
	runJob(t, client, jobspecs.DemoMock, "mock", "dc2", nil)
	for i := range n {
		id := fmt.Sprintf("docker-%d", i)
		ids = append(ids, id)
		runJob(t, client, jobspecs.DemoDocker, id, "dc1", map[string]string{"image": image})
	}
	var list []int
	for _, id := range ids {
		alloc := running(t, client, id)
		if id != "mock" {
			list = append(list, alloc.AllocatedResources.Shared.Ports[0].Value)
			eventually(t, "the page of "+id, func() error { _, err := get(address(alloc)); return err })
		}
	}
	if n > 0 {
		if found, err := devcluster.Containers(ctx, c.Dir); err != nil || len(found) != n {
			t.Fatalf("containers of %d sessions: %v, %v", n, found, err)
		}
	}
	return list
}

func TestStopLeavesNothing(t *testing.T) {
	c := devtest.Cluster(t, devcluster.Options{Datacenters: []string{"dc1", "dc2"}, Docker: true})
	all := append(ports(t, c), startDemo(t, c, 12)...)
	began := time.Now()
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	t.Logf("stopped with 14 sessions in %v", time.Since(began))
	nothingLeft(t, c, all)
	if _, err := os.Stat(c.Dir); !os.IsNotExist(err) {
		t.Errorf("the directory %s is left: %v", c.Dir, err)
	}
}

// Stop also ends the sessions of a crashed server and of a frozen client.
func TestStopOfAHarmedCluster(t *testing.T) {
	c := devtest.Cluster(t, devcluster.Options{Datacenters: []string{"dc1", "dc2"}, Docker: true})
	all := append(ports(t, c), startDemo(t, c, 2)...)
	if err := c.NomadServer.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := c.NomadClients[0].Kill(); err != nil {
		t.Fatal(err)
	}
	if err := c.NomadClients[1].Pause(); err != nil {
		t.Fatal(err)
	}
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	nothingLeft(t, c, all)
}

// A cluster in a named directory resumes with the same addresses and data.
func TestResume(t *testing.T) {
	o := devcluster.Options{Dir: t.TempDir(), Datacenters: []string{"dc1", "dc2"}}
	first := devtest.Cluster(t, o)
	client := nomadClient(t, first)
	runJob(t, client, jobspecs.DemoMock, "mock", "dc2", nil)
	running(t, client, "mock")
	put(t, first.ConsulAddr+"/v1/kv/greenroom/kept", "consul's")
	if got := redisCommand(t, first, "SET greenroom:kept redis"); got != "+OK" {
		t.Fatalf("SET: %s", got)
	}
	if _, err := devcluster.Start(context.Background(), o); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a second cluster in the same directory: %v, want an error that the directory is in use", err)
	}
	all := ports(t, first)
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	nothingLeft(t, first, all)

	second := devtest.Cluster(t, o)
	addresses := func(c *devcluster.Cluster) [3]string { return [3]string{c.NomadAddr, c.ConsulAddr, c.RedisAddr} }
	if addresses(first) != addresses(second) && !taken(t, first) {
		t.Errorf("the addresses changed from %v to %v", addresses(first), addresses(second))
	}
	if got, err := get(second.ConsulAddr + "/v1/kv/greenroom/kept?raw"); err != nil || got != "consul's" {
		t.Errorf("Consul kept %q, %v", got, err)
	}
	if got := redisCommand(t, second, "GET greenroom:kept"); got != "$5" {
		t.Errorf("Redis answers GET with %q, want a string of 5 bytes", got)
	}
	job, _, err := nomadClient(t, second).Jobs().Info("mock", nil)
	if err != nil || job.Stop == nil || !*job.Stop {
		t.Errorf("want the job stopped in Nomad, got %+v, %v", job, err)
	}
	runJob(t, nomadClient(t, second), jobspecs.DemoMock, "mock-2", "dc2", nil)
	running(t, nomadClient(t, second), "mock-2")
}

// taken reports whether another cluster on this machine, such as one of another package's
// tests, now has the cluster's block of ports. Its owner listens on the block's first
// port, which is the one before Consul's.
func taken(t *testing.T, c *devcluster.Cluster) bool {
	t.Helper()
	u, err := url.Parse(c.ConsulAddr)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port-1))
	if err != nil {
		return true
	}
	l.Close()
	return false
}

// After a crash, each server restarts on its port with its data. A frozen server does
// not answer until it is resumed.
func TestHarm(t *testing.T) {
	c := devtest.Cluster(t, devcluster.Options{Datacenters: []string{"dc1"}})
	ctx := context.Background()
	put(t, c.ConsulAddr+"/v1/kv/k", "v")
	client := nomadClient(t, c)
	runJob(t, client, jobspecs.DemoMock, "mock", "dc1", nil)
	alloc := running(t, client, "mock")
	for _, p := range c.Processes() {
		if err := p.Kill(); err != nil {
			t.Fatal(err)
		}
		select {
		case <-p.Done():
		default:
			t.Errorf("%s was killed, but Done is not closed", p.Name)
		}
	}
	if _, err := get(c.ConsulAddr + "/v1/kv/k?raw"); err == nil {
		t.Error("a killed Consul answers")
	}
	for _, p := range c.Processes() {
		if err := p.Restart(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := get(c.ConsulAddr + "/v1/kv/k?raw"); err != nil || got != "v" {
		t.Errorf("Consul kept %q, %v", got, err)
	}
	if again, _, err := client.Allocations().Info(alloc.ID, nil); err != nil || again.JobID != "mock" {
		t.Errorf("Nomad forgot its allocation: %v", err)
	}

	if err := c.Redis.Pause(); err != nil {
		t.Fatal(err)
	}
	if _, err := redisReply(c, "PING", 200*time.Millisecond); err == nil {
		t.Error("a frozen Redis answers")
	}
	if err := c.Redis.Resume(); err != nil {
		t.Fatal(err)
	}
	if got := redisCommand(t, c, "PING"); got != "+PONG" {
		t.Errorf("a resumed Redis answers %q", got)
	}
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := c.Stop(); err != nil {
		t.Errorf("a second Stop: %v", err)
	}
	if err := c.Redis.Restart(ctx); err == nil {
		t.Error("a server of a stopped cluster can be started")
	}
}
