package deploy_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/greenroom/greenroom/internal/staging"
)

func testNomadBroker(t *testing.T, g *guarded, foreign, raw staging.Session) {
	policy := read(t, "acl/nomad-broker.policy.hcl")
	token := g.nomadTokenFor(t, "greenroom-broker", policy)
	broker := g.fleet(t, token)

	if err := broker.Check(patient(t), image(mockSession)); err != nil {
		t.Errorf("check a jobspec: %v", err)
	}
	s := start(t, broker, newSession(zone), mockSession, zone)
	if code, err := exitCodeIn(t, broker, s); err != nil || code != 7 {
		t.Errorf("run a hook in a session: exit code %d, %v", code, err)
	}
	// A launch while Redis is away.
	if found, err := broker.Find(patient(t), s); err != nil || found.AllocID == "" || found.State != "" {
		t.Errorf("find a session: %+v, %v", found, err)
	}
	if _, err := broker.NewestGeneration(patient(t), zone); err != nil {
		t.Errorf("read the newest generation: %v", err)
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

	// Add another namespace as the file describes. No zone uses "default" then.
	const first, more = `namespace "default" {`, "namespace \"default\" {\n  capabilities = [\"parse-job\", \"read-job\"]\n}\nnamespace \"elsewhere\" {"
	moved := g.fleet(t, g.nomadTokenFor(t, "greenroom-broker-elsewhere", strings.Replace(policy, first, more, 1)))
	if err := moved.Check(patient(t), image(mockSession)); err != nil {
		t.Errorf("with another namespace, check a jobspec: %v", err)
	}
	s = start(t, moved, newSession(elsewhere), mockSession, elsewhere)
	if err := execIn(t, moved, s); err != nil {
		t.Errorf("with another namespace, run a hook: %v", err)
	}
	if err := moved.Purge(patient(t), s); err != nil {
		t.Errorf("with another namespace, purge a session: %v", err)
	}

	// To opt in, uncomment the line in the file.
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

	// Watch while a session starts and ends.
	s := newSession(zone)
	ctx, stop := context.WithCancel(patient(t))
	defer stop()
	watched, running := make(chan error, 1), make(chan struct{}, 1)
	go func() {
		watched <- scaler.Watch(ctx, func(o staging.Observation) {
			if o.Session == s.ID && o.Alloc != nil && o.Alloc.Running {
				select {
				case running <- struct{}{}:
				default:
				}
			}
		}, listsOnce)
	}()
	start(t, scaler, s, mockSession, zone)
	select {
	case <-running:
	case err := <-watched:
		t.Fatalf("watch sessions: %v", err)
	case <-ctx.Done():
		t.Fatal("the watch did not report the session")
	}
	listed, err := scaler.List(patient(t))
	if err != nil || !slices.ContainsFunc(listed, func(o staging.Observation) bool { return o.Session == s.ID && o.Job != nil && o.Alloc != nil }) {
		t.Errorf("list sessions: want the running one with its job and allocation, got %+v, %v", listed, err)
	}
	stop()
	if err := <-watched; !errors.Is(err, context.Canceled) {
		t.Errorf("watch sessions: %v", err)
	}
	if err := execIn(t, scaler, s); err != nil {
		t.Errorf("run a first_launch hook in a session: %v", err)
	}
	if err := scaler.Purge(patient(t), s); err != nil {
		t.Errorf("purge a session: %v", err)
	}

	denied(t, "an exec in a raw_exec session", execIn(t, scaler, raw))
	_, err = scaler.Register(patient(t), staging.Spec{Session: newSession(elsewhere), Image: image(mockSession), Zone: elsewhere})
	denied(t, "a session in another namespace", err)
	denied(t, "a stop in another namespace", scaler.Stop(patient(t), foreign))
	g.deniedToAll(t, token, staging.Session{})
}

// deniedToAll checks that a token is denied what neither component may do in Nomad. The
// scaler may read other namespaces, so its caller passes no foreign session.
func (g *guarded) deniedToAll(t *testing.T, token string, foreign staging.Session) {
	t.Helper()
	c := g.nomadClient(t, token)
	_, err := c.Operator().RaftGetConfiguration((&nomadapi.QueryOptions{}).WithContext(patient(t)))
	denied(t, "the operator's Raft configuration", err)
	_, _, err = c.ACLTokens().List(nil)
	denied(t, "the list of ACL tokens", err)
	_, err = c.ACLPolicies().Upsert(&nomadapi.ACLPolicy{Name: "mine", Rules: `operator { policy = "write" }`}, nil)
	denied(t, "a policy of its own", err)
	g.deniedAmongAgents(t, c)
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
	_, err = g.fleet(t, token).Register(patient(t), staging.Spec{Session: newSession(elsewhere), Image: image(mockSession), Zone: elsewhere})
	denied(t, "a session in another namespace", err)
}

// deniedAmongAgents checks that a client can neither read nor change what is in the namespace of
// the agents' own jobs.
func (g *guarded) deniedAmongAgents(t *testing.T, c *nomadapi.Client) {
	t.Helper()
	read, write := &nomadapi.QueryOptions{Namespace: agentsNamespace}, &nomadapi.WriteOptions{Namespace: agentsNamespace}
	if _, err := g.nomad.Namespaces().Register(&nomadapi.Namespace{Name: agentsNamespace}, nil); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"greenroom-broker", "greenroom-scaler"} {
		path := "nomad/jobs/" + name
		if _, _, err := g.nomad.Variables().Update(&nomadapi.Variable{Path: path, Items: nomadapi.VariableItems{"consul_token": "secret"}}, write); err != nil {
			t.Fatal(err)
		}
		_, _, err := c.Variables().Update(&nomadapi.Variable{Path: path, Items: nomadapi.VariableItems{"a": "b"}}, write)
		denied(t, "writing the secrets of "+name, err)
		_, _, err = c.Variables().Read(path, read)
		denied(t, "reading the secrets of "+name, err)
		job := nomadapi.NewServiceJob(name, name, "global", 50)
		job.Namespace = new(agentsNamespace)
		job.AddTaskGroup(nomadapi.NewTaskGroup("thief", 1).AddTask(nomadapi.NewTask("thief", "raw_exec").SetConfig("command", "/bin/true")))
		_, _, err = c.Jobs().Register(job, write)
		denied(t, "registering the job "+name, err)
		_, _, err = c.Jobs().Deregister(name, true, write)
		denied(t, "stopping the job "+name, err)
	}
}

// nomadTokenFor uploads a policy to Nomad and returns a token with this policy alone.
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
