package e2e

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/devcluster"
	"github.com/greenroom/greenroom/internal/staging"
)

// restartable is an agent that is killed and started again on its address.
type restartable struct {
	t       *testing.T
	cluster *devcluster.Cluster
	kind    string
	flags   []string
	address string
	mu      sync.Mutex
	now     *agent
}

func newRestartable(t *testing.T, c *devcluster.Cluster, kind string, flags ...string) *restartable {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	r := &restartable{t: t, cluster: c, kind: kind, flags: flags, address: l.Addr().String()}
	must(t, l.Close())
	r.start()
	return r
}

func (r *restartable) start() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = startAgent(r.t, r.cluster, r.kind, append([]string{"--bind", r.address}, r.flags...)...)
}

func (r *restartable) kill() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now.End(r.t, syscall.SIGKILL)
}

// servers are the processes that the nemesis disturbs.
type servers struct{ *devcluster.Cluster }

// nemesis injects one fault after the other, drawn from random numbers of its own, so that
// a seed repeats the same faults in the same order.
type nemesis struct {
	a       *arena
	rng     *rand.Rand
	desired int
	version int
	// installations is how many others were started.
	installations int
	back          func() // puts an old copy of Redis back
	// snapshot is an old copy of Consul, and snapshotGeneration Consul's generation
	// at its time.
	snapshot           []byte
	snapshotGeneration uint64

	mu     sync.Mutex
	counts map[string]int
	faults []fault
	slow   map[string]time.Duration
}

// clientKilledKind is the fault in which sessions may end with their node.
const clientKilledKind = "nomad client killed"

// fault is a fault that was injected, and when it was over.
type fault struct {
	kind      string
	began, at time.Time
}

func newNemesis(a *arena, rng *rand.Rand) *nemesis {
	n := &nemesis{
		a: a, rng: rng, desired: tortureDesired, counts: map[string]int{}, slow: map[string]time.Duration{}, back: a.d.copyRedis(a.T),
	}
	n.takeSnapshot()
	return n
}

func (n *nemesis) recovered(what string, took time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.slow[what] = max(n.slow[what], took)
}

// run injects faults until the deadline, and leaves everything running.
func (n *nemesis) run(deadline time.Time) {
	type kind struct {
		name string
		do   func(pause time.Duration)
	}
	kinds := []kind{
		{"broker killed", func(time.Duration) { n.restart(n.a.brokers) }},
		{"scaler killed", func(time.Duration) { n.restart(n.a.scalers) }},
		{"redis killed", n.redisKilled},
		{"redis wiped", func(time.Duration) { must(n.a.T, n.a.d.wipeRedis(n.a.T)) }},
		{"redis rolled back", func(time.Duration) { n.rollback() }},
		{"redis and consul away at once", n.bothAway},
		{restoredKind, func(time.Duration) { n.consulRestored() }},
		{bothRestoredKind, n.bothRestored},
		{"consul paused", func(d time.Duration) { n.pause(n.a.servers.Consul, d) }},
		{"nomad paused", func(d time.Duration) { n.pause(n.a.servers.NomadServer, d) }},
		{"redis hung", func(d time.Duration) { n.pause(n.a.servers.Redis, d) }},
		{clientKilledKind, n.clientKilled},
		{"node meta changed", n.metaChanged},
		{"node drained", n.drained},
		{"session restarted", func(time.Duration) { n.restartSession() }},
		{"nomad token narrowed", n.narrowed},
		{"junk in consul", n.junk},
		{"second installation", n.secondInstallation},
		{"desired changed", func(time.Duration) { n.resize() }},
		{"image changed", func(time.Duration) { n.roll() }},
		{"zone changed", func(time.Duration) { n.moveAuth() }},
	}
	if only := os.Getenv("GREENROOM_FAULTS"); only != "" {
		wanted := strings.Split(only, ",")
		kinds = slices.DeleteFunc(kinds, func(k kind) bool { return !slices.Contains(wanted, k.name) })
		if len(kinds) != len(wanted) {
			n.a.Fatalf("GREENROOM_FAULTS names a fault that there is not: %s", only)
		}
	}
	// Every kind of fault comes once before any is repeated.
	var order []int
	for time.Now().Before(deadline) {
		if len(order) == 0 {
			order = n.rng.Perm(len(kinds))
		}
		k, pause := kinds[order[0]], time.Second+time.Duration(n.rng.Int64N(int64(5*time.Second)))
		rest := time.Second + time.Duration(n.rng.Int64N(int64(3*time.Second)))
		order = order[1:]
		began := time.Now()
		fmt.Printf("  torture: %s\n", k.name)
		k.do(pause)
		n.counts[k.name]++
		n.faults = append(n.faults, fault{k.name, began, time.Now()})
		<-time.After(rest)
	}
}

