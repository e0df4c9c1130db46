package deploy_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	consulapi "github.com/hashicorp/consul/api"
	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/greenroom/greenroom/internal/consulhealth"
	"github.com/greenroom/greenroom/internal/nomadfleet"
	"github.com/greenroom/greenroom/internal/registry"
	"github.com/greenroom/greenroom/internal/staging"
)

// sessions are those of the tests: pretended, but one can exec in them.
const mockSession = `
job "app" {
  group "session" {
    network {
      port "http" {}
    }
    service {
      name     = "app"
      provider = "consul"
      port     = "http"
    }
    task "session" {
      driver = "mock_driver"
      config {
        run_for = "1h"
        exec_command {
          run_for       = "1ms"
          exit_code     = 7
          stdout_string = "greeted"
        }
      }
      resources {
        cpu    = 10
        memory = 10
      }
    }
  }
}`

const rawSession = `
job "app" {
  group "session" {
    network {
      port "http" {}
    }
    service {
      name     = "app"
      provider = "consul"
      port     = "http"
    }
    task "session" {
      driver = "raw_exec"
      config {
        command = "/bin/sleep"
        args    = ["3600"]
      }
      resources {
        cpu    = 10
        memory = 10
      }
    }
  }
}`

var (
	zone      = staging.Zone{Name: "east", Datacenters: []string{"dc1"}}
	elsewhere = staging.Zone{Name: "west", Datacenters: []string{"dc1"}, Namespace: "elsewhere"}
)

func image(jobspec string) staging.Image { return staging.Image{Name: "app", Jobspec: jobspec} }

func newSession(z staging.Zone) staging.Session {
	return staging.Session{
		ID: staging.NewSessionID(), Origin: staging.OnDemand, Zone: z.Name, Image: "app",
		Claim: staging.NewClaimID(), CreatedAt: time.Now().UTC(),
	}
}

// TestPolicies uploads the policies and uses tokens that have nothing else.
func TestPolicies(t *testing.T) {
	g := startGuarded(t)
	if _, err := g.nomad.Namespaces().Register(&nomadapi.Namespace{Name: "elsewhere"}, nil); err != nil {
		t.Fatal(err)
	}
	management := g.fleet(t, nomadManagement)
	// What is none of greenroom's business, and a session where an exec reaches the node.
	foreign := start(t, management, newSession(elsewhere), mockSession, elsewhere)
	raw := start(t, management, newSession(zone), rawSession, zone)
	// A guarded Nomad leaves what runs on its node: end it before the agent does.
	t.Cleanup(func() {
		for _, s := range []staging.Session{foreign, raw} {
			if err := management.Purge(context.WithoutCancel(t.Context()), s); err != nil {
				t.Error(err)
			}
		}
		g.drained(t)
	})

	t.Run("nomad broker", func(t *testing.T) { testNomadBroker(t, g, foreign, raw) })
	t.Run("nomad scaler", func(t *testing.T) { testNomadScaler(t, g, foreign, raw) })
	t.Run("consul broker", func(t *testing.T) { testConsulBroker(t, g) })
	t.Run("consul scaler", func(t *testing.T) { testConsulScaler(t, g) })
}

func testNomadBroker(t *testing.T, g *guarded, foreign, raw staging.Session) {
	policy := read(t, "acl/nomad-broker.policy.hcl")
	token := g.nomadTokenFor(t, "greenroom-broker", policy)
	broker := g.fleet(t, token)

	if err := broker.Check(patient(t), image(mockSession)); err != nil {
		t.Errorf("check a jobspec: %v", err)
	}
	s := start(t, broker, newSession(zone), mockSession, zone)
	var out strings.Builder
	if code, err := broker.Exec(patient(t), s, "", []string{"/bin/sh"}, strings.NewReader(""), &out, &out); err != nil || code != 7 {
		t.Errorf("run a hook in a session: exit code %d, %v, %q", code, err, out.String())
	}
	if err := broker.Stop(patient(t), s); err != nil {
		t.Errorf("stop a session: %v", err)
	}
	if err := broker.Purge(patient(t), s); err != nil {
		t.Errorf("purge a session: %v", err)
	}

	denied(t, "an exec in a raw_exec session", execIn(t, broker, raw))
	denied(t, "an exec in another namespace", execIn(t, broker, foreign))
	g.deniedToAll(t, token, foreign)

	// The opt-in is the commented line, as it stands in the file.
	const off, on = `# "alloc-node-exec",`, `"alloc-node-exec",`
	if strings.Count(policy, off) != 1 {
		t.Fatalf("the policy has no line %s", off)
	}
	opted := g.fleet(t, g.nomadTokenFor(t, "greenroom-broker-raw-exec", strings.Replace(policy, off, on, 1)))
	if err := execIn(t, opted, raw); err != nil {
		t.Errorf("with alloc-node-exec, an exec in a raw_exec session: %v", err)
	}
}

