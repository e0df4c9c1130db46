package deploy_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	consulapi "github.com/hashicorp/consul/api"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/consulhealth"
	"github.com/greenroom/greenroom/internal/nomadfleet"
	"github.com/greenroom/greenroom/internal/poolboard"
	"github.com/greenroom/greenroom/internal/registry"
	"github.com/greenroom/greenroom/internal/sessioncatalog"
	"github.com/greenroom/greenroom/internal/staging"
)

// testEveryRuleIsNeeded takes each rule out of each policy: what needs it, and works with the
// whole policy, must fail then. A rule without a probe is an error, since nothing is known to
// need it.
func testEveryRuleIsNeeded(t *testing.T, g *guarded) {
	for _, p := range []struct {
		name, file string
		token      func(t *testing.T, name, rules string) string
		probes     func(t *testing.T, token string) map[string]func(context.Context) error
	}{
		{"nomad-broker", "acl/nomad-broker.policy.hcl", g.nomadTokenFor, g.nomadBrokerNeeds},
		{"nomad-scaler", "acl/nomad-scaler.policy.hcl", g.nomadTokenFor, g.nomadScalerNeeds},
		{"nomad-gateway", "acl/nomad-gateway.policy.hcl", g.nomadTokenFor, g.nomadGatewayNeeds},
		{"consul-gateway", "acl/consul-gateway.policy.hcl", g.consulTokenFor, g.consulGatewayNeeds},
		{"consul-broker", "acl/consul-broker.policy.hcl", g.consulTokenFor, g.consulBrokerNeeds},
		{"consul-scaler", "acl/consul-scaler.policy.hcl", g.consulTokenFor, g.consulScalerNeeds},
	} {
		t.Run(p.name, func(t *testing.T) {
			text := read(t, p.file)
			without := withoutEachRule(t, text)
			whole := p.probes(t, p.token(t, "whole-"+p.name, text))
			for rule := range whole {
				if _, ok := without[rule]; !ok {
					t.Errorf("the policy has no rule %s", rule)
				}
			}
			for i, rule := range slices.Sorted(maps.Keys(without)) {
				probe, ok := whole[rule]
				if !ok {
					t.Errorf("%s: nothing is known to need it", rule)
					continue
				}
				if err := probe(patient(t)); err != nil {
					t.Errorf("%s: with the whole policy, what needs it fails: %v", rule, err)
				}
				less := p.probes(t, p.token(t, fmt.Sprintf("%s-without-%d", p.name, i), without[rule]))
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				err := less[rule](ctx)
				cancel()
				if err == nil {
					t.Errorf("%s: it can go, since what needs it works without", rule)
				}
				t.Logf("without %s: %v", rule, err)
			}
		})
	}
}

