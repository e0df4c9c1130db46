package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// whereRun counts a pool's ready sessions by node.
func (d *devProcess) whereRun(t *testing.T, pool string) map[string]int {
	t.Helper()
	counts := map[string]int{}
	for _, id := range d.queue(t, pool) {
		counts[d.alloc(t, id).NodeName]++
	}
	return counts
}

// spreadOver fails unless each of the nodes has the share of a pool's ready sessions, one more or
// one less.
func (d *devProcess) spreadOver(t *testing.T, when, pool string, nodes []string, share int) {
	t.Helper()
	counts := d.whereRun(t, pool)
	t.Log(when, counts)
	if slices.Compare(slices.Sorted(maps.Keys(counts)), nodes) != 0 {
		t.Errorf("%s: they run on %v, want some on each of %v", when, counts, nodes)
	}
	for node, n := range counts {
		if n < share-1 || n > share+1 {
			t.Errorf("%s: %d on %s, want %d±1: %v", when, n, node, share, counts)
		}
	}
}

// TestSessionsAreSpreadOverNodes: twelve sessions over three nodes are four on each, one more or
// less, and stay so through claims and refills; a node that is lost costs a third of them. A pool
// that is not spread is left to Nomad. No session has more than one job, and where
// a session runs is no part of its revision.
func TestSessionsAreSpreadOverNodes(t *testing.T) {
	c, d := startServers(t, []string{"dc1", "dc2", "dc3"})
	startAgent(t, c, "scaler")
	nodes := []string{"nomad-client-dc1", "nomad-client-dc2", "nomad-client-dc3"}
	d.stage(t, quickImage("packed"), 3, func(c *staging.Config) { c.Spread = staging.SpreadNone })
	d.untilReady(t, "packed", 3)
	if n := d.narrowed(t, "packed"); n != 0 {
		t.Errorf("without a spread Nomad was to choose, and %d jobs name nodes", n)
	}
	d.stage(t, quickImage("even"), 12)
	d.untilReady(t, "even", 12)
	d.spreadOver(t, "filled", "even", nodes, 4)
	if n := d.narrowed(t, "even"); n == 0 {
		t.Error("with a spread no job names nodes")
	}
	for round := range 3 {
		for n := range 5 {
			var l launched
			d.ask(t, "POST", "/v1/sessions", launch("even", "east", fmt.Sprintf("user-%d-%d", round, n)), 201, &l)
			if l.Origin != "staged" {
				t.Errorf("session %s is %s", l.ID, l.Origin)
			}
			if n%2 == 0 {
				d.ask(t, "DELETE", "/v1/sessions/"+l.ID, nil, 204, nil)
			}
		}
		d.untilReady(t, "even", 12)
		d.spreadOver(t, fmt.Sprintf("after %d claims", 5*(round+1)), "even", nodes, 4)
	}
	var pool struct {
		Updated int `json:"updated_ready_sessions"`
	}
	d.ask(t, "GET", "/v1/staging/even", nil, 200, &pool)
	if pool.Updated != 12 {
		t.Errorf("%d of 12 sessions are of the pool's revision", pool.Updated)
	}
	before := d.queue(t, "even")
	must(t, c.NomadClients[2].Kill())
	lost := 0
	d.untilAllElsewhere(t, "even", 12, d.nodeID(t, nodes[2]))
	after := d.queue(t, "even")
	for _, id := range before {
		if !slices.Contains(after, id) {
			lost++
		}
	}
	if lost < 3 || lost > 5 {
		t.Errorf("the lost node cost %d of 12 sessions", lost)
	}
	d.spreadOver(t, "with a node lost", "even", nodes[:2], 6)
}

// narrowed counts the jobs of an image that Nomad may place on some nodes alone.
func (d *devProcess) narrowed(t *testing.T, image string) (n int) {
	t.Helper()
	for _, j := range d.jobs(t, image) {
		info, _, err := d.nomad(t).Jobs().Info(j.id, nil)
		must(t, err)
		if slices.ContainsFunc(info.TaskGroups[0].Constraints, func(c *nomadapi.Constraint) bool { return c.LTarget == staging.DefaultSpread }) {
			n++
		}
	}
	return n
}

// nodeID returns the id of a node.
func (d *devProcess) nodeID(t *testing.T, name string) string {
	t.Helper()
	nodes, _, err := d.nomad(t).Nodes().List(nil)
	must(t, err)
	at := slices.IndexFunc(nodes, func(n *nomadapi.NodeListStub) bool { return n.Name == name })
	if at < 0 {
		t.Fatalf("no node is called %s", name)
	}
	return nodes[at].ID
}

