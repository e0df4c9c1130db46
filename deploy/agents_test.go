package deploy_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	consulapi "github.com/hashicorp/consul/api"
	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/internal/devcluster/agenttest"
	"github.com/greenroom/greenroom/internal/devcluster/devtest"
)

// Secrets that README.md stores in Nomad variables. The password has characters that are
// special to a template or a shell.
const (
	redisPassword = `p<&"q $x\y é`
	brokerToken   = `t0ken-for-callers`
)

// TestTheJobsServe follows README.md on servers with access control and TLS, with certificates of an
// authority of their own: it sets up policies, identities, secrets and the jobs. Then it launches
// sessions through the broker. The agents have their identities alone, and in Redis the users of
// acl/redis.acl.
func TestTheJobsServe(t *testing.T) {
	binary := agenttest.Program(t, "greenroom")
	g := startGuarded(t)
	g.setUpNomad(t)
	g.setUpConsul(t)
	g.ca.Issue("client", 20)
	passwords := map[string]string{"broker": redisPassword, "scaler": "hush", "gateway": "hush-hush"}
	users := read(t, "acl/redis.acl")
	for component, password := range passwords {
		// What is special to an ACL file goes there as a hash.
		users = strings.ReplaceAll(users, ">"+strings.ToUpper(component)+"_PASSWORD", fmt.Sprintf("#%x", sha256.Sum256([]byte(password))))
	}
	common := jobVars{
		binary: binary, redis: g.ca.Redis(users),
		more: []string{"-var", "redis_tls=true", "-var", "client_cert=true"},
	}
	t.Cleanup(func() {
		if t.Failed() {
			for _, component := range agents {
				g.logEnd(t, component)
			}
		}
		g.endAll(t)
	})
	t.Run("with identities", func(t *testing.T) {
		for _, component := range agents {
			secrets := []string{
				"redis_user=greenroom-" + component, "redis_password=" + passwords[component],
				"client_cert=" + read(t, g.ca.File("client.pem")), "client_key=" + read(t, g.ca.File("client.key")),
			}
			if component == "broker" {
				secrets = append(secrets, "broker_token="+brokerToken)
			}
			g.storeSecrets(t, component, secrets...)
		}
		api, site := g.runJobs(t, common, agents...)
		serves(t, api, site)
		for _, component := range agents {
			g.replaceToken(t, component)
		}
		launches(t, api, site)
		g.onlyTheJobsLogIn(t)
		for _, component := range agents {
			g.needsItsBindingRule(t, component)
		}
	})
	g.endAll(t)
	t.Run("with static tokens", func(t *testing.T) {
		west := startRegion(t)
		common.more = append(common.more, "-var", "consul_identity=false", "-var", "redis_tls_server_name=redis.test")
		common.broker = []string{"-var", "broker_tls=true", "-var", fmt.Sprintf("peers={west=%q}", west.addr)}
		g.storeSecrets(t, "broker", "peer_tokens=west="+peerToken, "tls_cert="+read(t, g.ca.File("server.pem")), "tls_key="+read(t, g.ca.File("server.key")))
		for _, component := range agents {
			token, _, err := g.consul.ACL().TokenCreate(&consulapi.ACLToken{Policies: []*consulapi.ACLLink{{Name: "greenroom-" + component}}}, nil)
			if err != nil {
				t.Fatal(err)
			}
			g.storeSecrets(t, component, "consul_token="+token.SecretID)
		}
		api, site := g.runJobs(t, common, agents...)
		api.addr = strings.Replace(api.addr, "http:", "https:", 1)
		api.trust = g.ca.Trust()
		launches(t, api, site)
		west.isAskedBy(t, api)
	})
}

// setUpNomad runs the commands of README.md's step 2.
func (g *guarded) setUpNomad(t *testing.T) {
	t.Helper()
	nomad := program(t, shared.Cluster(t).NomadServer)
	// The sessions of these tests use raw_exec.
	policy := filepath.Join(t.TempDir(), "nomad-broker.policy.hcl")
	g.run(t, "sh", "-c", `sed 's/# "alloc-node-exec"/"alloc-node-exec"/' acl/nomad-broker.policy.hcl > "$1"`, "sh", policy)
	g.run(t, nomad, "namespace", "apply", "-description", "greenroom's own jobs", agentsNamespace)
	for component, file := range map[string]string{"broker": policy, "scaler": "acl/nomad-scaler.policy.hcl", "gateway": "acl/nomad-gateway.policy.hcl"} {
		name := "greenroom-" + component
		g.run(t, nomad, "acl", "policy", "apply", "-namespace", agentsNamespace, "-job", name, name, file)
	}
}