// withoutEachRule returns, for each rule of a policy, the policy without it. A rule is a
// block, or a capability of a namespace's block.
func withoutEachRule(t *testing.T, policy string) map[string]string {
	t.Helper()
	f, diags := hclsyntax.ParseConfig([]byte(policy), "policy", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	without := map[string]string{}
	cut := func(r hcl.Range, instead string) string {
		return policy[:r.Start.Byte] + instead + policy[r.End.Byte:]
	}
	for _, b := range f.Body.(*hclsyntax.Body).Blocks {
		name := strings.Join(append([]string{b.Type}, b.Labels...), " ")
		if list, ok := b.Body.Attributes["capabilities"]; ok {
			var each []string
			for _, e := range list.Expr.(*hclsyntax.TupleConsExpr).Exprs {
				each = append(each, policy[e.Range().Start.Byte:e.Range().End.Byte])
			}
			for i, capability := range each {
				rest := strings.Join(slices.Delete(slices.Clone(each), i, i+1), ", ")
				without[name+" "+strings.Trim(capability, `"`)] = cut(list.Expr.Range(), "["+rest+"]")
			}
			continue
		}
		access := ""
		if p, ok := b.Body.Attributes["policy"]; ok {
			access = " " + strings.Trim(policy[p.Expr.Range().Start.Byte:p.Expr.Range().End.Byte], `"`)
		}
		without[name+access] = cut(b.Range(), "")
	}
	return without
}

// nomadBrokerNeeds returns what a broker does in Nomad, by the rule that it is for.
func (g *guarded) nomadBrokerNeeds(t *testing.T, token string) map[string]func(context.Context) error {
	fleet := g.fleet(t, token)
	return map[string]func(context.Context) error{
		"namespace default submit-job": func(ctx context.Context) error { return registers(ctx, fleet) },
		"namespace default read-job":   g.findsASession(t, fleet),
		"namespace default list-jobs": func(ctx context.Context) error {
			_, err := fleet.NewestGeneration(ctx, zone)
			return err
		},
		"namespace default alloc-exec": g.runsAHook(t, fleet),
		"namespace default read-logs":  g.readsALog(t, fleet),
		"node read":                    g.reachesTheNode(t, token),
	}
}

// nomadScalerNeeds returns what a scaler does in Nomad, by the rule that it is for.
func (g *guarded) nomadScalerNeeds(t *testing.T, token string) map[string]func(context.Context) error {
	fleet := g.fleet(t, token)
	return map[string]func(context.Context) error{
		"namespace default submit-job": func(ctx context.Context) error { return registers(ctx, fleet) },
		"namespace default list-jobs":  g.listsASession(t, fleet),
		"namespace default read-job":   g.findsASession(t, fleet),
		"namespace default alloc-exec": g.runsAHook(t, fleet),
		"namespace default read-logs":  g.readsALog(t, fleet),
		"node read":                    g.reachesTheNode(t, token),
		"namespace * read-job":         g.watchesASession(t, fleet),
	}
}

// running starts a session, with a management token, that the test ends.
func (g *guarded) running(t *testing.T) staging.Session {
	t.Helper()
	return start(t, g.fleet(t, nomadManagement), newSession(zone), mockSession, zone)
}

func registers(ctx context.Context, fleet *nomadfleet.Fleet) error {
	s := newSession(zone)
	if _, err := fleet.Register(ctx, staging.Spec{Session: s, Image: image(mockSession), Zone: zone}); err != nil {
		return err
	}
	return fleet.Purge(ctx, s)
}

func (g *guarded) findsASession(t *testing.T, fleet *nomadfleet.Fleet) func(context.Context) error {
	return func(ctx context.Context) error {
		found, err := fleet.Find(ctx, g.running(t))
		if err == nil && found.AllocID == "" {
			err = errors.New("the session has no allocation")
		}
		return err
	}
}

func (g *guarded) listsASession(t *testing.T, fleet *nomadfleet.Fleet) func(context.Context) error {
	return func(ctx context.Context) error {
		s := g.running(t)
		all, err := fleet.List(ctx)
		if err == nil && !slices.ContainsFunc(all, func(o staging.Observation) bool { return o.Session == s.ID && o.Job != nil }) {
			err = errors.New("the session is not listed")
		}
		return err
	}
}

// watchesASession sees a session end in the event stream of all namespaces.
func (g *guarded) watchesASession(t *testing.T, fleet *nomadfleet.Fleet) func(context.Context) error {
	management := g.fleet(t, nomadManagement)
	return func(ctx context.Context) error {
		s := g.running(t)
		ctx, seen := context.WithCancel(ctx)
		defer seen()
		err := fleet.Watch(ctx, func(o staging.Observation) {
			if o.Session == s.ID {
				seen()
			}
		}, func(ctx context.Context, list nomadfleet.ListFunc) error {
			if _, err := list(ctx); err != nil {
				return err
			}
			if err := management.Stop(ctx, s); err != nil {
				return err
			}
			<-ctx.Done()
			return ctx.Err()
		})
		if errors.Is(err, context.Canceled) {
			return nil
		}
		return err
	}
}

// listsOnce follows a watch with one list.
func listsOnce(ctx context.Context, list nomadfleet.ListFunc) error {
	if _, err := list(ctx); err != nil {
		return err
	}
	<-ctx.Done()
	return ctx.Err()
}

func (g *guarded) runsAHook(t *testing.T, fleet *nomadfleet.Fleet) func(context.Context) error {
	return func(context.Context) error { return execIn(t, fleet, g.running(t)) }
}

// readsALog reads the last line of a session's log, once the session has written it.
func (g *guarded) readsALog(t *testing.T, fleet *nomadfleet.Fleet) func(context.Context) error {
	return func(ctx context.Context) error {
		s := g.running(t)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			line, err := fleet.LastLine(ctx, s, staging.AllocFacts{ID: s.AllocID, NodeID: s.NodeID}, s.Task)
			if err == nil && line == "the last line" || err != nil && !errors.Is(err, staging.ErrNoLog) {
				return err
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("the log has %q: %w", line, errors.Join(err, ctx.Err()))
			case <-tick.C:
			}
		}
	}
}

// reachesTheNode finds a session's node, as Nomad's client does to send a hook to it without
// a detour through a server.
func (g *guarded) reachesTheNode(t *testing.T, token string) func(context.Context) error {
	return func(context.Context) error {
		client, err := g.nomadClient(t, token).GetNodeClient(g.node(t), nil)
		if err == nil {
			client.Close()
		}
		return err
	}
}

