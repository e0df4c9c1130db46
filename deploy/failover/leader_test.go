package failover

import (
	"fmt"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/devcluster/agenttest"
	"github.com/greenroom/greenroom/internal/devcluster/devtest"
)

// TestLeadersOfConsulAndNomadAreKilledWhileCallersLaunch: launches go on, or fail with 503 and a
// repeat gets exactly one session; then the pool is filled again.
func TestLeadersOfConsulAndNomadAreKilledWhileCallersLaunch(t *testing.T) {
	s := startServers(t)
	w := startWorld(t, "greenroom", s.nomadClient, s.consulClient, "--redis-address", devtest.Redis(t))
	const desired = 20
	w.pool(t, desired)
	for _, kind := range []struct {
		name   string
		all    []*server
		client string
	}{{"Consul", s.consul, s.consulClient}, {"Nomad", s.nomad, s.nomadClient}} {
		t.Run(kind.name, func(t *testing.T) {
			calls := startCallers(w, kind.name, 3)
			calls.untilMore(t, 10)
			old := leader(t, kind.all, kind.client)
			old.Kill()
			killed := time.Now()
			calls.untilMore(t, 1)
			served := time.Since(killed)
			agenttest.Until(t, "another server leads", func() (bool, string) {
				now := leader(t, kind.all, kind.client)
				return now != old, fmt.Sprintf("%s, as before", now.Name)
			})
			elected := time.Since(killed)
			calls.untilMore(t, 10)
			acks := calls.done(t)
			w.untilReady(t, "mock", desired)
			agenttest.Measured("the leader of %s was killed: a launch was acknowledged after %.1f s, another server led after %.1f s, the pool was full after %.1f s\n",
				kind.name, served.Seconds(), elected.Seconds(), time.Since(killed).Seconds())
			w.check(t, acks)
		})
	}
	w.untilAgentsAreReady(t)
}