// setUpConsul runs the commands of README.md's step 3.
func (g *guarded) setUpConsul(t *testing.T) {
	t.Helper()
	consul := program(t, shared.Cluster(t).Consul)
	var method map[string]any
	if err := json.Unmarshal([]byte(read(t, "acl/consul-auth-method.json")), &method); err != nil {
		t.Fatal(err)
	}
	method["JWKSURL"], method["JWKSCACert"] = g.nomadAddr+"/.well-known/jwks.json", read(t, g.ca.File("ca.pem"))
	text, err := json.Marshal(method)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "consul-auth-method.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	g.run(t, consul, "acl", "auth-method", "create", "-name", authMethod, "-type", "jwt", "-config", "@"+file)
	for _, component := range agents {
		name := "greenroom-" + component
		g.run(t, consul, "acl", "policy", "create", "-name", name, "-rules", "@acl/consul-"+component+".policy.hcl")
		g.bind(t, component)
	}
}

// storeSecrets puts items into the Nomad variable of a component's job. What is there stays.
func (g *guarded) storeSecrets(t *testing.T, component string, items ...string) {
	t.Helper()
	variables := g.nomad.Variables()
	path := "nomad/jobs/greenroom-" + component
	v, _, err := variables.Peek(path, &nomadapi.QueryOptions{Namespace: agentsNamespace})
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"var", "put", "-force", path}
	if v != nil {
		for name, value := range v.Items {
			args = append(args, name+"="+value)
		}
	}
	g.run(t, program(t, shared.Cluster(t).NomadServer), append(args, items...)...)
}

// jobVars are what differs on this cluster.
type jobVars struct {
	binary, redis string
	more          []string
	// broker are for the broker's job alone.
	broker []string
}

// runJobs runs jobs of README.md's step 4 until Consul has them as healthy, and returns the broker's
// API and the gateway's address.
func (g *guarded) runJobs(t *testing.T, v jobVars, components ...string) (api caller, site string) {
	t.Helper()
	nomad := program(t, shared.Cluster(t).NomadServer)
	ports := devtest.FreePorts(t, len(components))
	vars := append([]string{
		"-detach", "-var", "driver=raw_exec", "-var", "binary=" + v.binary, "-var", "nomad_address=" + g.nodeAddr,
		"-var", "consul_address=" + g.consulAddr, "-var", "redis_address=" + v.redis, "-var", "ca_cert=" + read(t, g.ca.File("ca.pem")),
	}, v.more...)
	site = fmt.Sprintf("http://127.0.0.1:%d", ports[len(ports)-1])
	for i, component := range components {
		args := append([]string{"job", "run", "-var", "count=1", "-var", fmt.Sprintf("port=%d", ports[i])}, vars...)
		if component != "scaler" {
			args = append(args, "-var", "gateway_url="+site)
		}
		if component == "broker" {
			args = append(args, v.broker...)
		}
		g.run(t, nomad, append(args, "nomad/greenroom-"+component+".nomad.hcl")...)
	}
	for _, component := range components {
		service := "greenroom-" + component
		eventually(t, func(ctx context.Context) error {
			entries, _, err := g.consul.Health().Service(service, "", true, nil)
			if err != nil || len(entries) != 1 {
				return fmt.Errorf("%s is not passing in Consul: %d, %v", service, len(entries), err)
			}
			return nil
		})
	}
	return caller{t: t, addr: fmt.Sprintf("http://127.0.0.1:%d", ports[0])}, site
}