// consulBrokerNeeds returns what a broker does in Consul, by the rule that it is for.
func (g *guarded) consulBrokerNeeds(t *testing.T, token string) map[string]func(context.Context) error {
	c := g.consulClient(t, token)
	r := registry.New(c, "")
	return map[string]func(context.Context) error{
		"key_prefix greenroom/ write": func(ctx context.Context) error {
			_, err := r.PutZone(ctx, zone)
			return err
		},
		"service greenroom-broker-presence write": g.showsItself(r.NewPresence(c, "rules-test", "192.0.2.1:7480"), staging.AgentBroker),
		"service_prefix greenroom- read":          g.knowsHealth(t, c),
		"node_prefix  read":                       g.knowsHealth(t, c),
	}
}

// showsItself shows that an agent of a kind is alive.
func (g *guarded) showsItself(presence *registry.Presence, kind string) func(context.Context) error {
	return func(ctx context.Context) error {
		return until(ctx, presence.Run, func() bool {
			alive, err := registry.New(g.consul, "").Agents(ctx)
			return err == nil && slices.ContainsFunc(alive, func(a staging.Agent) bool { return a.Kind == kind && a.Address == "192.0.2.1:7480" })
		})
	}
}

// nomadGatewayNeeds returns what a gateway does in Nomad, by the rule that it is for.
func (g *guarded) nomadGatewayNeeds(t *testing.T, token string) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"namespace default read-job": g.findsASession(t, g.fleet(t, token)),
	}
}

// consulGatewayNeeds returns what a gateway does in Consul, by the rule that it is for.
func (g *guarded) consulGatewayNeeds(t *testing.T, token string) map[string]func(context.Context) error {
	c := g.consulClient(t, token)
	r, whole := registry.New(c, ""), registry.New(g.consul, "")
	return map[string]func(context.Context) error{
		"service greenroom-gateway-presence write": g.showsItself(r.NewGatewayPresence(c, "rules-test", "192.0.2.1:7480"), staging.AgentGateway),
		"key_prefix greenroom/resources/ read": func(ctx context.Context) error {
			if _, err := whole.PutZone(ctx, zone); err != nil {
				return err
			}
			_, err := r.Refresh(ctx)
			return err
		},
		"key_prefix greenroom/fates/ read": func(ctx context.Context) error {
			s := staging.NewSessionID()
			if _, _, err := whole.CreateFate(ctx, staging.Fate{Session: s, Verdict: staging.VerdictRetired}); err != nil {
				return err
			}
			_, err := r.Fate(ctx, s)
			return err
		},
		"key_prefix greenroom/locked-users/ read": func(ctx context.Context) error {
			if _, _, err := whole.LockUser(ctx, access.UserLock{UserID: "rules"}); err != nil {
				return err
			}
			locked, err := r.UserLocked(ctx, "rules")
			if err == nil && !locked {
				err = errors.New("the lock is not seen")
			}
			_, unlocked := whole.UnlockUser(ctx, "rules")
			return errors.Join(err, unlocked)
		},
		"key_prefix greenroom/gateway-secrets/ write": func(ctx context.Context) error {
			// As for the first gateway, before any broker has made a link.
			if _, err := g.consul.KV().DeleteTree("greenroom/gateway-secrets/", nil); err != nil {
				return err
			}
			_, err := r.Keys(ctx, staging.GatewaySecret)
			return err
		},
		"key greenroom/installation read": func(ctx context.Context) error {
			if _, err := whole.CreateInstallation(ctx, staging.Installation{ID: staging.NewInstallationID()}); err != nil {
				return err
			}
			_, err := r.Installation(ctx)
			return err
		},
	}
}

