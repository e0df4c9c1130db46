package e2e

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// TestNoKeepaliveIsMissedThatNobodyCouldReceive: Redis hangs and keeps its data, the scaler is
// killed, and then the broker. Whatever comes back first, also another scaler, the session
// goes on until a broker could have received its keepalives for a whole period.
func TestNoKeepaliveIsMissedThatNobodyCouldReceive(t *testing.T) {
	const period = 4 * time.Second
	c, d := startCluster(t, 1)
	first := startAgent(t, c, "scaler")
	d.untilReady(t, "mock", 1)
	d.ask(t, "PUT", "/v1/groups/attentive", staging.Group{Name: "attentive", KeepaliveExpiration: staging.Duration(period)}, 201, nil)
	l := inGroup(t, d, "mock", "east", "olga", "attentive")
	given := time.Now()
	must(t, c.Redis.Pause())
	resumed := false
	defer func() {
		if !resumed {
			must(t, c.Redis.Resume())
		}
	}()
	first.End(t, syscall.SIGKILL)
	d.agent.End(t, syscall.SIGKILL)
	until(t, "the period and the gap are over", func() (bool, string) {
		over := given.Add(period + staging.KeepaliveGap + time.Second)
		return time.Now().After(over), time.Until(over).String()
	})
	must(t, c.Redis.Resume())
	resumed = true

	second := startAgent(t, c, "scaler")
	until(t, "the second scaler asks Redis twice whether the keepalive has expired", func() (bool, string) {
		body := get(t, "http://"+second.Address+"/metrics")
		return metric(t, "http://"+second.Address, `greenroom_scaler_steps_total{kind="lapse",result="ok"}`) >= 2, body[max(0, len(body)-2000):]
	})
	if ends := append(d.noted(t, staging.EventEnding), d.noted(t, staging.EventEnded)...); len(ends) > 0 {
		t.Errorf("ended before a client could send a keepalive: %v", ends)
	}

	b := startAgent(t, c, "broker")
	d = &devProcess{agent: b, readyFile: readyFile{Broker: "http://" + b.Address, Consul: c.ConsulAddr, Nomad: c.NomadAddr, Redis: c.RedisAddr}}
	if s := d.session(t, l.ID); s.State != "assigned" {
		t.Errorf("it is %s: %s", s.State, s.Reason)
	}
	// Nobody sends a keepalive now, though a broker could receive it.
	if reason := d.untilEnded(t, l.ID); !strings.Contains(reason, "no keepalive came for 4s") {
		t.Errorf("it ended with %q", reason)
	}
}