// serves stores a zone, images and a pool, shows the broker's pages, and launches.
func serves(t *testing.T, api caller, site string) {
	t.Helper()
	if status, _ := api.as("", "GET", "/v1/zones", nil); status != http.StatusUnauthorized {
		t.Errorf("without a token: status %d, want 401", status)
	}
	api.must("PUT", "/v1/zones/east", map[string]any{
		"name": "east", "datacenters": []string{"dc1"}, "allow_origin_domain": "127.0.0.1", "upstream_auth_address": "127.0.0.1",
	})
	for _, name := range []string{"app", "app-without-a-pool"} {
		api.must("PUT", "/v1/images/"+name, map[string]any{
			"name": name, "jobspec": rawSession,
			"exec_config": map[string]any{"assign": map[string]any{"cmd": []string{"/bin/true"}}},
		})
	}
	api.must("PUT", "/v1/staging/app-east", map[string]any{"name": "app-east", "zone": "east", "image": "app", "desired_sessions": 1})
	for _, page := range []string{"/", "/ui/"} {
		if status, reply := api.as("", "GET", page, nil); status != http.StatusOK || !strings.Contains(string(reply), "<html") {
			t.Errorf("%s: status %d, %.200s", page, status, reply)
		}
	}
	launches(t, api, site)
	namesAllAgents(t, api)
}

// namesAllAgents waits until the status has an agent of each kind, with its version.
func namesAllAgents(t *testing.T, api caller) {
	t.Helper()
	eventually(t, func(context.Context) error {
		var status struct {
			Agents []struct{ Kind, Version string }
		}
		body := api.must(http.MethodGet, "/v1/status", nil)
		if err := json.Unmarshal(body, &status); err != nil {
			return err
		}
		for _, kind := range agents {
			if !slices.ContainsFunc(status.Agents, func(a struct{ Kind, Version string }) bool { return a.Kind == kind && a.Version != "" }) {
				return fmt.Errorf("the status lacks a %s: %s", kind, body)
			}
		}
		return nil
	})
}

// launches launches a staged session and one on demand, each with its hook, opens them by the
// gateway, and ends them.
func launches(t *testing.T, api caller, site string) {
	t.Helper()
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
	for image, origin := range map[string]string{"app": "staged", "app-without-a-pool": "on_demand"} {
		var session struct {
			ID, State, Origin string
			ConnectURL        string `json:"connect_url"`
		}
		body := api.must("POST", "/v1/sessions", map[string]any{"image": image, "zone": "east", "user": map[string]any{"id": "u-1", "name": "alice"}})
		if err := json.Unmarshal(body, &session); err != nil || session.State != "assigned" || session.Origin != origin {
			t.Errorf("a launch: want an assigned session, %s, got %s", origin, body)
		}
		if !strings.HasPrefix(session.ConnectURL, site+"/s/"+session.ID+"/") {
			t.Errorf("the launch's answer leads to %q", session.ConnectURL)
		}
		// The session serves nothing: that the gateway says so shows that it knows the link and the
		// session.
		if opened := opens(t, session.ConnectURL); !strings.Contains(opened, "session_down") {
			t.Errorf("the link led to %s", opened)
		}
		api.must("DELETE", "/v1/sessions/"+session.ID, nil)
	}
}

// agents are greenroom's jobs.
var agents = []string{"broker", "scaler", "gateway"}

// opens opens a link as a browser does, and returns the page that it leads to.
func opens(t *testing.T, link string) string {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	req, err := http.NewRequestWithContext(patient(t), http.MethodGet, link, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := (&http.Client{Jar: jar, Transport: transport}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	page, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// agentsNamespace is the namespace of the agents' own jobs.
const agentsNamespace = "greenroom"

// environment is that of a program with management rights.
func (g *guarded) environment() []string {
	ca := g.ca.File("ca.pem")
	return append(devtest.PlainEnvironment(), "NOMAD_ADDR="+g.nomadAddr, "NOMAD_TOKEN="+g.nomadToken, "NOMAD_CACERT="+ca,
		"CONSUL_HTTP_ADDR="+g.consulAddr, "CONSUL_HTTP_TOKEN="+g.consulToken, "CONSUL_CACERT="+ca)
}

// run runs one of README.md's commands with management rights and returns its output.
func (g *guarded) run(t *testing.T, program string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(patient(t), program, args...)
	cmd.Env = append(g.environment(), "NOMAD_NAMESPACE="+agentsNamespace)
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
	logs.Env = g.environment()
	text, err := logs.CombinedOutput()
	t.Logf("the end of the %s's log (%v):\n%s", component, err, text)
}

// caller calls a broker's API.
type caller struct {
	t    *testing.T
	addr string
	// trust is for an https address.
	trust *tls.Config
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
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: c.trust}}
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