// consulScalerNeeds returns what a scaler does in Consul, by the rule that it is for.
func (g *guarded) consulScalerNeeds(t *testing.T, token string) map[string]func(context.Context) error {
	c := g.consulClient(t, token)
	r, whole := registry.New(c, ""), registry.New(g.consul, "")
	locks := func(ctx context.Context) error {
		l := r.NewLocks(c, "rules-test")
		l.Want([]string{zone.Name})
		return until(ctx, l.Run, func() bool { return l.Held(zone.Name) })
	}
	shows := g.showsAssigned(c)
	return map[string]func(context.Context) error{
		"key_prefix greenroom/resources/ read": func(ctx context.Context) error {
			if _, err := whole.PutZone(ctx, zone); err != nil {
				return err
			}
			_, err := r.Refresh(ctx)
			return err
		},
		"key_prefix greenroom/fates/ write": func(ctx context.Context) error {
			_, _, err := r.CreateFate(ctx, staging.Fate{Session: staging.NewSessionID(), Verdict: staging.VerdictRetired})
			return err
		},
		"key greenroom/installation write": func(ctx context.Context) error {
			_, err := r.CreateInstallation(ctx, staging.Installation{ID: staging.NewInstallationID()})
			return err
		},
		"key greenroom/generation write": func(ctx context.Context) error {
			_, err := r.NextGeneration(ctx, 0)
			return err
		},
		"key_prefix greenroom/keys/ write": func(ctx context.Context) error {
			s := staging.NewSessionID()
			assigned := staging.Fate{Session: s, Verdict: staging.VerdictAssigned, User: &staging.User{ID: "u"}, Claim: staging.NewClaimID(), IdempotencyKey: s, Fingerprint: "a launch"}
			if _, _, err := whole.CreateFate(ctx, assigned); err != nil {
				return err
			}
			return r.DeleteFate(ctx, s)
		},
		"key_prefix greenroom/profiles/ write": func(ctx context.Context) error {
			lease := staging.ProfileLease{Path: "/srv/profiles/rules", Session: staging.NewSessionID(), Zone: zone.Name}
			if _, _, err := whole.TakeProfile(ctx, lease); err != nil {
				return err
			}
			if err := r.ReleaseProfile(ctx, lease); err != nil {
				return errors.Join(err, whole.ReleaseProfile(ctx, lease))
			}
			return nil
		},
		"key greenroom/reservations write": func(ctx context.Context) error {
			all, err := r.Reservations(ctx)
			if err == nil {
				_, err = r.StoreReservations(ctx, all)
			}
			return err
		},
		"key_prefix greenroom/history/ write": func(ctx context.Context) error {
			return r.AddHistory(ctx, "rules", []staging.Minute{{At: time.Now()}})
		},
		"key_prefix greenroom/webhooks/ write": func(ctx context.Context) error {
			return r.PutWebhookCursor(ctx, "rules", staging.WebhookCursor{Epoch: "e", Position: "0-0"})
		},
		"key_prefix greenroom/locks/ write":    locks,
		"service greenroom-scaler-locks write": locks,
		"session_prefix  write":                locks,
		"service_prefix greenroom-staging- write": func(ctx context.Context) error {
			pool := staging.NewSessionID() // one that no other probe has shown
			board := poolboard.New(c, "rules-test")
			board.Holds(map[string]bool{zone.Name: true}, true)
			board.Show(pool, staging.PoolStatus{Zone: zone.Name, Desired: 1})
			return until(ctx, board.Run, g.isShown(t, staging.PoolStatusService(pool)))
		},
		"service greenroom-sessions write": shows,
		"node greenroom-sessions write":    shows,
		"service_prefix greenroom- read":   g.knowsHealth(t, c),
		"node_prefix  read":                g.knowsHealth(t, c),
	}
}

// knowsHealth reads which sessions of a pool are healthy.
func (g *guarded) knowsHealth(t *testing.T, c *consulapi.Client) func(context.Context) error {
	return func(ctx context.Context) error {
		service := staging.PoolService("rules")
		err := g.consul.Agent().ServiceRegister(&consulapi.AgentServiceRegistration{ID: service, Name: service, Meta: map[string]string{consulhealth.SessionMeta: "gr-rules"}})
		if err != nil {
			return err
		}
		eventually(t, func(context.Context) error {
			if !g.isShown(t, service)() {
				return errors.New("the service is not registered yet")
			}
			return nil
		})
		_, err = consulhealth.New(c).Passing(ctx, service)
		return err
	}
}

// showsAssigned shows an assigned session in the catalog.
func (g *guarded) showsAssigned(c *consulapi.Client) func(context.Context) error {
	return func(ctx context.Context) error {
		names := sessioncatalog.DefaultNames()
		// The first session that is shown makes the node.
		if _, err := g.consul.Catalog().Deregister(&consulapi.CatalogDeregistration{Node: names.Node}, nil); err != nil {
			return err
		}
		id := staging.NewSessionID()
		catalog := sessioncatalog.New(c, names)
		catalog.Holds(map[string]bool{zone.Name: true}, map[string]bool{zone.Name: true}, true)
		catalog.Show(staging.Assignment{Session: id, User: staging.User{ID: "u"}, Zone: zone.Name, Image: "app", Address: "192.0.2.1", Port: 80})
		return until(ctx, catalog.Run, func() bool {
			all, _, err := g.consul.Health().Service(names.Service, "", false, nil)
			return err == nil && slices.ContainsFunc(all, func(e *consulapi.ServiceEntry) bool { return e.Service.ID == id })
		})
	}
}

// isShown reports whether Consul has an instance of a service.
func (g *guarded) isShown(t *testing.T, service string) func() bool {
	return func() bool {
		found, _, err := g.consul.Health().Service(service, "", false, nil)
		if err != nil {
			t.Error(err)
		}
		return len(found) > 0
	}
}

// until runs a loop until done returns true, and returns the loop's first error if that
// comes before.
func until(ctx context.Context, run func(context.Context, func(error)), done func() bool) error {
	ctx, stop := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		run(ctx, func(err error) { stop(err) })
	}()
	defer func() { stop(nil); <-ended }()
	for !done() {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}
