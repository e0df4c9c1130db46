package devcluster_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"

	"github.com/greenroom/greenroom/internal/devcluster"
	"github.com/greenroom/greenroom/internal/devcluster/devtest"
)

// wait limits every wait for a condition.
const wait = 5 * time.Minute

// eventually polls until f returns nil.
func eventually(t *testing.T, what string, f func() error) {
	t.Helper()
	deadline := time.Now().Add(wait)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func nomadClient(t *testing.T, c *devcluster.Cluster) *api.Client {
	t.Helper()
	client, err := api.NewClient(&api.Config{Address: c.NomadAddr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// runJob registers a jobspec with the given id in one datacenter.
func runJob(t *testing.T, client *api.Client, spec, id, dc string, variables map[string]string) {
	t.Helper()
	var vars strings.Builder
	for k, v := range variables {
		fmt.Fprintf(&vars, "%s = %q\n", k, v)
	}
	job, err := client.Jobs().ParseHCLOpts(&api.JobsParseRequest{JobHCL: spec, Variables: vars.String(), Canonicalize: true})
	if err != nil {
		t.Fatal(err)
	}
	job.ID, job.Name, job.Datacenters = &id, &id, []string{dc}
	if _, _, err := client.Jobs().Register(job, nil); err != nil {
		t.Fatal(err)
	}
}

// running waits until the job's allocation runs, and returns it.
func running(t *testing.T, client *api.Client, id string) *api.Allocation {
	t.Helper()
	var alloc *api.Allocation
	eventually(t, "the allocation of "+id, func() error {
		list, _, err := client.Jobs().Allocations(id, false, nil)
		if err != nil {
			return err
		}
		if len(list) != 1 || list[0].ClientStatus != api.AllocClientStatusRunning {
			return fmt.Errorf("it does not run yet: %s", describe(list))
		}
		alloc, _, err = client.Allocations().Info(list[0].ID, nil)
		return err
	})
	return alloc
}

func describe(list []*api.AllocationListStub) string {
	var b strings.Builder
	for _, a := range list {
		fmt.Fprintf(&b, "%s %s", a.ClientStatus, a.ClientDescription)
		for name, state := range a.TaskStates {
			for _, e := range state.Events {
				fmt.Fprintf(&b, "; %s: %s", name, e.DisplayMessage)
			}
		}
	}
	return b.String()
}

// passing returns how many instances of a service pass their checks in Consul.
func passing(c *devcluster.Cluster, service string) (int, error) {
	var entries []struct{ Service struct{ ID string } }
	body, err := get(c.ConsulAddr + "/v1/health/service/" + service + "?passing")
	if err != nil {
		return 0, err
	}
	err = json.Unmarshal([]byte(body), &entries)
	return len(entries), err
}

// address returns the URL of an allocation's port http.
func address(alloc *api.Allocation) string {
	p := alloc.AllocatedResources.Shared.Ports[0]
	return fmt.Sprintf("http://%s:%d", p.HostIP, p.Value)
}

// web keeps no connection open, because the leak check would find it.
var web = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// get returns a page's body. Any status except 200 is an error.
func get(url string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := web.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", url, resp.Status, b)
	}
	return string(b), err
}

// execute runs a command in the task "session" of an allocation and returns its exit
// status and output.
func execute(t *testing.T, client *api.Client, alloc *api.Allocation, stdin string, argv ...string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	var out bytes.Buffer
	code, err := devtest.Answered(func() (int, error) {
		out.Reset()
		return client.Allocations().Exec(ctx, alloc, "session", false, argv, strings.NewReader(stdin), &out, &out, nil, nil)
	})
	if err != nil {
		t.Fatalf("exec %v: %v: %s", argv, err, out.String())
	}
	return code, out.String()
}

// put stores a value in Consul.
func put(t *testing.T, url, value string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, url, strings.NewReader(value))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := web.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("PUT %s: %s", url, resp.Status)
	}
}

// redisCommand sends one inline command and returns the first line of the reply.
func redisCommand(t *testing.T, c *devcluster.Cluster, command string) string {
	t.Helper()
	line, err := redisReply(c, command, wait)
	if err != nil {
		t.Fatal(err)
	}
	return line
}

// redisReply sends one inline command and returns the first line of the reply, or an
// error if there is none within the timeout.
func redisReply(c *devcluster.Cluster, command string, timeout time.Duration) (string, error) {
	conn, err := net.DialTimeout("tcp", c.RedisAddr, timeout)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return "", err
	}
	if _, err := fmt.Fprintf(conn, "%s\r\n", command); err != nil {
		return "", err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	return strings.TrimSpace(line), err
}
