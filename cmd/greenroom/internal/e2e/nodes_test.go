package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/greenroom/greenroom/internal/devcluster"
)

// twoNodes starts a zone of two nodes, with a scaler.
func twoNodes(t *testing.T) (*devcluster.Cluster, *devProcess) {
	t.Helper()
	c, d := startServers(t, []string{"dc1", "dc2"})
	startAgent(t, c, "scaler")
	return c, d
}

// untilAllElsewhere waits until a pool has its desired number of ready sessions, all on other
// nodes, and none of its unassigned sessions runs on this node.
func (d *devProcess) untilAllElsewhere(t *testing.T, pool string, ready int, node string, assigned ...string) {
	t.Helper()
	until(t, fmt.Sprintf("the %d sessions of %s are all on another node", ready, pool), func() (bool, string) {
		there, saw := 0, ""
		for _, j := range d.jobs(t, pool) {
			all, _, err := d.nomad(t).Jobs().Allocations(j.id, false, nil)
			must(t, err)
			for _, a := range all {
				saw += fmt.Sprintln(j.id, a.NodeName, a.DesiredStatus, a.ClientStatus)
				mine := len(assigned) > 0 && assigned[0] == j.id
				if a.NodeID == node && !mine && a.DesiredStatus == nomadapi.AllocDesiredStatusRun {
					there++
				}
			}
		}
		return there == 0, saw
	})
	d.untilReady(t, pool, ready)
}

// TestADrainedNodesSessionsAreReplaced: unassigned sessions at once. A user keeps a session
// until the drain's deadline; then it ends with the reason.
func TestADrainedNodesSessionsAreReplaced(t *testing.T) {
	_, d := twoNodes(t)
	d.stage(t, quickImage("drained"), 3)
	d.untilReady(t, "drained", 3)
	var l launched
	d.ask(t, "POST", "/v1/sessions", launch("drained", "east", "nora"), 201, &l)
	d.untilReady(t, "drained", 3)
	node := d.alloc(t, l.ID).NodeID
	drain := func(deadline time.Duration) {
		t.Helper()
		_, err := d.nomad(t).Nodes().UpdateDrainOpts(node, &nomadapi.DrainOptions{DrainSpec: &nomadapi.DrainSpec{Deadline: deadline}}, nil)
		must(t, err)
	}
	drain(time.Hour)
	d.untilAllElsewhere(t, "drained", 3, node, l.ID)
	if got := record(t, l); len(got) != 1 || got[0].UserName != "nora" {
		t.Errorf("the user's session while its node drains: %+v", got)
	}
	d.untilBlameless(t, "drained")
	drain(-1) // force: the deadline is now
	if reason := d.untilEnded(t, l.ID); !strings.Contains(reason, "migrated") {
		t.Errorf("it ended with %q", reason)
	}
	d.untilNothingRuns(t, l.ID)
	d.untilReady(t, "drained", 3)
}

// untilNothingRuns waits until no allocation of a session's job runs, nor a clone of one.
func (d *devProcess) untilNothingRuns(t *testing.T, session string) {
	t.Helper()
	until(t, "no allocation of "+session+" runs", func() (bool, string) {
		all, _, err := d.nomad(t).Jobs().Allocations(session, true, nil)
		if err != nil {
			return true, "" // purged
		}
		saw := ""
		for _, a := range all {
			if a.ClientStatus == nomadapi.AllocClientStatusRunning || a.ClientStatus == nomadapi.AllocClientStatusPending {
				saw += fmt.Sprintln(a.ID, a.NodeName, a.DesiredStatus, a.ClientStatus)
			}
		}
		return saw == "", saw
	})
}

// TestALostNodesSessionsAreReplaced: unassigned sessions are replaced elsewhere, and a user's
// session ends with Nomad's reason. When the node is back, none of them runs on there.
func TestALostNodesSessionsAreReplaced(t *testing.T) {
	c, d := twoNodes(t)
	d.stage(t, quickImage("lost"), 2)
	d.untilReady(t, "lost", 2)
	var gone launched
	d.ask(t, "POST", "/v1/sessions", launch("lost", "east", "olga"), 201, &gone)
	d.untilReady(t, "lost", 2)
	node := d.alloc(t, gone.ID)
	began := time.Now()
	client := nodesClient(t, c, node)
	must(t, client.Kill())
	if reason := d.untilEnded(t, gone.ID); !strings.Contains(reason, "node is down") {
		t.Errorf("it ended with %q", reason)
	}
	d.untilAllElsewhere(t, "lost", 2, node.NodeID)
	measured("all sessions of a lost node replaced %.1f s after it was killed (Nomad's heartbeat takes 20 to 30 of them)\n", time.Since(began).Seconds())
	d.untilBlameless(t, "lost")
	must(t, client.Restart(t.Context()))
	d.untilNothingRuns(t, gone.ID)
	d.noProcessOf(t, gone)
	d.untilAllElsewhere(t, "lost", 2, node.NodeID)
}

