package e2e

import (
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// secondInstallation runs another installation on the same Nomad, Consul and Redis for a
// while, with a pool of the same name in a zone of the same name. It stages, launches and
// ends a session of its own, and sees the sessions of the first one. Its prefix is new each
// time: an old copy of Redis may still have the one before.
func (n *nemesis) secondInstallation(pause time.Duration) {
	t := n.a.T
	n.installations++
	prefix := fmt.Sprintf("gr-n%d", n.installations)
	other, scaler := second(t, n.a.servers.Cluster, "--consul-prefix", prefix, "--redis-prefix", prefix)
	first, own := n.a.d.installation(t).ID, other.installation(t).ID
	other.keeps(t, "torture", 1)
	other.untilAPIReady(t, "torture", 1)
	var used launched
	other.ask(t, "POST", "/v1/sessions", launch("torture", "east", "neighbour"), 201, &used)
	until(t, "the second installation counts the sessions of the first", func() (bool, string) {
		i := other.installation(t)
		return slices.ContainsFunc(i.Foreign, func(f staging.Foreign) bool { return f.Installation == first && f.Sessions > 0 }), fmt.Sprint(i)
	})
	<-time.After(pause)
	other.ask(t, "DELETE", "/v1/sessions/"+used.ID, nil, 204, nil)
	other.drained(t, "torture", own)
	scaler.End(t, syscall.SIGTERM)
	other.agent.End(t, syscall.SIGTERM)
	_, err := other.consul(t).KV().DeleteTree(prefix+"/", nil)
	must(t, err)
}
