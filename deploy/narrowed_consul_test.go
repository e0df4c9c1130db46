package deploy_test

import (
	"strings"
	"testing"

	consulapi "github.com/hashicorp/consul/api"

	"github.com/greenroom/greenroom/internal/consulhealth"
	"github.com/greenroom/greenroom/internal/devcluster/agenttest"
	"github.com/greenroom/greenroom/internal/registry"
	"github.com/greenroom/greenroom/internal/staging"
)

// testNarrowedConsul: an answer that Consul has cut, as it does silently for a token that
// may not read everything, is an error and no observation. An empty list of fates would
// look like sessions without users, and an empty list of resources like deleted pools.
func testNarrowedConsul(t *testing.T, g *guarded) {
	whole := registry.New(g.consul, "narrowed/")
	_, err := whole.PutZone(patient(t), zone)
	agenttest.Must(t, err)
	_, _, err = whole.CreateFate(patient(t), staging.Fate{Session: "gr-3", Verdict: staging.VerdictRetired})
	agenttest.Must(t, err)
	service := staging.PoolService("narrowed")
	agenttest.Must(t, g.consul.Agent().ServiceRegister(&consulapi.AgentServiceRegistration{ID: service, Name: service}))

	for name, rules := range map[string]string{
		"one key of each": `key "narrowed/fates/gr-3" { policy = "deny" }
key "narrowed/resources/zones/east" { policy = "deny" }
key_prefix "narrowed/" { policy = "read" }
node_prefix "" { policy = "read" }`,
		"all of it": `key_prefix "other/" { policy = "read" }`,
		"the nodes": `service_prefix "" { policy = "read" }`,
	} {
		t.Run(name, func(t *testing.T) {
			c := g.consulClient(t, g.consulTokenFor(t, "narrowed-"+strings.ReplaceAll(name, " ", "-"), rules))
			r := registry.New(c, "narrowed/")
			fates, err := r.Fates(patient(t))
			t.Logf("fates: %v, %v", fates, err)
			if err == nil {
				t.Errorf("the fates are %v", fates)
			}
			if resources, err := r.Refresh(patient(t)); err == nil {
				t.Errorf("the resources are %+v", resources)
			}
			if err := r.Watch(patient(t), func(staging.Resources) { t.Error("emitted resources") }); err == nil {
				t.Error("the watch of resources ended without an error")
			}
			health := consulhealth.New(c)
			found, err := health.Passing(patient(t), service)
			t.Logf("health: %v, %v", found, err)
			if err == nil {
				t.Errorf("the passing instances are %v", found)
			}
			if err := health.Watch(patient(t), service, func(h []staging.Health) { t.Errorf("emitted %v", h) }); err == nil {
				t.Error("the watch of health ended without an error")
			}
		})
	}
}
