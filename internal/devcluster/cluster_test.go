package devcluster_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/devcluster"
	"github.com/greenroom/greenroom/internal/devcluster/devtest"
	"github.com/greenroom/greenroom/jobspecs"
)

// shared is for the tests that only run jobs; those that stop or hurt servers
// start their own.
var shared = devtest.Share(devcluster.Options{Datacenters: []string{"dc1", "dc2"}, Docker: true})

func TestMain(m *testing.M) { os.Exit(shared.Around(m).Run()) }

// ports lists the ports of a cluster's servers that we know of.
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

// nothingLeft fails the test when something of a stopped cluster is still there.
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

// startDemo runs n demo sessions on docker in dc1 and one by raw_exec and one
// pretended in dc2, and returns the session's ports once all run.
func startDemo(t *testing.T, c *devcluster.Cluster, n int) []int {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	binary, err := devcluster.DemoBinary(ctx)
	if err != nil {
		t.Fatal(err)
	}
	image, err := devcluster.BuildDemoImage(ctx)
	if err != nil {
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

// A crashed server and a frozen client cannot end their sessions; Stop does.
func TestStopOfAHurtCluster(t *testing.T) {
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
