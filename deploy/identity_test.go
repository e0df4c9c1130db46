package deploy_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	consulapi "github.com/hashicorp/consul/api"
	nomadapi "github.com/hashicorp/nomad/api"
)

// authMethod is the auth method by which Nomad's workloads log in to Consul. It is Nomad's default.
const authMethod = "nomad-workloads"

// selector selects the identity of a component's job, as README.md has it.
func selector(component string) string {
	return fmt.Sprintf(`value.nomad_namespace == "greenroom" and value.nomad_job_id == "greenroom-%s"`, component)
}

// bind makes the binding rule of a component, with README.md's command.
func (g *guarded) bind(t *testing.T, component string) {
	t.Helper()
	g.run(t, program(t, shared.Cluster(t).Consul), "acl", "binding-rule", "create", "-method", authMethod, "-bind-type", "policy",
		"-bind-name", "greenroom-"+component, "-selector", selector(component))
}

// runningAgent returns the allocation of a component's job that runs.
func (g *guarded) runningAgent(t *testing.T, component string) string {
	t.Helper()
	all, _, err := g.nomad.Jobs().Allocations("greenroom-"+component, false, &nomadapi.QueryOptions{Namespace: agentsNamespace})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if a.ClientStatus == nomadapi.AllocClientStatusRunning && a.DesiredStatus == nomadapi.AllocDesiredStatusRun {
			return a.ID
		}
	}
	t.Fatalf("the %s does not run: %d allocations", component, len(all))
	return ""
}

// replaceToken writes another token into the file of a running agent, and revokes the one that it
// began with: what the agent does from then on it does with the new one.
func (g *guarded) replaceToken(t *testing.T, component string) {
	t.Helper()
	file := filepath.Join(g.allocs, g.runningAgent(t, component), component, "secrets", "consul_token")
	secret := strings.TrimSpace(read(t, file))
	old, _, err := g.consulClient(t, secret).ACL().TokenReadSelf(nil)
	if err != nil {
		t.Fatal(err)
	}
	// It is the identity's, with the policy of the binding rule alone.
	if old.AuthMethod != authMethod || len(old.Policies) != 1 || old.Policies[0].Name != "greenroom-"+component {
		t.Errorf("the %s has a token of %q with the policies %v", component, old.AuthMethod, old.Policies)
	}
	fresh, _, err := g.consul.ACL().TokenCreate(&consulapi.ACLToken{Policies: old.Policies}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(fresh.SecretID), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := g.consul.ACL().TokenDelete(old.AccessorID, nil); err != nil {
		t.Fatal(err)
	}
}

// intruder is a job with an identity for Consul.
const intruder = `
job %q {
  type      = "batch"
  namespace = %q
  reschedule {
    attempts  = 0
    unlimited = false
  }
  group "group" {
    restart {
      attempts = 0
      mode     = "fail"
    }
    task "broker" {
      driver = "raw_exec"
      config {
        command = "/bin/true"
      }
      consul {}
      identity {
        name = "consul_default"
        aud  = ["consul.io"]
        ttl  = "1h"
      }
      resources {
        cpu    = 10
        memory = 10
      }
    }
  }
}`

// onlyTheJobsLogIn: a job of another name, and one of an agent's name in another namespace, get no
// token.
func (g *guarded) onlyTheJobsLogIn(t *testing.T) {
	t.Helper()
	for _, other := range []struct{ job, namespace string }{{"another-job", agentsNamespace}, {"greenroom-broker", "default"}} {
		job, err := g.nomad.Jobs().ParseHCL(fmt.Sprintf(intruder, other.job, other.namespace), false)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := g.nomad.Jobs().Register(job, nil); err != nil {
			t.Fatal(err)
		}
		g.isRefused(t, other.job, other.namespace, "")
	}
}

// isRefused waits until an allocation of a job, other than one that ran before, has failed because
// Consul gave it no token.
func (g *guarded) isRefused(t *testing.T, job, namespace, before string) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		all, _, err := g.nomad.Jobs().Allocations(job, true, (&nomadapi.QueryOptions{Namespace: namespace}).WithContext(ctx))
		var said []string
		for _, a := range all {
			if a.ID == before {
				continue
			}
			said = append(said, a.ClientStatus)
			for _, state := range a.TaskStates {
				for _, e := range state.Events {
					said = append(said, e.DisplayMessage)
					if strings.Contains(e.DisplayMessage, "failed to derive Consul token") && strings.Contains(e.DisplayMessage, "403") {
						return nil
					}
				}
			}
		}
		return fmt.Errorf("%s in %s was not refused: %q, %w", job, namespace, said, err)
	})
}

// needsItsBindingRule: without the rule of its job, an agent that starts gets no token.
func (g *guarded) needsItsBindingRule(t *testing.T, component string) {
	t.Helper()
	rules, _, err := g.consul.ACL().BindingRuleList(authMethod, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rules {
		if r.BindName == "greenroom-"+component {
			if _, err := g.consul.ACL().BindingRuleDelete(r.ID, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	before := g.runningAgent(t, component)
	g.run(t, program(t, shared.Cluster(t).NomadServer), "alloc", "stop", "-detach", before)
	g.isRefused(t, "greenroom-"+component, agentsNamespace, before)
	g.bind(t, component)
}
