package sessioncatalog

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/greenroom/greenroom/internal/devcluster"
	"github.com/greenroom/greenroom/internal/devcluster/devtest"
	"github.com/greenroom/greenroom/internal/staging"
)

var servers = devtest.Share(devcluster.Options{NoRedis: true})

func TestMain(m *testing.M) { os.Exit(servers.Around(m).Run()) }

// counted counts a client's writes.
type counted struct{ writes atomic.Int64 }

func (c *counted) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPut {
		c.writes.Add(1)
	}
	return http.DefaultTransport.RoundTrip(r)
}

func consul(t *testing.T) (*api.Client, *counted) {
	t.Helper()
	count := new(counted)
	client, err := api.NewClient(&api.Config{Address: servers.Cluster(t).ConsulAddr, HttpClient: &http.Client{Transport: count}})
	if err != nil {
		t.Fatal(err)
	}
	return client, count
}

// namesOf returns names that only this test uses.
func namesOf(t *testing.T) Names {
	name := "greenroom-" + strings.ToLower(t.Name())
	return Names{Service: name, Node: name}
}

// only is a set of zones.
func only(zones ...string) map[string]bool {
	set := map[string]bool{}
	for _, z := range zones {
		set[z] = true
	}
	return set
}

// start returns a catalog whose scaler acts in zones, of east and west.
func start(t *testing.T, zones ...string) (*Catalog, *counted) {
	t.Helper()
	client, count := consul(t)
	c := New(client, namesOf(t))
	c.Holds(only(zones...), only("east", "west", staging.UnplacedZone), true)
	return c, count
}

// work does what Run does at each tick, with a sweep.
func (c *Catalog) sweepAndWrite(t *testing.T) {
	t.Helper()
	if err := c.work(t.Context(), time.Now(), new(time.Time)); err != nil {
		t.Fatal(err)
	}
}

// due makes all entries due at once, however recently they were written.
func (c *Catalog) due() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.entries {
		e.until = time.Time{}
	}
}

// has returns what Consul has, by session.
func (c *Catalog) has(t *testing.T) map[string]*api.ServiceEntry {
	t.Helper()
	found, _, err := c.health.Service(c.names.Service, "", false, nil)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*api.ServiceEntry{}
	for _, f := range found {
		all[f.Service.ID] = f
	}
	return all
}

func assigned(session, zone string) staging.Assignment {
	return staging.Assignment{
		Session: session, User: staging.User{ID: "u-1", Name: "ann"}, Zone: zone, Image: "app", Staging: "app-east",
		NodeID: "n", AllocID: "a", Address: "192.0.2.7", Port: 8080, AssignedAt: time.Unix(1e9, 0), ChecksKnown: true, Passing: true,
	}
}

func TestTheCatalogShowsWhoseASessionIs(t *testing.T) {
	c, count := start(t, "east")
	c.Show(assigned("gr-1", "east"))
	odd := assigned("gr-2", "east")
	odd.Staging, odd.User = "", staging.User{ID: "u\n\xff", Name: "O'Brien \"$x\" <b>${attr}\n\u20ac" + strings.Repeat("\u00e9", 400)}
	c.Show(odd)
	c.sweepAndWrite(t)
	one := c.has(t)["gr-1"]
	if s := one.Service; s.Address != "192.0.2.7" || s.Port != 8080 || !slices.Equal(s.Tags, []string{"greenroom", "zone=east", "image=app", "staging=app-east", "user=u-1"}) ||
		s.Meta[metaUserName] != "ann" || s.Meta[metaUserID] != "u-1" || s.Meta[metaAlloc] != "a" || s.Meta[metaNode] != "n" || s.Meta[metaAssigned] != "2001-09-09T01:46:40Z" {
		t.Errorf("got %+v", s)
	}
	if one.Checks.AggregatedStatus() != api.HealthPassing || len(one.Checks) != 1 || one.Node.Meta["external-node"] != "true" {
		t.Errorf("node %+v, checks %+v", one.Node, one.Checks)
	}
	if two := c.has(t)["gr-2"].Service; two.Meta[metaUserID] != "u \uFFFD" || len(two.Meta[metaUserName]) != 511 || !strings.Contains(two.Meta[metaUserName], `O'Brien "$x" <b>${attr} `+"\u20ac") {
		t.Errorf("got %+v", two)
	}

	// Nothing has changed, so nothing is written, whatever they contain.
	before := count.writes.Load()
	c.Show(assigned("gr-1", "east"))
	c.due()
	c.sweepAndWrite(t)
	if n := count.writes.Load() - before; n != 0 {
		t.Errorf("%d writes although nothing has changed", n)
	}

	sick := assigned("gr-1", "east")
	sick.Passing, sick.UnhealthySince = false, time.Unix(2e9, 0)
	c.Show(sick)
	c.sweepAndWrite(t)
	c.Show(assigned("gr-1", "east"))
	c.sweepAndWrite(t)
	if one = c.has(t)["gr-1"]; one.Checks.AggregatedStatus() != api.HealthCritical {
		t.Error("an entry was written twice within moments")
	}
	c.Show(sick)
	c.due()
	c.sweepAndWrite(t)
	if one = c.has(t)["gr-1"]; one.Checks.AggregatedStatus() != api.HealthCritical || !strings.Contains(one.Checks[0].Output, "since 2033-05-18T03:33:20Z") {
		t.Errorf("its checks fail, and Consul shows %+v", one.Checks)
	}
	sick.ChecksKnown = false
	c.Show(sick)
	c.due()
	c.sweepAndWrite(t)
	if one = c.has(t)["gr-1"]; one.Checks.AggregatedStatus() != api.HealthCritical {
		t.Errorf("its checks are not known any more, and Consul shows %+v", one.Checks)
	}

	c.Gone("gr-1")
	c.Gone("gr-2")
	c.sweepAndWrite(t)
	if left := c.has(t); len(left) > 0 || c.Waiting() > 0 || len(c.entries) > 0 {
		t.Errorf("left in Consul %v, waiting %d, in memory %d", left, c.Waiting(), len(c.entries))
	}
}

