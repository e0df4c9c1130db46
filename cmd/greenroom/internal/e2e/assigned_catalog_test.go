package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	consulapi "github.com/hashicorp/consul/api"
	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// TestUsersSessionsOutliveANodeThatNoLongerFits: two sessions have a constraint on a node's
// meta, which an operator changes while they wait. The sessions are launched and go on,
// because nothing registers their jobs again.
func TestUsersSessionsOutliveANodeThatNoLongerFits(t *testing.T) {
	d := sharedDev(t)
	image := quickImage("fits")
	image.Jobspec = strings.Replace(image.Jobspec, "count = 1", `count = 1

    constraint {
      attribute = "${meta.desk}"
      operator  = "!="
      value     = "off"
    }`, 1)
	d.stage(t, image, 2)
	d.untilReady(t, "fits", 2)
	var node string
	for _, j := range d.jobs(t, "fits") {
		node = d.alloc(t, j.id).NodeID
	}
	d.nodeMeta(t, node, "desk", "off")
	defer d.nodeMeta(t, node, "desk", "")

	var first, second launched
	d.ask(t, "POST", "/v1/sessions", launch("fits", "east", "fay"), 201, &first)
	d.ask(t, "POST", "/v1/sessions", launch("fits", "east", "fox"), 201, &second)
	for _, l := range []launched{first, second} {
		d.untilShown(t, l.ID)
		if l.Origin != string(staging.Staged) {
			t.Fatalf("it was not staged: %+v", l)
		}
		d.neverRegisteredAgain(t, l.ID)
	}
}

// shown returns an assigned session's entry in Consul's catalog, nil for none.
func (d *devProcess) shown(t *testing.T, session string) *consulapi.ServiceEntry {
	t.Helper()
	entries, _, err := d.consul(t).Health().Service(staging.SessionsService, "", false, nil)
	must(t, err)
	for _, e := range entries {
		if e.Service.ID == session {
			return e
		}
	}
	return nil
}

// untilShown waits until Consul's catalog shows whose a session is.
func (d *devProcess) untilShown(t *testing.T, session string) (e *consulapi.ServiceEntry) {
	t.Helper()
	until(t, "Consul shows whose "+session+" is", func() (bool, string) {
		e = d.shown(t, session)
		return e != nil, "no entry"
	})
	return e
}

// untilNotShown waits until Consul's catalog no longer has a session's entry.
func (d *devProcess) untilNotShown(t *testing.T, session string) {
	t.Helper()
	until(t, "Consul no longer shows "+session, func() (bool, string) { return d.shown(t, session) == nil, "its entry" })
}

// hide removes a session's entry from Consul's catalog by hand.
func (d *devProcess) hide(t *testing.T, session string) {
	t.Helper()
	_, err := d.consul(t).Catalog().Deregister(&consulapi.CatalogDeregistration{Node: staging.SessionsService, ServiceID: session}, nil)
	must(t, err)
}

// TestTheListAndConsulShowWhoseASessionIs: staged sessions have no user there, assigned ones
// theirs, however they were made. An entry that is removed by hand comes back. It goes with
// the session, and a session that ends within moments never has one.
func TestTheListAndConsulShowWhoseASessionIs(t *testing.T) {
	d := sharedDev(t)
	d.stage(t, quickImage("shown"), 2)
	d.store(t, quickImage("shown-on-demand"))
	d.untilReady(t, "shown", 2)
	ever := d.watchShown(t)
	var brief, l, demand launched
	d.ask(t, "POST", "/v1/sessions", launch("shown", "east", "bea"), 201, &brief)
	d.ask(t, "DELETE", "/v1/sessions/"+brief.ID, nil, 204, nil)
	d.ask(t, "POST", "/v1/sessions", launch("shown", "east", "sam"), 201, &l)
	d.ask(t, "POST", "/v1/sessions", launch("shown-on-demand", "east", "dot"), 201, &demand)

	var list struct {
		Items []struct {
			ID, State, Image string
			User             *staging.User
		}
	}
	d.ask(t, "GET", "/v1/sessions?limit=1000&image=shown", nil, 200, &list)
	for _, s := range list.Items {
		if s.State == "ready" && s.User != nil || s.ID == l.ID && (s.User == nil || s.User.Name != "sam") {
			t.Errorf("%s is %s and has the user %+v", s.ID, s.State, s.User)
		}
	}

	for user, x := range map[string]launched{"sam": l, "dot": demand} {
		e := d.untilShown(t, x.ID)
		alloc := d.alloc(t, x.ID)
		m := e.Service.Meta
		if m["greenroom_user_id"] != "u-"+user || m["greenroom_user_name"] != user || m["greenroom_zone"] != "east" || m["greenroom_image"] != x.Image ||
			m["greenroom_staging"] != x.Staging || m["greenroom_alloc"] != alloc.ID || m["greenroom_nomad_node"] != alloc.NodeID ||
			!slices.Contains(e.Service.Tags, "user=u-"+user) || e.Node.Meta["external-node"] != "true" {
			t.Errorf("Consul shows %+v on %+v", e.Service, e.Node)
		}
		if at := fmt.Sprintf("http://%s:%d", e.Service.Address, e.Service.Port); at != x.page() || get(t, at+"/served") == "" {
			t.Errorf("Consul has it at %s, and it is at %s", at, x.page())
		}
		until(t, "its check passes", func() (bool, string) {
			e := d.shown(t, x.ID)
			return len(e.Checks) == 1 && e.Checks.AggregatedStatus() == consulapi.HealthPassing, fmt.Sprint(e.Checks)
		})
		d.neverRegisteredAgain(t, x.ID)
	}
	for _, e := range d.instances(t, "shown") {
		if text := fmt.Sprint(e.Service.Tags, e.Service.Meta); strings.Contains(text, "u-sam") || strings.Contains(text, "state=") {
			t.Errorf("the session's own service has what changes with a launch: %s", text)
		}
	}

	d.hide(t, l.ID)
	d.untilShown(t, l.ID)
	d.ask(t, "DELETE", "/v1/sessions/"+l.ID, nil, 204, nil)
	d.untilNotShown(t, l.ID)
	if d.shown(t, demand.ID) == nil {
		t.Error("another session's entry is gone, too")
	}
	if seen := ever(); seen[brief.ID] || !seen[l.ID] {
		t.Errorf("of the brief session %s and the other %s Consul showed %v", brief.ID, l.ID, seen)
	}
}

