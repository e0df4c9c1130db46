package deploy_test

import (
	"context"
	"os"
	"strings"
	"testing"

	nomadapi "github.com/hashicorp/nomad/api"
)

// TestPolicies uploads the policies and uses tokens that have no other policy.
func TestPolicies(t *testing.T) {
	g := startGuarded(t)
	if _, err := g.nomad.Namespaces().Register(&nomadapi.Namespace{Name: "elsewhere"}, nil); err != nil {
		t.Fatal(err)
	}
	management := g.fleet(t, nomadManagement)
	// A job outside greenroom's namespace, and a session in which an exec runs on the node.
	foreign := start(t, management, newSession(elsewhere), mockSession, elsewhere)
	raw := start(t, management, newSession(zone), rawSession, zone)
	// When the Nomad agent ends, its tasks keep running, so stop them first.
	t.Cleanup(func() {
		all, err := management.List(context.WithoutCancel(t.Context()))
		if err != nil {
			t.Error(err)
		}
		for _, o := range all {
			if o.Job == nil {
				continue
			}
			if err := management.Stop(context.WithoutCancel(t.Context()), o.Job.Session); err != nil {
				t.Error(err)
			}
		}
		g.drained(t, "")
	})

	t.Run("nomad broker", func(t *testing.T) { testNomadBroker(t, g, foreign, raw) })
	t.Run("nomad scaler", func(t *testing.T) { testNomadScaler(t, g, foreign, raw) })
	t.Run("nomad job reads", func(t *testing.T) { testJobReads(t, g) })
	t.Run("narrowed nomad", func(t *testing.T) { testNarrowedNomad(t, g) })
	t.Run("denied hooks", func(t *testing.T) { testDeniedHooks(t, g) })
	t.Run("doctor", func(t *testing.T) { testDoctor(t, g) })
	t.Run("narrowed consul", func(t *testing.T) { testNarrowedConsul(t, g) })
	t.Run("every rule is needed", func(t *testing.T) { testEveryRuleIsNeeded(t, g) })
	t.Run("consul broker", func(t *testing.T) { testConsulBroker(t, g) })
	t.Run("gateway", func(t *testing.T) { testGateway(t, g) })
	t.Run("consul scaler", func(t *testing.T) { testConsulScaler(t, g) })
}

// denied fails the test unless err is a refusal because of a missing permission.
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
