package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/devcluster"
	"github.com/greenroom/greenroom/internal/staging"
)

// The torture: real servers, two scalers and three brokers as processes, callers
// that launch, repeat, keep alive and end, and a nemesis that kills, pauses,
// wipes and rolls back at random. The result is read from the callers' own
// histories and from the sessions' own log of their users.

// tortureCallers is the number of callers. Each rests between its launches, so that a small
// machine has time to refill the pools.
const tortureCallers = 32

// tortureBriefly is the duration in make test; make torture sets its own.
const tortureBriefly = 60 * time.Second

func TestTorture(t *testing.T) {
	duration := tortureBriefly
	if text := os.Getenv("GREENROOM_TORTURE"); text != "" {
		var err error
		duration, err = time.ParseDuration(text)
		must(t, err)
	}
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("GREENROOM_SEED"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		must(t, err)
		seed = n
	}
	fmt.Printf("torture: %s with seed %d\n", duration, seed)
	a := newArena(t)
	deadline := time.Now().Add(duration)
	h := &history{kept: map[string]time.Time{}, asked: map[string]time.Time{}}
	ends := watchEnds(t, a.d.nomad(t))
	var callers sync.WaitGroup
	for i := range tortureCallers {
		c := &caller{arena: a, history: h, name: fmt.Sprint("caller-", i), rng: rand.New(rand.NewPCG(seed, uint64(i)+1))}
		callers.Go(func() { c.run(deadline) })
	}
	n := newNemesis(a, rand.New(rand.NewPCG(seed, 0)))
	n.run(deadline)
	callers.Wait()

	healed := time.Now()
	a.d.untilReady(t, "torture", n.desired)
	a.d.untilReady(t, "bare", bareDesired)
	took := time.Since(healed)
	n.recovered("all pools back at desired", took)
	problems := append(h.check(t, a.log, n.faults), h.harmed(ends, n.faults)...)
	if took > time.Minute {
		problems = append(problems, fmt.Sprintf("the pool was back at desired after %s, not within a minute", took))
	}
	for _, p := range problems {
		t.Error("violation: " + p)
	}
	h.print(n, len(problems))
	if n.counts[bothRestoredKind] > 0 {
		fmt.Printf("  torture: an administrator ended %d quarantined sessions\n", a.endQuarantined())
	}
	a.noOrphans(t)
}

// arena is the installation under torture.
type arena struct {
	*testing.T
	d       *devProcess
	brokers []*restartable
	scalers []*restartable
	servers servers
	log     string
	image   staging.Image
	zone    staging.Zone
	// rest is locked while the callers begin no launch.
	rest sync.RWMutex
}

func newArena(t *testing.T) *arena {
	t.Helper()
	a := &arena{T: t, log: filepath.Join(t.TempDir(), "served.jsonl")}
	// Sessions that run as other users write to it, too.
	must(t, os.WriteFile(a.log, nil, 0o666))
	c, d := startServersWith(t, devcluster.Options{Datacenters: []string{"dc1", "dc2"}, NomadACL: true})
	a.d, a.servers = d, servers{c}
	for range 3 {
		a.brokers = append(a.brokers, newRestartable(t, c, "broker"))
	}
	a.widen()
	token, err := c.NewNomadToken(t.Context(), scalerPolicy)
	must(t, err)
	tokenFile := filepath.Join(t.TempDir(), "nomad-token")
	must(t, os.WriteFile(tokenFile, []byte(token), 0o600))
	for range 2 {
		a.scalers = append(a.scalers, newRestartable(t, c, "scaler", "--nomad-token-file", tokenFile))
	}
	// The first broker, which stored the resources, is never disturbed; the test reads from it.
	a.image = onDesks(quickImage("torture"))
	a.image.Variables["log"] = a.log
	d.ask(t, "GET", "/v1/zones/east", nil, 200, &a.zone)
	d.ask(t, "PUT", "/v1/images/torture", a.image, 201, nil)
	d.ask(t, "PUT", "/v1/groups/torture", staging.Group{
		Name: "torture", KeepaliveExpiration: staging.Duration(tortureKeepalive), SessionTimeLimit: staging.Duration(tortureLimit),
	}, 201, nil)
	bare := onDesks(quickImage("bare"))
	bare.Variables["log"] = a.log
	bare.ExecConfig.Assign = nil
	d.ask(t, "PUT", "/v1/images/bare", bare, 201, nil)
	a.put("/v1/staging/bare", staging.Config{Zone: "east", Image: "bare", DesiredSessions: bareDesired})
	a.resize(tortureDesired)
	d.untilReady(t, "torture", tortureDesired)
	d.untilReady(t, "bare", bareDesired)
	return a
}

// The two pools: one whose image has an assign hook, and one whose image has none, so that
// only the launch's answer shows that a session was assigned.
const (
	tortureDesired = 10
	bareDesired    = 5
)

// resize sets the size of the pool torture.
func (a *arena) resize(desired int) {
	a.put("/v1/staging/torture", staging.Config{Zone: "east", Image: "torture", DesiredSessions: desired})
}

// awaitRest waits while the callers rest.
func (a *arena) awaitRest() {
	a.rest.RLock()
	defer a.rest.RUnlock()
}

// put stores a resource, and retries while servers are unavailable.
func (a *arena) put(path string, body any) {
	a.Helper()
	text := jsonText(body)
	until(a.T, "PUT "+path, func() (bool, string) {
		r, err := a.d.call("PUT", path, text)
		return err == nil && (r.status == 200 || r.status == 201), fmt.Sprint(r.status, " ", string(r.body), err)
	})
}
