package deploy_test

import (
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/greenroom/greenroom/internal/devcluster/devtest"
)

var jobFiles = []string{"nomad/greenroom-broker.nomad.hcl", "nomad/greenroom-scaler.nomad.hcl", "nomad/greenroom-gateway.nomad.hcl"}

// namespaced is done when the shared Nomad has the namespace of the agents' jobs.
var namespaced sync.Once

// nomadCLI runs Nomad's own command line against a server without access control.
func nomadCLI(t *testing.T, args ...string) (string, error) {
	t.Helper()
	c := shared.Cluster(t)
	run := func(args ...string) (string, error) {
		cmd := exec.CommandContext(patient(t), program(t, c.NomadServer), args...)
		cmd.Env = append(devtest.PlainEnvironment(), "NOMAD_ADDR="+c.NomadAddr)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	// The jobs' namespace, in which Nomad validates them.
	namespaced.Do(func() {
		if out, err := run("namespace", "apply", agentsNamespace); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	})
	return run(args...)
}

func TestNomadTakesTheJobFiles(t *testing.T) {
	const checksum = "sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
	for _, file := range jobFiles {
		for name, vars := range map[string][]string{
			"docker":             {"driver=docker", "image=registry.example.org/greenroom:1"},
			"a binary on nodes":  {"driver=raw_exec", "binary=/opt/greenroom/greenroom"},
			"an artifact":        {"driver=exec", "artifact=https://example.org/greenroom"},
			"a checked artifact": {"driver=exec", "artifact=https://example.org/greenroom", "artifact_checksum=" + checksum},
			"another prefix":     {"consul_prefix=gr-b", "redis_prefix=gr-b"},
			"other places":       {`datacenters=["dc1","dc2"]`, "port=8080", "node_pool=default", "nomad_address=https://nomad.example.org:4646", "consul_address=consul.example.org:8500"},
		} {
			t.Run(file+" with "+name, func(t *testing.T) {
				args := []string{"job", "validate", "-var", "redis_address=redis.example.org:6379"}
				for _, v := range vars {
					args = append(args, "-var", v)
				}
				if out, err := nomadCLI(t, append(args, file)...); err != nil || !strings.Contains(out, "Job validation successful") || strings.Contains(out, "Warning") {
					t.Errorf("%v\n%s", err, out)
				}
			})
		}
	}
}

// TestThePrefixesReachTheAgents: an installation's prefixes name its services, and its agents
// run with them.
func TestThePrefixesReachTheAgents(t *testing.T) {
	for _, file := range jobFiles {
		out, err := nomadCLI(t, "job", "run", "-output", "-var", "redis_address=r:1", "-var", "consul_prefix=gr-b", "-var", "redis_prefix=gr-c", file)
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		kind := strings.TrimSuffix(strings.TrimPrefix(file, "nomad/greenroom-"), ".nomad.hcl")
		if kind == "broker" && !strings.Contains(out, `"GREENROOM_ALLOW_OPEN_CONSUL": "false"`) {
			t.Errorf("%s lets the broker start on any Consul:\n%s", file, out)
		}
		for _, want := range []string{`"GREENROOM_CONSUL_PREFIX": "gr-b"`, `"GREENROOM_REDIS_PREFIX": "gr-c"`, `"Name": "gr-b-` + kind + `"`} {
			if !strings.Contains(out, want) {
				t.Errorf("%s lacks %s", file, want)
			}
		}
	}
}

func TestTheJobFilesRefuse(t *testing.T) {
	for _, file := range jobFiles {
		for want, vars := range map[string][]string{
			"The driver must be docker, exec or raw_exec": {"-var", "redis_address=r:1", "-var", "driver=podman"},
			"redis_address": nil,
		} {
			if out, err := nomadCLI(t, append(append([]string{"job", "validate"}, vars...), file)...); err == nil || !strings.Contains(out, want) {
				t.Errorf("%s: want a refusal with %q, got %v\n%s", file, want, err, out)
			}
		}
	}
}

func TestTheJobFilesAreFormatted(t *testing.T) {
	if out, err := nomadCLI(t, "fmt", "-check", "-recursive", "."); err != nil {
		t.Errorf("run nomad fmt: %v\n%s", err, out)
	}
}

// Every reader of a job can read its environment and variables, so no secret may be in
// them.
func TestSecretsAreNoVariables(t *testing.T) {
	for _, file := range jobFiles {
		out, err := nomadCLI(t, "job", "run", "-output", "-var", "redis_address=r:1", file)
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		for _, secret := range []string{`"NOMAD_TOKEN"`, `"CONSUL_HTTP_TOKEN"`, `"GREENROOM_REDIS_PASSWORD"`, `"GREENROOM_TOKEN"`, `"GREENROOM_PEER_TOKENS"`} {
			if strings.Contains(out, secret) {
				t.Errorf("%s: %s is in the job itself", file, secret)
			}
		}
	}
}

// TestWhatAllThreeJobsTake: each agent has a size of its own, and is told how to reach Redis; two of
// each run unless one says otherwise.
func TestWhatAllThreeJobsTake(t *testing.T) {
	for _, file := range jobFiles {
		contains(t, file, []string{"cpu=750", "memory=512", "redis_sentinel_user=watcher", "redis_tls_server_name=redis.example.org"},
			`"CPU": 750`, `"MemoryMB": 512`, `"GREENROOM_REDIS_SENTINEL_USER": "watcher"`, `"GREENROOM_REDIS_TLS_SERVER_NAME": "redis.example.org"`)
		contains(t, file, nil, `"Count": 2`, `"CPU": 500`, `"MemoryMB": 256`)
	}
}

// TestTheBrokersJobTakesItsAddressAndPeers: with https its certificate comes from its Nomad variable,
// and so do the tokens of the peers that it is given.
func TestTheBrokersJobTakesItsAddressAndPeers(t *testing.T) {
	const file = "nomad/greenroom-broker.nomad.hcl"
	contains(t, file, []string{
		"broker_tls=true", "external_url=https://greenroom.example.org", `trusted_proxies=["10.0.0.0/8","192.0.2.1"]`,
		`peers={west="https://w.example.org", north="https://n.example.org:7480"}`,
	}, `"GREENROOM_TLS_CERT": "${NOMAD_SECRETS_DIR}/broker.pem"`, `"GREENROOM_TLS_KEY": "${NOMAD_SECRETS_DIR}/broker.key"`,
		`"DestPath": "${NOMAD_SECRETS_DIR}/broker.key"`, `.tls_key.Value`, `"Protocol": "https"`,
		`"GREENROOM_EXTERNAL_URL": "https://greenroom.example.org"`, `"GREENROOM_TRUSTED_PROXIES": "10.0.0.0/8,192.0.2.1"`,
		`"GREENROOM_PEERS": "north=https://n.example.org:7480,west=https://w.example.org"`, `.peer_tokens.Value`)
	contains(t, file, nil, `"GREENROOM_TLS_CERT": ""`, `"GREENROOM_PEERS": ""`, `"Protocol": "http"`)
}

// contains checks that a job file makes a job with the texts that are wanted.
func contains(t *testing.T, file string, vars []string, want ...string) {
	t.Helper()
	args := []string{"job", "run", "-output", "-var", "redis_address=r:1"}
	for _, v := range vars {
		args = append(args, "-var", v)
	}
	out, err := nomadCLI(t, append(args, file)...)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, w := range want {
		if !strings.Contains(out, w) {
			t.Errorf("%s with %q lacks %s:\n%s", file, vars, w, out)
		}
	}
}

// TestTheGatewaysAddressReachesBrokersAndGateways, so that what brokers link to is there; and where
// the gateway serves https, its certificate comes from its Nomad variable.
func TestTheGatewaysAddressReachesBrokersAndGateways(t *testing.T) {
	site := []string{"gateway_url=https://desk.example.org:8443", "gateway_domain=desk.example.org"}
	want := []string{`"GREENROOM_GATEWAY_URL": "https://desk.example.org:8443"`, `"GREENROOM_GATEWAY_DOMAIN": "desk.example.org"`}
	contains(t, "nomad/greenroom-broker.nomad.hcl", site, want...)
	contains(t, "nomad/greenroom-gateway.nomad.hcl",
		append(site, "gateway_tls=true", `gateway_allowed_origins=["https://a.example.org","https://b.example.org"]`, `trusted_proxies=["10.0.0.0/8"]`),
		append(want, `"GREENROOM_GATEWAY_ALLOWED_ORIGINS": "https://a.example.org,https://b.example.org"`, `"GREENROOM_TRUSTED_PROXIES": "10.0.0.0/8"`,
			`"GREENROOM_GATEWAY_TLS_CERT": "${NOMAD_SECRETS_DIR}/gateway.pem"`, `"GREENROOM_GATEWAY_TLS_KEY": "${NOMAD_SECRETS_DIR}/gateway.key"`,
			`"DestPath": "${NOMAD_SECRETS_DIR}/gateway.key"`, `.tls_key.Value`, `"Protocol": "https"`)...)
}
