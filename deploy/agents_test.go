package deploy_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/redis/go-redis/v9"
)

// Secrets that README.md stores in Nomad variables. The password has characters that are
// special to a template or a shell.
const (
	redisPassword = `p<&"q $x\y é`
	brokerToken   = `t0ken-for-callers`
)

// TestTheJobsServe follows README.md on servers with access control: it sets up policies,
// secrets and both jobs. Then it launches a staged session through the broker.
func TestTheJobsServe(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "greenroom")
	build(t, binary)
	g := startGuarded(t)
	nomad, consul := program(t, shared.Cluster(t).NomadServer), program(t, shared.Cluster(t).Consul)
	ports := freePorts(t, 2)
	redisAddr := guardRedis(t)

	// The sessions of this test use raw_exec.
	policy := filepath.Join(t.TempDir(), "nomad-broker.policy.hcl")
	g.run(t, "sh", "-c", `sed 's/# "alloc-node-exec"/"alloc-node-exec"/' acl/nomad-broker.policy.hcl > "$1"`, "sh", policy)
	g.run(t, nomad, "namespace", "apply", "-description", "greenroom's own jobs", agentsNamespace)
	g.run(t, nomad, "acl", "policy", "apply", "-namespace", agentsNamespace, "-job", "greenroom-broker", "greenroom-broker", policy)
	g.run(t, nomad, "acl", "policy", "apply", "-namespace", agentsNamespace, "-job", "greenroom-scaler", "greenroom-scaler", "acl/nomad-scaler.policy.hcl")
	secrets := map[string]string{}
	for _, component := range []string{"broker", "scaler"} {
		name := "greenroom-" + component
		g.run(t, consul, "acl", "policy", "create", "-name", name, "-rules", "@acl/consul-"+component+".policy.hcl")
		var token struct{ SecretID string }
		if err := json.Unmarshal([]byte(g.run(t, consul, "acl", "token", "create", "-policy-name", name, "-format", "json")), &token); err != nil {
			t.Fatal(err)
		}
		secrets[component] = token.SecretID
	}
	g.run(t, nomad, "var", "put", "nomad/jobs/greenroom-broker", "consul_token="+secrets["broker"], "redis_password="+redisPassword, "broker_token="+brokerToken)
	g.run(t, nomad, "var", "put", "nomad/jobs/greenroom-scaler", "consul_token="+secrets["scaler"], "redis_password="+redisPassword)

	vars := []string{"-detach", "-var", "driver=raw_exec", "-var", "binary=" + binary, "-var", "nomad_address=" + g.nodeAddr, "-var", "consul_address=" + g.consulAddr, "-var", "redis_address=" + redisAddr}
	for i, component := range []string{"broker", "scaler"} {
		args := append([]string{"job", "run", "-var", fmt.Sprintf("port=%d", ports[i])}, vars...)
		if component == "broker" {
			args = append(args, "-var", "count=1")
		}
		g.run(t, nomad, append(args, "nomad/greenroom-"+component+".nomad.hcl")...)
	}
	t.Cleanup(func() {
		if t.Failed() {
			g.logEnd(t, "broker")
			g.logEnd(t, "scaler")
		}
		g.endAll(t)
	})
	for _, service := range []string{"greenroom-broker", "greenroom-scaler"} {
		eventually(t, func(ctx context.Context) error {
			entries, _, err := g.consul.Health().Service(service, "", true, nil)
			if err != nil || len(entries) != 1 {
				return fmt.Errorf("%s is not passing in Consul: %d, %v", service, len(entries), err)
			}
			return nil
		})
	}

	api := caller{t, fmt.Sprintf("http://127.0.0.1:%d", ports[0])}
	if status, _ := api.as("", "GET", "/v1/zones", nil); status != http.StatusUnauthorized {
		t.Errorf("without a token: status %d, want 401", status)
	}
	api.must("PUT", "/v1/zones/east", map[string]any{
		"name": "east", "datacenters": []string{"dc1"}, "allow_origin_domain": "127.0.0.1", "upstream_auth_address": "127.0.0.1",
	})
	api.must("PUT", "/v1/images/app", map[string]any{
		"name": "app", "jobspec": rawSession,
		"exec_config": map[string]any{"assign": map[string]any{"cmd": []string{"/bin/true"}}},
	})
	api.must("PUT", "/v1/staging/app-east", map[string]any{"name": "app-east", "zone": "east", "image": "app", "desired_sessions": 1})
	eventually(t, func(context.Context) error {
		var pool struct {
			Ready int `json:"ready_sessions"`
		}
		body := api.must("GET", "/v1/staging/app-east", nil)
		if err := json.Unmarshal(body, &pool); err != nil || pool.Ready != 1 {
			return fmt.Errorf("the pool is not ready: %s, %v", body, err)
		}
		return nil
	})
	var session struct{ ID, State, Origin string }
	body := api.must("POST", "/v1/sessions", map[string]any{"image": "app", "zone": "east", "user": map[string]any{"id": "u-1", "name": "alice"}})
	if err := json.Unmarshal(body, &session); err != nil || session.State != "assigned" || session.Origin != "staged" {
		t.Errorf("a launch: want an assigned staged session, got %s", body)
	}
	api.must("DELETE", "/v1/sessions/"+session.ID, nil)
}