func (n *nemesis) restart(agents []*restartable) {
	r := agents[n.rng.IntN(len(agents))]
	r.kill()
	r.start()
}

func (n *nemesis) redisKilled(pause time.Duration) {
	must(n.a.T, n.a.servers.Redis.Kill())
	<-time.After(pause)
	must(n.a.T, n.a.servers.Redis.Restart(n.a.T.Context()))
}

// rollback restores Redis as it was at the last rollback, or at the start.
func (n *nemesis) rollback() {
	n.back()
	n.back = n.a.d.copyRedis(n.a.T)
}

// bothAway pauses Redis and Consul together: launches that fall back to Consul fail, too.
func (n *nemesis) bothAway(pause time.Duration) {
	must(n.a.T, n.a.servers.Redis.Kill())
	<-time.After(pause / 2)
	n.pause(n.a.servers.Consul, pause/2)
	must(n.a.T, n.a.servers.Redis.Restart(n.a.T.Context()))
}

func (n *nemesis) pause(p *devcluster.Process, d time.Duration) {
	must(n.a.T, p.Pause())
	<-time.After(d)
	must(n.a.T, p.Resume())
}

func (n *nemesis) clientKilled(pause time.Duration) {
	must(n.a.T, n.a.servers.NomadClients[0].Kill())
	<-time.After(pause)
	must(n.a.T, n.a.servers.NomadClients[0].Restart(n.a.T.Context()))
}

func (n *nemesis) resize() {
	n.desired = 4 + n.rng.IntN(8)
	n.a.resize(n.desired)
}

func (n *nemesis) roll() {
	n.version++
	n.a.put("/v1/images/torture", n.imageNow())
}

// imageNow returns the image at the nemesis's version.
func (n *nemesis) imageNow() staging.Image {
	i := n.a.image
	i.Variables = maps.Clone(i.Variables)
	i.Variables["version"] = fmt.Sprint(n.version)
	return i
}

// moveAuth changes a setting of the zone that its sessions start with: waiting sessions are
// replaced.
func (n *nemesis) moveAuth() {
	n.version++
	z := n.a.zone
	z.UpstreamAuthAddress = fmt.Sprintf("127.0.0.%d", 1+n.version%250)
	n.a.put("/v1/zones/"+z.Name, z)
}

// slowest returns for each kind of fault the longest time from the end of a fault until the
// first launch that began afterwards was answered.
func (n *nemesis) slowest(h *history) map[string]time.Duration {
	slow := maps.Clone(n.slow)
	for _, f := range n.faults {
		first := time.Time{}
		for _, o := range h.ops {
			if o.called.After(f.began) && (first.IsZero() || o.returned.Before(first)) {
				first = o.returned
			}
		}
		if !first.IsZero() {
			slow[f.kind] = max(slow[f.kind], first.Sub(f.at))
		}
	}
	return slow
}

func (h *history) print(n *nemesis, violations int) {
	staged, keys := 0, map[string]bool{}
	for _, o := range h.ops {
		if !keys[o.key] && o.origin == "staged" {
			staged++
		}
		keys[o.key] = true
	}
	slow := n.slowest(h)
	var lines []string
	for _, kind := range slices.Sorted(maps.Keys(slow)) {
		times := ""
		if c := n.counts[kind]; c > 0 {
			times = fmt.Sprintf(" (%d times)", c)
		}
		lines = append(lines, fmt.Sprintf("%s%s: %.1f s", kind, times, max(0, slow[kind].Seconds())))
	}
	measured("torture: %d launches, %d served (%.0f%% staged), %d given up, %d whose session a fault or its limit had ended; %d faults; violations: %d; slowest recovery: %s\n",
		h.launches, len(keys), 100*float64(staged)/float64(max(1, len(keys))), h.given, h.lost, len(n.faults), violations, strings.Join(lines, ", "))
}