func testNomadScaler(t *testing.T, g *guarded, foreign, raw staging.Session) {
	token := g.nomadTokenFor(t, "greenroom-scaler", read(t, "acl/nomad-scaler.policy.hcl"))
	scaler := g.fleet(t, token)

	_, index, err := scaler.List(patient(t))
	if err != nil {
		t.Fatalf("list sessions: %v", err)
	}
	// Watch while a session comes and goes.
	s := newSession(zone)
	ctx, stop := context.WithCancel(patient(t))
	defer stop()
	watched, running := make(chan error, 1), make(chan struct{}, 1)
	go func() {
		watched <- scaler.Watch(ctx, index, func(o staging.Observation) {
			if o.Session == s.ID && o.Alloc != nil && o.Alloc.Running {
				select {
				case running <- struct{}{}:
				default:
				}
			}
		})
	}()
	start(t, scaler, s, mockSession, zone)
	select {
	case <-running:
	case err := <-watched:
		t.Fatalf("watch sessions: %v", err)
	case <-ctx.Done():
		t.Fatal("the watch never told of the session")
	}
	stop()
	if err := <-watched; !errors.Is(err, context.Canceled) {
		t.Errorf("watch sessions: %v", err)
	}
	if err := scaler.Purge(patient(t), s); err != nil {
		t.Errorf("purge a session: %v", err)
	}

	denied(t, "an exec in a session", execIn(t, scaler, raw))
	_, err = scaler.Register(patient(t), newSession(elsewhere), image(mockSession), elsewhere, nil)
	denied(t, "a session in another namespace", err)
	denied(t, "a stop in another namespace", scaler.Stop(patient(t), foreign))
	g.deniedToAll(t, token, staging.Session{})
}

// deniedToAll are what neither component may do in Nomad. The scaler may read
// other namespaces, and is given no foreign session.
func (g *guarded) deniedToAll(t *testing.T, token string, foreign staging.Session) {
	t.Helper()
	c := g.nomadClient(t, token)
	_, err := c.Operator().RaftGetConfiguration((&nomadapi.QueryOptions{}).WithContext(patient(t)))
	denied(t, "the operator's Raft configuration", err)
	_, _, err = c.ACLTokens().List(nil)
	denied(t, "the list of ACL tokens", err)
	_, err = c.ACLPolicies().Upsert(&nomadapi.ACLPolicy{Name: "mine", Rules: `operator { policy = "write" }`}, nil)
	denied(t, "a policy of its own", err)
	_, _, err = c.Variables().Create(&nomadapi.Variable{Path: "nomad/jobs/greenroom-broker", Items: nomadapi.VariableItems{"a": "b"}}, nil)
	denied(t, "writing the job's secrets", err)
	_, _, err = c.Variables().Read("nomad/jobs/greenroom-broker", nil)
	denied(t, "reading the job's secrets", err)
	denied(t, "a forced garbage collection", c.System().GarbageCollect())
	_, err = c.Namespaces().Register(&nomadapi.Namespace{Name: "mine"}, nil)
	denied(t, "a namespace of its own", err)
	node := g.node(t)
	_, err = c.Nodes().ToggleEligibility(node, false, nil)
	denied(t, "closing a node", err)
	if foreign.ID == "" {
		return
	}
	_, _, err = c.Jobs().Info(foreign.ID, &nomadapi.QueryOptions{Namespace: elsewhere.Namespace})
	denied(t, "a job of another namespace", err)
	_, _, err = c.Jobs().Deregister(foreign.ID, true, &nomadapi.WriteOptions{Namespace: elsewhere.Namespace})
	denied(t, "stopping a job of another namespace", err)
	_, err = g.fleet(t, token).Register(patient(t), newSession(elsewhere), image(mockSession), elsewhere, nil)
	denied(t, "a session in another namespace", err)
}

