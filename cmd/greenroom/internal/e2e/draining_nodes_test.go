package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/redis/go-redis/v9"
)

// queue returns a pool's ready queue in Redis, in the order in which launches take from it.
func (d *devProcess) queue(t *testing.T, pool string) []string {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: strings.TrimPrefix(d.Redis, "redis://")})
	defer rdb.Close()
	ids, err := rdb.ZRange(t.Context(), "greenroom:ready:"+pool, 0, -1).Result()
	must(t, err)
	return ids
}

// eligible sets whether Nomad places new allocations on a node.
func (d *devProcess) eligible(t *testing.T, node string, yes bool) {
	t.Helper()
	_, err := d.nomad(t).Nodes().ToggleEligibility(node, yes, nil)
	must(t, err)
}

// TestADrainingNodesSessionsServeLast: the oldest ready session goes to the end of the queue
// when the drain of its node begins, and back to its head when the drain is cancelled.
func TestADrainingNodesSessionsServeLast(t *testing.T) {
	_, d := twoNodes(t)
	image := quickImage("last")
	// Long enough for the launches below to come before the replacement of the session that
	// drains.
	image.Variables["warmup"] = "6s"
	c := d.stage(t, image, 1)
	d.untilReady(t, "last", 1)
	oldest := d.queue(t, "last")[0]
	node := d.alloc(t, oldest).NodeID
	d.eligible(t, node, false)
	c.DesiredSessions = 3
	d.ask(t, "PUT", "/v1/staging/last", c, 200, nil)
	d.untilReady(t, "last", 3)
	drain := func(spec *nomadapi.DrainSpec) {
		t.Helper()
		_, err := d.nomad(t).Nodes().UpdateDrainOpts(node, &nomadapi.DrainOptions{DrainSpec: spec}, nil)
		must(t, err)
	}
	untilAt := func(what string, place func(ids []string) string) {
		t.Helper()
		until(t, "the session on the draining node is "+what, func() (bool, string) {
			ids := d.queue(t, "last")
			return len(ids) == 3 && place(ids) == oldest, fmt.Sprint(oldest, " in ", ids)
		})
	}
	first := func(ids []string) string { return ids[0] }
	last := func(ids []string) string { return ids[len(ids)-1] }
	untilAt("the oldest", first)
	drain(&nomadapi.DrainSpec{Deadline: time.Hour})
	untilAt("last in the queue", last)
	drain(nil)
	untilAt("at the head again", first)
	drain(&nomadapi.DrainSpec{Deadline: time.Hour})
	untilAt("last in the queue again", last)
	for _, user := range []string{"nora", "olga"} {
		var l launched
		d.ask(t, "POST", "/v1/sessions", launch("last", "east", user), 201, &l)
		if a := d.alloc(t, l.ID); l.Origin != "staged" || a.NodeID == node {
			t.Errorf("%s has %s, %s, on %s; its node is being drained: %v", user, l.ID, l.Origin, a.NodeName, a.NodeID == node)
		}
	}
	// Nothing else is ready: it serves, and is better than a session made on demand.
	var l launched
	d.ask(t, "POST", "/v1/sessions", launch("last", "east", "pia"), 201, &l)
	if l.Origin != "staged" {
		t.Errorf("the third has %s, %s: %+v", l.ID, l.Origin, l.Attempts)
	}
}