func TestASessionThatWasNeverShownCostsNoWrite(t *testing.T) {
	c, count := start(t, "east")
	c.sweepAndWrite(t)
	for i := range 100 {
		id := fmt.Sprint("gr-", i)
		c.Keep(id, "east")
		c.Gone(id)
	}
	c.sweepAndWrite(t)
	if n := count.writes.Load(); n != 0 || len(c.entries) != 0 {
		t.Errorf("%d writes, %d entries in memory", n, len(c.entries))
	}
}

func TestTheCatalogIsRepaired(t *testing.T) {
	c, _ := start(t, "east", staging.UnplacedZone)
	client, _ := consul(t)
	for i := range 3 {
		c.Show(assigned(fmt.Sprint("gr-", i), "east"))
	}
	c.sweepAndWrite(t)
	remove := func(d *api.CatalogDeregistration) {
		t.Helper()
		if _, err := client.Catalog().Deregister(d, nil); err != nil {
			t.Fatal(err)
		}
	}
	whole := func(what string) {
		t.Helper()
		// The node may have to be made first, which takes another try.
		for range 3 {
			c.due()
			if err := c.work(t.Context(), time.Now(), new(time.Time)); err != nil {
				t.Log(what+":", err)
			}
		}
		all := c.has(t)
		if len(all) != 3 || all["gr-1"].Service.Meta[metaUserID] != "u-1" || all["gr-1"].Checks.AggregatedStatus() != api.HealthPassing {
			t.Errorf("%s: not repaired: %v", what, all)
		}
	}
	remove(&api.CatalogDeregistration{Node: c.names.Node, ServiceID: "gr-1"})
	whole("one removed")
	remove(&api.CatalogDeregistration{Node: c.names.Node, CheckID: "gr-1"})
	whole("a check removed")
	remove(&api.CatalogDeregistration{Node: c.names.Node})
	whole("the node removed")
	changed := instanceOf(c.names, assigned("gr-1", "east"))
	changed.Meta[metaUserID] = "somebody else"
	if _, err := client.Catalog().Register(&api.CatalogRegistration{Node: c.names.Node, SkipNodeUpdate: true, Service: changed}, nil); err != nil {
		t.Fatal(err)
	}
	whole("one changed")
	// What an earlier scaler left: of a session that has ended, and of a zone that no longer exists.
	for id, zone := range map[string]string{"gr-8": "east", "gr-9": "deleted"} {
		if _, err := client.Catalog().Register(&api.CatalogRegistration{Node: c.names.Node, SkipNodeUpdate: true, Service: instanceOf(c.names, assigned(id, zone))}, nil); err != nil {
			t.Fatal(err)
		}
	}
	whole("two left over")
}

