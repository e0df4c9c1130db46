package deploy_test

import (
	"context"
	"fmt"
	"testing"

	consulapi "github.com/hashicorp/consul/api"

	"github.com/greenroom/greenroom/internal/registry"
)

// brokerLives shows in Consul, with a broker's token, that a broker is alive, then ends that.
func brokerLives(t *testing.T, c *consulapi.Client, r *registry.Registry) {
	t.Helper()
	ctx, stop := context.WithCancel(patient(t))
	defer stop()
	presence := r.NewPresence(c, "policy-test", "192.0.2.1:7480")
	done := make(chan struct{})
	go func() {
		defer close(done)
		presence.Run(ctx, func(err error) { t.Errorf("show that a broker lives: %v", err) })
	}()
	eventually(t, func(ctx context.Context) error {
		alive, err := r.Brokers(ctx)
		if err == nil && (!alive["policy-test"] || presence.ID() != "policy-test") {
			err = fmt.Errorf("%v, %q", alive, presence.ID())
		}
		return err
	})
	stop()
	<-done
}

// seesABroker checks that a registry with a scaler's token reads which brokers are alive.
func (g *guarded) seesABroker(t *testing.T, r *registry.Registry) {
	t.Helper()
	ctx, stop := context.WithCancel(patient(t))
	defer stop()
	presence := registry.New(g.consul, "").NewPresence(g.consul, "seen", "192.0.2.1:7480")
	done := make(chan struct{})
	go func() {
		defer close(done)
		presence.Run(ctx, func(err error) { t.Errorf("show that a broker lives: %v", err) })
	}()
	eventually(t, func(ctx context.Context) error {
		alive, err := r.Brokers(ctx)
		if err == nil && !alive["seen"] {
			err = fmt.Errorf("%v", alive)
		}
		return err
	})
	stop()
	<-done
	eventually(t, func(ctx context.Context) error {
		alive, err := r.Brokers(ctx)
		if _, listed := alive["seen"]; err == nil && listed {
			err = fmt.Errorf("a broker that stopped is listed: %v", alive)
		}
		return err
	})
}
