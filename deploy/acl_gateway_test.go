package deploy_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	consulapi "github.com/hashicorp/consul/api"

	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/registry"
	"github.com/greenroom/greenroom/internal/staging"
)

// testGateway: a gateway, which everybody reaches, follows what it needs, and may neither read what
// brokers keep secret, nor decide whose a session is, nor start or stop one.
func testGateway(t *testing.T, g *guarded) {
	c := g.consulClient(t, g.consulTokenFor(t, "greenroom-gateway", read(t, "acl/consul-gateway.policy.hcl")))
	r, whole := registry.New(c, ""), registry.New(g.consul, "")
	if _, err := whole.Keys(patient(t), staging.AccessSecret); err != nil {
		t.Fatal(err)
	}
	shared, err := whole.Keys(patient(t), staging.GatewaySecret)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := r.Keys(patient(t), staging.GatewaySecret)
	if err != nil || string(keys[0].Key) != string(shared[0].Key) {
		t.Errorf("the keys of links: %d, %v", len(keys), err)
	}
	// It follows the keys through a rotation.
	watch, stop := patient(t), make(chan error, 1)
	go func() { stop <- r.WatchGatewayKeys(watch) }()
	if _, err := whole.RotateKeys(patient(t), []string{staging.AccessSecret, staging.GatewaySecret}, time.Now(), time.Hour); err != nil {
		t.Fatal(err)
	}
	eventually(t, func(context.Context) error {
		select {
		case err := <-stop:
			t.Fatalf("the watch of the keys ended: %v", err)
		default:
		}
		if keys, err := r.Keys(t.Context(), staging.GatewaySecret); err != nil || len(keys) != 2 {
			return fmt.Errorf("%d keys, %v", len(keys), err)
		}
		return nil
	})

	if keys, err := r.Keys(patient(t), staging.AccessSecret); err == nil {
		t.Errorf("the gateway reads %d keys of brokers", len(keys))
	}
	_, _, err = c.KV().Get("greenroom/secrets/access", nil)
	denied(t, "reading the brokers' secret", err)
	if tokens, err := r.RefreshTokens(patient(t)); err == nil && len(tokens.All()) > 0 {
		t.Error("the gateway reads the callers' tokens")
	}
	_, _, err = r.CreateFate(patient(t), staging.Fate{Session: staging.NewSessionID(), Verdict: staging.VerdictRetired})
	denied(t, "deciding a fate", err)
	_, err = r.PutZone(patient(t), zone)
	denied(t, "storing a zone", err)
	_, _, err = r.LockUser(patient(t), access.UserLock{UserID: "u"})
	denied(t, "locking a user", err)
	denied(t, "registering a service", c.Agent().ServiceRegister(&consulapi.AgentServiceRegistration{Name: "greenroom-broker"}))

	fleet := g.fleet(t, g.nomadTokenFor(t, "greenroom-gateway", read(t, "acl/nomad-gateway.policy.hcl")))
	s := g.running(t)
	if found, err := fleet.Find(patient(t), s); err != nil || found.AllocID == "" {
		t.Errorf("finding a session: %+v, %v", found, err)
	}
	denied(t, "registering a session", registers(patient(t), fleet))
	denied(t, "stopping a session", fleet.Stop(patient(t), s))
	denied(t, "an exec in a session", execIn(t, fleet, s))
}