// TestANodeThatIsCutOffAndComesBack: where a jobspec allows a disconnected client for a while,
// a user's session goes on, and unassigned ones are replaced after the grace time. Sessions
// of other jobspecs end as if the node was lost.
func TestANodeThatIsCutOffAndComesBack(t *testing.T) {
	c, d := twoNodes(t)
	cut := quickImage("cut")
	cut.Jobspec = strings.Replace(cut.Jobspec, "    count = 1\n", "    count = 1\n\n    disconnect {\n      lost_after = \"1h\"\n    }\n", 1)
	// Each pool has a session on each of the two nodes.
	d.stage(t, cut, 2)
	d.stage(t, quickImage("other"), 2)
	d.untilReady(t, "cut", 2)
	d.untilReady(t, "other", 2)
	var kept, gone launched
	d.ask(t, "POST", "/v1/sessions", launch("cut", "east", "pia"), 201, &kept)
	before := d.alloc(t, kept.ID)
	for _, user := range []string{"rob", "ron"} {
		var l launched
		if d.ask(t, "POST", "/v1/sessions", launch("other", "east", user), 201, &l); d.alloc(t, l.ID).NodeID == before.NodeID {
			gone = l
		}
	}
	if gone.ID == "" {
		t.Fatalf("no session of the pool other is on %s", before.NodeName)
	}
	d.untilReady(t, "cut", 2)
	d.untilReady(t, "other", 2)
	client := nodesClient(t, c, before)
	must(t, client.Kill())
	if reason := d.untilEnded(t, gone.ID); !strings.Contains(reason, "node is down") {
		t.Errorf("it ended with %q", reason)
	}
	for _, pool := range []string{"cut", "other"} {
		d.untilAllElsewhere(t, pool, 2, before.NodeID, kept.ID)
		d.untilBlameless(t, pool)
	}
	if s := d.session(t, kept.ID); s.State != "assigned" {
		t.Errorf("the session that may be cut off for a while is %s: %s", s.State, s.Reason)
	}
	must(t, client.Restart(t.Context()))
	until(t, "Nomad sees the user's session again", func() (bool, string) {
		now := d.alloc(t, kept.ID)
		return now.ID == before.ID && now.ClientStatus == nomadapi.AllocClientStatusRunning, now.ClientStatus
	})
	if s := d.session(t, kept.ID); s.State != "assigned" || s.Address != kept.Address || s.Ports["http"] != kept.Ports["http"] {
		t.Errorf("%+v, was %+v", s, kept)
	}
	if got := record(t, kept); len(got) != 1 || got[0].UserName != "pia" {
		t.Errorf("the user's session when its node is back: %+v", got)
	}
	d.untilNothingRuns(t, gone.ID)
	d.noProcessOf(t, gone)
	for _, pool := range []string{"cut", "other"} {
		d.untilAllElsewhere(t, pool, 2, before.NodeID, kept.ID)
	}
}

// nodesClient returns the Nomad client on which an allocation runs.
func nodesClient(t *testing.T, c *devcluster.Cluster, a *nomadapi.AllocationListStub) *devcluster.Process {
	t.Helper()
	for _, p := range c.NomadClients {
		if p.Name == a.NodeName {
			return p
		}
	}
	t.Fatalf("no client is called %s", a.NodeName)
	return nil
}

// untilBlameless waits until a pool has no condition: what befalls a node is not
// its image's failure.
func (d *devProcess) untilBlameless(t *testing.T, pool string) {
	t.Helper()
	until(t, pool+" has no condition", func() (bool, string) {
		var s poolStatus
		d.ask(t, "GET", "/v1/staging/"+pool, nil, 200, &s)
		return len(s.Conditions) == 0, fmt.Sprintf("%+v", s.Conditions)
	})
}

// noProcessOf waits until nothing answers at a session's address: the processes of an
// allocation that Nomad calls lost may still run.
func (d *devProcess) noProcessOf(t *testing.T, l launched) {
	t.Helper()
	until(t, "nothing answers where "+l.ID+" was", func() (bool, string) {
		r, err := (&devProcess{readyFile: readyFile{Broker: l.page()}}).call("GET", "/served", "")
		return err != nil || !strings.Contains(string(r.body), l.User.Name), string(r.body)
	})
}