func testConsulBroker(t *testing.T, g *guarded) {
	c := g.consulClient(t, g.consulTokenFor(t, "greenroom-broker", read(t, "acl/consul-broker.policy.hcl")))
	r := registry.New(c, "")
	if _, err := r.PutZone(patient(t), zone); err != nil {
		t.Errorf("store a zone: %v", err)
	}
	if _, err := r.PutImage(patient(t), image(mockSession)); err != nil {
		t.Errorf("store an image: %v", err)
	}
	if err := r.DeleteImage(patient(t), "app"); err != nil {
		t.Errorf("delete an image: %v", err)
	}
	won, fate, err := r.CreateFate(patient(t), staging.Fate{Session: "gr-1", Verdict: staging.VerdictAssigned, HookPending: true})
	if err != nil || !won {
		t.Fatalf("decide a fate: %v, %v", won, err)
	}
	if err := r.FinishFate(patient(t), fate); err != nil {
		t.Errorf("finish a fate: %v", err)
	}
	g.seesHealth(t, c)
	deniedInConsul(t, c)
}

func testConsulScaler(t *testing.T, g *guarded) {
	c := g.consulClient(t, g.consulTokenFor(t, "greenroom-scaler", read(t, "acl/consul-scaler.policy.hcl")))
	if _, err := registry.New(g.consul, "").PutZone(patient(t), zone); err != nil {
		t.Fatal(err)
	}
	r := registry.New(c, "")
	if resources, err := r.Refresh(patient(t)); err != nil || resources.Zones["east"].Name != "east" {
		t.Errorf("read the resources: %+v, %v", resources, err)
	}
	if won, _, err := r.CreateFate(patient(t), staging.Fate{Session: "gr-2", Verdict: staging.VerdictRetired}); err != nil || !won {
		t.Errorf("decide a fate: %v, %v", won, err)
	}
	if fates, err := r.Fates(patient(t)); err != nil || fates["gr-2"].Verdict != staging.VerdictRetired {
		t.Errorf("read the fates: %+v, %v", fates, err)
	}
	if err := r.DeleteFate(patient(t), "gr-2"); err != nil {
		t.Errorf("delete a fate: %v", err)
	}
	g.seesHealth(t, c)
	_, err := r.PutZone(patient(t), zone)
	denied(t, "changing a zone", err)
	denied(t, "deleting a zone", r.DeleteZone(patient(t), "east"))
	deniedInConsul(t, c)
}