// instances returns the instances of a pool's service.
func (d *devProcess) instances(t *testing.T, pool string) []*consulapi.ServiceEntry {
	t.Helper()
	entries, _, err := d.consul(t).Health().Service(staging.PoolService(pool), "", false, nil)
	must(t, err)
	return entries
}

// watchShown follows Consul's catalog. The function that it returns ends that, and returns
// all sessions that had an entry meanwhile.
func (d *devProcess) watchShown(t *testing.T) (ever func() map[string]bool) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	seen, done, consul := map[string]bool{}, make(chan struct{}), d.consul(t)
	go func() {
		defer close(done)
		var index uint64
		for ctx.Err() == nil {
			entries, meta, err := consul.Catalog().Service(staging.SessionsService, "", (&consulapi.QueryOptions{WaitIndex: index}).WithContext(ctx))
			if err != nil {
				continue
			}
			index = meta.LastIndex
			for _, e := range entries {
				seen[e.ServiceID] = true
			}
		}
	}()
	return func() map[string]bool {
		stop()
		<-done
		return seen
	}
}

// neverRegisteredAgain checks that Nomad has a session's job as it was created, and that its
// first allocation runs.
func (d *devProcess) neverRegisteredAgain(t *testing.T, session string) {
	t.Helper()
	n := d.nomad(t)
	job, _, err := n.Jobs().Info(session, nil)
	must(t, err)
	if *job.Version != 0 || *job.JobModifyIndex != *job.CreateIndex {
		t.Errorf("the job of %s has version %d, was created at index %d and registered again at %d", session, *job.Version, *job.CreateIndex, *job.JobModifyIndex)
	}
	evals, _, err := n.Jobs().Evaluations(session, nil)
	must(t, err)
	for _, e := range evals {
		if e.CreateIndex != *job.CreateIndex && e.TriggeredBy == "job-register" {
			t.Errorf("%s was evaluated again: %+v", session, e)
		}
	}
	allocs, _, err := n.Jobs().Allocations(session, true, nil)
	must(t, err)
	if len(allocs) != 1 || allocs[0].DesiredStatus != nomadapi.AllocDesiredStatusRun || allocs[0].ClientStatus != nomadapi.AllocClientStatusRunning {
		for _, a := range allocs {
			t.Errorf("allocation %s of %s: desired %s (%s), is %s (%s)", a.ID, session, a.DesiredStatus, a.DesiredDescription, a.ClientStatus, a.ClientDescription)
		}
	}
}

// nodeMeta sets a key of a node's meta, "" for none, and waits until the servers have it.
func (d *devProcess) nodeMeta(t *testing.T, node, key, value string) {
	t.Helper()
	n := d.nomad(t)
	set := &value
	if value == "" {
		set = nil
	}
	_, err := n.Nodes().Meta().Apply(&nomadapi.NodeMetaApplyRequest{NodeID: node, Meta: map[string]*string{key: set}}, nil)
	must(t, err)
	until(t, "the servers know the node's meta", func() (bool, string) {
		info, _, err := n.Nodes().Info(node, nil)
		must(t, err)
		return info.Meta[key] == value, info.Meta[key]
	})
}