// TestSessionsAreSpreadOverRacks: by the meta of nodes, of which one has none: two racks have four
// sessions each, although one has two nodes. An image that only the nodes of one rack suit runs
// there all the same, and the pool has no condition.
func TestSessionsAreSpreadOverRacks(t *testing.T) {
	c, d := startServers(t, []string{"dc1", "dc2", "dc3", "dc4"})
	startAgent(t, c, "scaler")
	for i, rack := range []string{"r1", "r1", "r2"} {
		_, err := d.nomad(t).Nodes().Meta().Apply(&nomadapi.NodeMetaApplyRequest{
			NodeID: d.nodeID(t, c.NomadClients[i].Name), Meta: map[string]*string{"rack": &rack},
		}, nil)
		must(t, err)
	}
	until(t, "the servers know the racks", func() (bool, string) {
		var known []string
		for _, client := range c.NomadClients[:3] {
			n, _, err := d.nomad(t).Nodes().Info(d.nodeID(t, client.Name), nil)
			must(t, err)
			if time.Now().Unix() < n.StatusUpdatedAt+2 {
				return false, n.Name + " has changed just now" // which a scaler hears a moment later
			}
			known = append(known, n.Meta["rack"]+" "+n.Status)
		}
		// A client that tells its new meta is initializing for a moment, and takes nothing.
		return slices.Equal(known, []string{"r1 ready", "r1 ready", "r2 ready"}), fmt.Sprint(known)
	})
	racks := func(c *staging.Config) { c.Spread = "${meta.rack}" }
	d.stage(t, quickImage("racked"), 8, racks)
	d.untilReady(t, "racked", 8)
	counts := d.whereRun(t, "racked")
	if r2 := counts["nomad-client-dc3"]; r2 != 4 || counts["nomad-client-dc4"] > 0 {
		t.Errorf("rack r2 has %d of 8: %v", r2, counts)
	}
	picky := quickImage("picky")
	picky.Jobspec = strings.Replace(picky.Jobspec, "    count = 1\n", "    count = 1\n\n    constraint {\n      attribute = \"$${node.datacenter}\"\n      value     = \"dc3\"\n    }\n", 1)
	picky.Jobspec = strings.ReplaceAll(picky.Jobspec, "$${", "${")
	d.stage(t, picky, 3, racks)
	d.untilReady(t, "picky", 3)
	if counts := d.whereRun(t, "picky"); counts["nomad-client-dc3"] != 3 {
		t.Errorf("%v", counts)
	}
	d.untilBlameless(t, "picky")
}

// TestDistinctHosts: with three nodes a pool of five has three sessions, each on another node, and
// a condition that says why the rest wait. A claimed session keeps its node to itself. When its
// user leaves, the next one starts there. Switched off, the pool becomes full.
func TestDistinctHosts(t *testing.T) {
	c, d := startServers(t, []string{"dc1", "dc2", "dc3"})
	startAgent(t, c, "scaler")
	conf := d.stage(t, quickImage("apart"), 5, func(c *staging.Config) { c.DistinctHosts = true })
	alone := func(when string, ready int) {
		t.Helper()
		d.untilReady(t, "apart", ready)
		d.untilCondition(t, "apart", staging.NoNodesInZone, "3 nodes with a session of this pool already, and distinct_hosts allows one a node")
		until(t, when+": one session on each node", func() (bool, string) {
			nodes, together := d.whereApart(t, "apart")
			if together != "" && !strings.HasPrefix(when, "switched on") {
				t.Fatalf("%s: %s", when, together)
			}
			return together == "" && len(nodes) == 3, fmt.Sprint(nodes, together)
		})
	}
	alone("filled", 3)
	var l launched
	d.ask(t, "POST", "/v1/sessions", launch("apart", "east", "nora"), 201, &l)
	alone("one has a user", 2)
	d.ask(t, "DELETE", "/v1/sessions/"+l.ID, nil, 204, nil)
	alone("the user has left", 3)
	conf.DistinctHosts = false
	d.ask(t, "PUT", "/v1/staging/apart", conf, 200, nil)
	d.untilReady(t, "apart", 5)
	d.untilBlameless(t, "apart")
	conf.DistinctHosts = true
	d.ask(t, "PUT", "/v1/staging/apart", conf, 200, nil)
	alone("switched on again", 3)
}

// whereApart returns which session of an image runs on each node, and which run together.
func (d *devProcess) whereApart(t *testing.T, image string) (nodes map[string]string, together string) {
	t.Helper()
	nodes = map[string]string{}
	for _, j := range d.jobs(t, image) {
		all, _, err := d.nomad(t).Jobs().Allocations(j.id, true, nil)
		must(t, err)
		for _, a := range all {
			if a.ClientStatus != nomadapi.AllocClientStatusRunning {
				continue
			}
			if other := nodes[a.NodeName]; other != "" {
				together = fmt.Sprintf("sessions %s and %s are both on %s", other, j.id, a.NodeName)
			}
			nodes[a.NodeName] = j.id
		}
	}
	return nodes, together
}
