package e2e

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	consulapi "github.com/hashicorp/consul/api"
	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// What other people do to Nomad and Consul: faults that break no server.

// onDesks makes an image run only on nodes whose meta does not say that the desk is off.
func onDesks(i staging.Image) staging.Image {
	i.Jobspec = strings.Replace(i.Jobspec, `group "session" {`, `group "session" {
    constraint {
      attribute = "${meta.desk}"
      operator  = "!="
      value     = "off"
    }
`, 1)
	return i
}

// node returns the id of one of the nodes that run the sessions.
func (n *nemesis) node() string {
	nodes, _, err := n.a.d.nomad(n.a.T).Nodes().List(nil)
	must(n.a.T, err)
	return nodes[n.rng.IntN(len(nodes))].ID
}

// metaChanged makes a node unfit for all sessions that run on it, for a while. Nomad's
// servers learn of it some seconds later. The callers rest until then, so that the pools are
// full and sessions on that node are launched. If a job of theirs were registered again,
// Nomad would move it to the other node.
func (n *nemesis) metaChanged(pause time.Duration) {
	nomad, node := n.a.d.nomad(n.a.T), n.node()
	set := func(desk string) {
		_, err := nomad.Nodes().Meta().Apply(&nomadapi.NodeMetaApplyRequest{NodeID: node, Meta: map[string]*string{"desk": &desk}}, nil)
		must(n.a.T, err)
		until(n.a.T, "Nomad's servers know that the desk is "+desk, func() (bool, string) {
			info, _, err := nomad.Nodes().Info(node, nil)
			must(n.a.T, err)
			return info.Meta["desk"] == desk, fmt.Sprint(info.Meta)
		})
	}
	n.a.rest.Lock()
	set("off")
	n.a.rest.Unlock()
	<-time.After(pause + 5*time.Second)
	set("on")
}

// drained marks a node for draining and takes that back. Its deadline is far away, so the
// sessions go on.
func (n *nemesis) drained(pause time.Duration) {
	nomad, node := n.a.d.nomad(n.a.T), n.node()
	_, err := nomad.Nodes().UpdateDrain(node, &nomadapi.DrainSpec{Deadline: time.Hour}, false, nil)
	must(n.a.T, err)
	<-time.After(pause)
	_, err = nomad.Nodes().UpdateDrain(node, nil, true, nil)
	must(n.a.T, err)
}

// restartSession restarts the processes of a random session in place.
func (n *nemesis) restartSession() {
	nomad := n.a.d.nomad(n.a.T)
	all, _, err := nomad.Allocations().List(nil)
	must(n.a.T, err)
	all = slices.DeleteFunc(all, func(a *nomadapi.AllocationListStub) bool {
		return a.ClientStatus != "running" || a.DesiredStatus != "run"
	})
	if len(all) == 0 {
		return
	}
	alloc, _, err := nomad.Allocations().Info(all[n.rng.IntN(len(all))].ID, nil)
	must(n.a.T, err)
	// The session may end at this moment.
	if err := nomad.Allocations().Restart(alloc, "", nil); err != nil {
		fmt.Printf("  torture: not restarted: %v\n", err)
	}
}

// scalerPolicy is the name of the scalers' ACL policy in Nomad.
const scalerPolicy = "scaler"

// widen gives the scalers' token the rights that a scaler needs.
func (a *arena) widen() {
	a.Helper()
	rules, err := os.ReadFile("../../../../deploy/acl/nomad-scaler.policy.hcl")
	must(a.T, err)
	must(a.T, a.servers.SetNomadPolicy(a.Context(), scalerPolicy, strings.Replace(string(rules), `# "alloc-node-exec"`, `"alloc-node-exec"`, 1)))
}

// narrowed takes the sessions' namespace from the scalers' token for a while: Nomad leaves
// out of a list what a token may not see, without an error.
func (n *nemesis) narrowed(pause time.Duration) {
	must(n.a.T, n.a.servers.SetNomadPolicy(n.a.Context(), scalerPolicy, `
namespace "elsewhere" { capabilities = ["list-jobs", "read-job"] }
node { policy = "read" }`))
	<-time.After(pause)
	n.a.widen()
}

// junk writes into Consul what people write there by mistake, and takes it back.
func (n *nemesis) junk(pause time.Duration) {
	kv := n.a.d.consul(n.a.T).KV()
	const resources = "greenroom/resources/"
	read := func(key string) []byte {
		pair, _, err := kv.Get(key, nil)
		must(n.a.T, err)
		if pair == nil {
			n.a.Fatalf("Consul has no key %s", key)
		}
		return pair.Value
	}
	write := func(key string, value []byte) {
		_, err := kv.Put(&consulapi.KVPair{Key: key, Value: value}, nil)
		must(n.a.T, err)
	}
	added := []string{"greenroom/fates/", "greenroom/fates/" + staging.SessionPrefix + "junk", resources + "staging/", resources + "staging/copied", resources + "zones/nowhere"}
	config, zone := read(resources+"staging/bare"), read(resources+"zones/east")
	write(added[0], nil)
	write(added[1], []byte("junk"))
	write(added[2], nil)
	write(added[3], config)
	write(added[4], []byte(`{"name":`))
	write(resources+"staging/bare", []byte(strings.Replace(string(config), fmt.Sprintf(`"desired_sessions":%d`, bareDesired), `"desired_sessions":"none"`, 1)))
	write(resources+"zones/east", []byte("east"))
	<-time.After(pause)
	write(resources+"staging/bare", config)
	write(resources+"zones/east", zone)
	for _, key := range added {
		_, err := kv.Delete(key, nil)
		must(n.a.T, err)
	}
}