func TestAnEntryHasOneWriter(t *testing.T) {
	first, _ := start(t, "east", "west")
	first.Show(assigned("gr-e", "east"))
	first.Show(assigned("gr-w", "west"))
	first.Show(assigned("gr-old", "west"))
	first.sweepAndWrite(t)

	// The second takes west over. It does not know the user there at once.
	first.Holds(only("east"), only("east", "west", staging.UnplacedZone), true)
	second, count := start(t, "west", staging.UnplacedZone)
	second.Keep("gr-w", "west")
	second.sweepAndWrite(t)
	if all := second.has(t); all["gr-e"] == nil || all["gr-w"] == nil || all["gr-old"] != nil || len(all) != 2 {
		t.Errorf("after the takeover: %v", all)
	}
	before := count.writes.Load()
	second.Show(assigned("gr-w", "west"))
	second.sweepAndWrite(t)
	if n := count.writes.Load() - before; n != 0 {
		t.Errorf("%d writes of what Consul has already", n)
	}
	// The first no longer writes what it knew of west.
	first.Gone("gr-w")
	first.sweepAndWrite(t)
	second.Gone("gr-w")
	first.sweepAndWrite(t)
	if second.has(t)["gr-w"] == nil {
		t.Error("a scaler removed an entry in another's zone")
	}
	second.sweepAndWrite(t)
	if all := second.has(t); len(all) != 1 || all["gr-e"] == nil {
		t.Errorf("at the end: %v", all)
	}
	// A scaler that does not know its zones removes nothing.
	third, _ := start(t, "east")
	third.Holds(only("east"), only("east"), false)
	third.sweepAndWrite(t)
	if _, err := third.sweep(t.Context()); err != nil || third.has(t)["gr-e"] == nil {
		t.Errorf("a scaler out of sync removed an entry (%v)", err)
	}
}

func TestManyEntriesShareTransactions(t *testing.T) {
	c, count := start(t, "east")
	for i := range 1000 {
		c.Show(assigned(fmt.Sprint("gr-", i), "east"))
	}
	c.sweepAndWrite(t)
	if n := count.writes.Load(); n > 1000/maxBatch+2 || len(c.has(t)) != 1000 {
		t.Errorf("%d writes for %d entries", n, len(c.has(t)))
	}
	for i := range 1000 {
		c.Gone(fmt.Sprint("gr-", i))
	}
	c.sweepAndWrite(t)
	if n := count.writes.Load(); n > 2*(1000/maxBatch+2) || len(c.has(t)) != 0 {
		t.Errorf("%d writes, %d entries left", n, len(c.has(t)))
	}
}

func TestANodeThatIsNotOursIsLeftAlone(t *testing.T) {
	c, _ := start(t, "east")
	client, _ := consul(t)
	if _, err := client.Catalog().Register(&api.CatalogRegistration{Node: c.names.Node, Address: "192.0.2.99"}, nil); err != nil {
		t.Fatal(err)
	}
	c.Show(assigned("gr-1", "east"))
	err := c.work(t.Context(), time.Now(), new(time.Time))
	node, _, readErr := client.Catalog().Node(c.names.Node, nil)
	if readErr != nil {
		t.Fatal(readErr)
	}
	if err == nil || !strings.Contains(err.Error(), "rename that node") || node.Node.Address != "192.0.2.99" || len(node.Services) != 0 {
		t.Errorf("error %v, node %+v with %d services", err, node.Node, len(node.Services))
	}
}

// TestOneThatConsulRefusesDoesNotKeepTheOthersBack: the others of its batch are written at
// the next try.
func TestOneThatConsulRefusesDoesNotKeepTheOthersBack(t *testing.T) {
	c, _ := start(t, "east")
	bad := assigned("gr-bad", "east")
	bad.Address = "0.0.0.0" // Consul refuses this address of a service
	c.Show(bad)
	for i := range 5 {
		c.Show(assigned(fmt.Sprint("gr-", i), "east"))
	}
	err := c.work(t.Context(), time.Now(), new(time.Time))
	if err == nil || !strings.Contains(err.Error(), "gr-bad") {
		t.Errorf("the error does not name it: %v", err)
	}
	if err := c.writeWaiting(t.Context()); err != nil {
		t.Error(err)
	}
	if all := c.has(t); len(all) != 5 || all["gr-bad"] != nil {
		t.Errorf("Consul has %v", all)
	}
}

// TestConsulAwayCostsNothing: without Consul nothing blocks, what waits is bounded by the
// number of sessions, and it is written when Consul is back.
func TestConsulAwayCostsNothing(t *testing.T) {
	c, _ := start(t, "east")
	away, err := api.NewClient(&api.Config{Address: "127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	lost := New(away, c.names)
	lost.Holds(only("east"), only("east"), true)
	ctx, stop := context.WithCancel(t.Context())
	done, failed := make(chan struct{}), make(chan error, 1)
	go func() {
		defer close(done)
		lost.Run(ctx, func(err error) {
			select {
			case failed <- err:
			default:
			}
		})
	}()
	for range 100 {
		for i := range 20 {
			a := assigned(fmt.Sprint("gr-", i), "east")
			a.Port = i
			lost.Show(a)
		}
	}
	if err := <-failed; err == nil || lost.Waiting() != 20 {
		t.Errorf("error %v, %d wait", err, lost.Waiting())
	}
	stop()
	<-done
	lost.health, lost.txn, lost.catalog = c.health, c.txn, c.catalog
	lost.sweepAndWrite(t)
	if n := len(lost.has(t)); n != 20 || lost.Waiting() != 0 {
		t.Errorf("Consul has %d of 20, and %d wait", n, lost.Waiting())
	}
}