// build builds greenroom with the same flags as its own tests, so that they share the
// build cache.
func build(t *testing.T, binary string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", binary, "../cmd/greenroom").CombinedOutput(); err != nil {
		t.Fatalf("build greenroom: %v\n%s", err, out)
	}
}

// agentsNamespace is the namespace of the agents' own jobs.
const agentsNamespace = "greenroom"

// run runs one of README.md's commands with management rights and returns its output.
func (g *guarded) run(t *testing.T, program string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(patient(t), program, args...)
	cmd.Env = append(plainEnvironment(), "NOMAD_ADDR="+g.nomadAddr, "NOMAD_TOKEN="+g.nomadToken, "NOMAD_NAMESPACE="+agentsNamespace,
		"CONSUL_HTTP_ADDR="+g.consulAddr, "CONSUL_HTTP_TOKEN="+g.consulToken)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", filepath.Base(program), strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out)
}

// emptyRedis removes what an installation of another test left in the shared Redis, whose Consul
// is gone: its agents would refuse to start.
func emptyRedis(t *testing.T) {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: shared.Cluster(t).RedisAddr})
	defer client.Close()
	if err := client.FlushAll(context.Background()).Err(); err != nil {
		t.Fatal(err)
	}
}

// guardRedis makes the shared Redis require the password until the test ends.
func guardRedis(t *testing.T) string {
	t.Helper()
	addr := shared.Cluster(t).RedisAddr
	set := func(old, password string) error {
		client := redis.NewClient(&redis.Options{Addr: addr, Password: old})
		defer client.Close()
		return client.ConfigSet(context.Background(), "requirepass", password).Err()
	}
	emptyRedis(t)
	if err := set("", redisPassword); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := set(redisPassword, ""); err != nil {
			t.Error(err)
		}
	})
	return addr
}

// endAll stops every job. It stops the scaler first, which would otherwise replace its
// sessions. It does not purge, because a purge hides allocations that have not ended yet.
func (g *guarded) endAll(t *testing.T) {
	t.Helper()
	for _, prefix := range []string{"greenroom-scaler", ""} {
		jobs, _, err := g.nomad.Jobs().List(&nomadapi.QueryOptions{Prefix: prefix, Namespace: nomadapi.AllNamespacesNamespace})
		if err != nil {
			t.Error(err)
		}
		for _, job := range jobs {
			if _, _, err := g.nomad.Jobs().Deregister(job.ID, false, &nomadapi.WriteOptions{Namespace: job.Namespace}); err != nil {
				t.Error(err)
			}
		}
		g.drained(t, prefix)
	}
}

// logEnd logs the events of a component's newest allocation and the end of its log. It is
// for a test that has failed already, so its own errors do not fail the test.
func (g *guarded) logEnd(t *testing.T, component string) {
	t.Helper()
	allocs, _, err := g.nomad.Jobs().Allocations("greenroom-"+component, false, &nomadapi.QueryOptions{Namespace: agentsNamespace})
	if err != nil || len(allocs) == 0 {
		t.Logf("the %s has no allocation (%v)", component, err)
		return
	}
	if state := allocs[0].TaskStates[component]; state != nil {
		for _, e := range state.Events {
			t.Logf("the %s: %s: %s", component, e.Type, e.DisplayMessage)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	logs := exec.CommandContext(ctx, program(t, shared.Cluster(t).NomadServer), "alloc", "logs", "-namespace", agentsNamespace, "-stderr", "-tail", "-n", "30", allocs[0].ID)
	logs.Env = append(plainEnvironment(), "NOMAD_ADDR="+g.nomadAddr, "NOMAD_TOKEN="+g.nomadToken)
	text, err := logs.CombinedOutput()
	t.Logf("the end of the %s's log (%v):\n%s", component, err, text)
}

// caller calls a broker's API.
type caller struct {
	t    *testing.T
	addr string
}

// must calls with the token and fails the test on any status but 2xx.
func (c caller) must(method, path string, body any) []byte {
	c.t.Helper()
	status, reply := c.as(brokerToken, method, path, body)
	if status/100 != 2 {
		c.t.Fatalf("%s %s: status %d: %s", method, path, status, reply)
	}
	return reply
}

// as calls with a token, "" for none, and returns the status and the body of the reply.
func (c caller) as(token, method, path string, body any) (int, []byte) {
	c.t.Helper()
	var sent io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			c.t.Fatal(err)
		}
		sent = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(patient(c.t), method, c.addr+path, sent)
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	reply, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return resp.StatusCode, reply
}
