package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// TestANodeWhereAnImageFailsIsAvoided: the image exits at once on one of two nodes over which
// Nomad spreads allocations. The pool becomes full on the other, and says which node fails.
func TestANodeWhereAnImageFailsIsAvoided(t *testing.T) {
	_, d := twoNodes(t)
	spread, _, err := d.nomad(t).Operator().SchedulerGetConfiguration(nil)
	must(t, err)
	spread.SchedulerConfig.SchedulerAlgorithm = nomadapi.SchedulerAlgorithmSpread
	_, _, err = d.nomad(t).Operator().SchedulerSetConfiguration(spread.SchedulerConfig, nil)
	must(t, err)
	nodes, _, err := d.nomad(t).Nodes().List(nil)
	must(t, err)
	bad := nodes[slices.IndexFunc(nodes, func(n *nomadapi.NodeListStub) bool { return n.Datacenter == "dc2" })]

	image := quickImage("picky")
	script := filepath.Join(t.TempDir(), "picky")
	must(t, os.WriteFile(script, fmt.Appendf(nil, "#!/bin/sh\n[ \"$NOMAD_DC\" = dc2 ] && exit 1\nexec %s \"$@\"\n", image.Variables["command"]), 0o755))
	image.Variables["command"] = script
	c := d.stage(t, image, 4)
	d.untilReady(t, "picky", 4)
	d.untilCondition(t, "picky", staging.NodeFailing, fmt.Sprintf("%s (%s): task session: exit code 1", bad.Name, bad.ID))
	c.DesiredSessions = 6
	d.ask(t, "PUT", "/v1/staging/picky", c, 200, nil)
	d.untilReady(t, "picky", 6)
	var s poolStatus
	d.ask(t, "GET", "/v1/staging/picky", nil, 200, &s)
	if len(s.Conditions) != 1 || s.Conditions[0].Type != staging.NodeFailing {
		t.Errorf("the node fails, not the image: %+v", s.Conditions)
	}
	// Those that it grew by avoid the node: each has the affinity, and is on the other node.
	avoiding := 0
	for _, j := range d.jobs(t, "picky") {
		job, _, err := d.nomad(t).Jobs().Info(j.id, nil)
		must(t, err)
		if d.alloc(t, j.id).NodeID == bad.ID {
			t.Errorf("%s is on the failing node", j.id)
		}
		if slices.ContainsFunc(job.TaskGroups[0].Affinities, func(a *nomadapi.Affinity) bool { return a.RTarget == bad.ID }) {
			avoiding++
		}
	}
	if avoiding < 2 {
		t.Errorf("%d of the jobs avoid the failing node, want at least the 2 newest", avoiding)
	}
}