// seesHealth registers a session's service, as a Nomad agent does, and looks
// for it through c.
func (g *guarded) seesHealth(t *testing.T, c *consulapi.Client) {
	t.Helper()
	service := staging.PoolService("app-east")
	err := g.consul.Agent().ServiceRegister(&consulapi.AgentServiceRegistration{
		ID: "_nomad-task-x", Name: service, Meta: map[string]string{consulhealth.SessionMeta: "gr-1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := consulhealth.New(c).WaitPassing(patient(t), service, "gr-1"); err != nil {
		t.Errorf("see a session's health: %v", err)
	}
}

// deniedInConsul are what neither component may do in Consul.
func deniedInConsul(t *testing.T, c *consulapi.Client) {
	t.Helper()
	_, err := c.KV().Put(&consulapi.KVPair{Key: "elsewhere/key", Value: []byte("x")}, nil)
	denied(t, "writing a key elsewhere", err)
	_, err = c.KV().Put(&consulapi.KVPair{Key: "greenroom-not/key", Value: []byte("x")}, nil)
	denied(t, "writing a key that only begins alike", err)
	_, _, err = c.KV().Get("elsewhere/key", nil)
	denied(t, "reading a key elsewhere", err)
	_, err = c.KV().DeleteTree("", nil)
	denied(t, "deleting all keys", err)
	denied(t, "registering a service", c.Agent().ServiceRegister(&consulapi.AgentServiceRegistration{Name: "greenroom-pool-fake"}))
	_, err = c.Catalog().Register(&consulapi.CatalogRegistration{Node: "fake", Address: "192.0.2.1"}, nil)
	denied(t, "registering a node", err)
	_, _, err = c.ACL().TokenList(nil)
	denied(t, "the list of ACL tokens", err)
	_, err = c.Operator().RaftGetConfiguration(nil)
	denied(t, "the operator's Raft configuration", err)
	if services, _, err := c.Catalog().Service("consul", "", nil); err != nil || len(services) > 0 {
		t.Errorf("a service of others: want none to be seen, got %d, %v", len(services), err)
	}
}

// start registers a session and waits until it runs.
func start(t *testing.T, f *nomadfleet.Fleet, s staging.Session, jobspec string, z staging.Zone) staging.Session {
	t.Helper()
	evalID, err := f.Register(patient(t), s, image(jobspec), z, nil)
	if err != nil {
		t.Fatalf("register a session: %v", err)
	}
	s.Namespace = z.Namespace
	if placed, err := f.Placement(patient(t), s, evalID); err != nil || placed.Refused != nil {
		t.Fatalf("place a session: %+v, %v", placed.Refused, err)
	}
	alloc, err := f.WaitRunning(patient(t), s)
	if err != nil || !alloc.Running {
		t.Fatalf("wait for a session: %+v, %v", alloc.Failure, err)
	}
	s.AllocID, s.NodeID, s.Task = alloc.ID, alloc.NodeID, "session"
	return s
}

func execIn(t *testing.T, f *nomadfleet.Fleet, s staging.Session) error {
	t.Helper()
	var out strings.Builder
	_, err := f.Exec(patient(t), s, "", []string{"/bin/true"}, strings.NewReader(""), &out, &out)
	return err
}

// denied fails the test unless err is a refusal for want of a permission.
func denied(t *testing.T, what string, err error) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), "Permission denied") && !strings.Contains(err.Error(), "403") {
		t.Errorf("%s: want it refused, got %v", what, err)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func (g *guarded) fleet(t *testing.T, token string) *nomadfleet.Fleet {
	t.Helper()
	settings := nomadfleet.Settings{Address: g.nomadAddr, Token: token}
	client, err := nomadfleet.NewClient(settings)
	if err != nil {
		t.Fatal(err)
	}
	execs, err := nomadfleet.NewExecClient(settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); execs.Close() })
	return nomadfleet.New(client, nomadfleet.Options{Exec: execs})
}

// nomadTokenFor uploads a policy and makes a token with it alone.
func (g *guarded) nomadTokenFor(t *testing.T, name, rules string) string {
	t.Helper()
	if _, err := g.nomad.ACLPolicies().Upsert(&nomadapi.ACLPolicy{Name: name, Rules: rules}, nil); err != nil {
		t.Fatalf("upload %s: %v", name, err)
	}
	token, _, err := g.nomad.ACLTokens().Create(&nomadapi.ACLToken{Name: name, Type: "client", Policies: []string{name}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return token.SecretID
}

// consulTokenFor does the same in Consul.
func (g *guarded) consulTokenFor(t *testing.T, name, rules string) string {
	t.Helper()
	policy, _, err := g.consul.ACL().PolicyCreate(&consulapi.ACLPolicy{Name: name, Rules: rules}, nil)
	if err != nil {
		t.Fatalf("upload %s: %v", name, err)
	}
	token, _, err := g.consul.ACL().TokenCreate(&consulapi.ACLToken{Policies: []*consulapi.ACLLink{{ID: policy.ID}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return token.SecretID
}

func (g *guarded) node(t *testing.T) string {
	t.Helper()
	nodes, _, err := g.nomad.Nodes().List(nil)
	if err != nil || len(nodes) != 1 {
		t.Fatalf("nodes %v, %v", nodes, err)
	}
	return nodes[0].ID
}

// drained waits until nothing runs on the node any more.
func (g *guarded) drained(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		allocs, _, err := g.nomad.Nodes().Allocations(g.node(t), (&nomadapi.QueryOptions{}).WithContext(ctx))
		left := 0
		for _, a := range allocs {
			if a.ClientStatus == "running" || a.ClientStatus == "pending" {
				left++
			}
		}
		if err == nil && left == 0 {
			return
		}
		select {
		case <-ctx.Done():
			t.Error(fmt.Errorf("%d allocations still run: %w", left, err))
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
}
