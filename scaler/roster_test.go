package scaler

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/greenroom/greenroom/internal/staging"
)

// TestMembersFollowEveryChange: after any updates in any order, the members that the
// roster caches are those that would be derived from scratch.
func TestMembersFollowEveryChange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := &viewFeed{s: New(Parts{Meter: quiet{}, Log: silent()}, Options{}), v: newView(), now: noon}
		c.v.acting["z"] = true
		c.resources(t)
		updates := map[string]func(*rapid.T){
			"resources": c.resources, "nomad": c.nomad, "node": c.node, "redis": c.redis, "consul": c.consul,
			"all of redis": c.allOfRedis, "all of nomad": c.allOfNomad, "a step's result": c.result, "gone": c.gone, "decide": c.decide,
			"a while": func(*rapid.T) { c.now = c.now.Add(time.Second) },
			"":        c.check,
		}
		t.Repeat(updates)
	})
}

// viewFeed feeds a view with random updates.
type viewFeed struct {
	s     *Scaler
	v     *view
	now   time.Time
	index uint64
	tasks []task
}

func (c *viewFeed) id(t *rapid.T) string {
	return fmt.Sprintf("gr-%d", rapid.IntRange(0, 9).Draw(t, "id"))
}

func (c *viewFeed) pool(t *rapid.T) string {
	return rapid.SampledFrom([]string{"p", "q"}).Draw(t, "pool")
}

func (c *viewFeed) resources(t *rapid.T) {
	r := staging.Resources{
		Zones:   map[string]staging.Zone{"z": {Name: "z", Datacenters: []string{"dc1"}, AllowOriginDomain: "a", UpstreamAuthAddress: "b"}},
		Images:  map[string]staging.Image{},
		Configs: map[string]staging.Config{},
	}
	if rapid.IntRange(0, 3).Draw(t, "image") > 0 {
		i := staging.Image{Name: "i", Jobspec: rapid.SampledFrom([]string{"one", "two"}).Draw(t, "jobspec")}
		if rapid.Bool().Draw(t, "first launch") {
			i.ExecConfig.FirstLaunch = &staging.Hook{Cmd: []string{"true"}}
		}
		r.Images["i"] = i
	}
	for _, name := range []string{"p", "q"} {
		if rapid.IntRange(0, 3).Draw(t, name) > 0 {
			r.Configs[name] = staging.Config{
				Name: name, Zone: "z", Image: "i", Spread: rapid.SampledFrom([]string{"", rack}).Draw(t, "spread"), DesiredSessions: rapid.IntRange(0, 5).Draw(t, "desired"),
				Expiration: staging.Duration(rapid.SampledFrom([]time.Duration{0, time.Hour}).Draw(t, "expiration")),
			}
		}
	}
	c.v.setResources(r)
}

func (c *viewFeed) observation(t *rapid.T, id string) staging.Observation {
	c.index++
	o := staging.Observation{Session: id, Index: c.index}
	if rapid.Bool().Draw(t, "job") {
		o.Job = &staging.JobFacts{Stopped: rapid.IntRange(0, 5).Draw(t, "stopped") == 0, Session: staging.Session{
			ID: id, Zone: "z", Image: "i", Staging: c.pool(t), CreatedAt: noon,
			Origin:   rapid.SampledFrom([]staging.Origin{staging.Staged, staging.Staged, staging.OnDemand}).Draw(t, "origin"),
			Revision: rapid.SampledFrom([]string{"old", "new"}).Draw(t, "revision"),
			Permits:  rapid.SampledFrom([]string{"", staging.Permissions{}.Permits()}).Draw(t, "permits"),
		}}
	}
	if rapid.Bool().Draw(t, "alloc") {
		o.Alloc = &staging.AllocFacts{
			ID: "a-" + id, NodeID: rapid.SampledFrom([]string{"n", "m"}).Draw(t, "node"),
			Running: rapid.Bool().Draw(t, "running"), Over: rapid.IntRange(0, 5).Draw(t, "over") == 0,
		}
	}
	o.Replaced = rapid.IntRange(0, 9).Draw(t, "replaced") == 0
	return o
}

func (c *viewFeed) nomad(t *rapid.T) { c.v.observe(c.observation(t, c.id(t)), c.now) }

func (c *viewFeed) node(t *rapid.T) {
	c.index++
	n := staging.NodeFacts{ID: rapid.SampledFrom([]string{"n", "m"}).Draw(t, "node"), Draining: rapid.Bool().Draw(t, "draining"), Eligible: true, Values: map[string]string{rack: rapid.SampledFrom([]string{"r1", "r2"}).Draw(t, "rack")}}
	c.v.observe(staging.Observation{Index: c.index, Node: &n}, c.now)
}

func (c *viewFeed) redis(t *rapid.T) {
	kind := rapid.SampledFrom([]staging.EventType{
		staging.EventReady, staging.EventClaimed, staging.EventAssigned, staging.EventRetiring, staging.EventEnding, staging.EventHookFailed,
	}).Draw(t, "event")
	c.v.applyEvent(staging.Event{Type: kind, Session: c.id(t), Pool: c.pool(t), Hook: staging.HookAssign}, c.now)
}

func (c *viewFeed) consul(t *rapid.T) {
	p := c.v.pools[c.pool(t)]
	if p == nil {
		return
	}
	var found []staging.Health
	for n := range 10 {
		if rapid.Bool().Draw(t, "there") {
			id := fmt.Sprintf("gr-%d", n)
			found = append(found, staging.Health{Session: id, AllocID: "a-" + id, Passing: rapid.Bool().Draw(t, "passing")})
		}
	}
	c.v.setHealth(p, found, c.now)
}

func (c *viewFeed) allOfRedis(t *rapid.T) {
	var all []staging.Session
	for n := range rapid.IntRange(0, 10).Draw(t, "sessions") {
		all = append(all, staging.Session{
			ID: fmt.Sprintf("gr-%d", n), Zone: "z", Image: "i", Staging: c.pool(t), Origin: staging.Staged,
			State: rapid.SampledFrom([]staging.State{staging.Pending, staging.Starting, staging.Ready, staging.Assigned, staging.Ended}).Draw(t, "state"),
		})
	}
	c.v.resyncStore(all, c.now)
}

func (c *viewFeed) allOfNomad(t *rapid.T) {
	var all []staging.Observation
	fates := map[string]staging.Fate{}
	for n := range rapid.IntRange(0, 10).Draw(t, "sessions") {
		id := fmt.Sprintf("gr-%d", n)
		all = append(all, c.observation(t, id))
		if rapid.IntRange(0, 5).Draw(t, "fate") == 0 {
			fates[id] = staging.Fate{Session: id, Verdict: staging.VerdictRetired, Zone: "z"}
		}
	}
	lookups := map[string]lookup{}
	for n := range 10 {
		lookups[fmt.Sprintf("gr-%d", n)] = rapid.SampledFrom([]lookup{lookupNone, lookupThere, lookupGone, lookupDenied}).Draw(t, "lookup")
	}
	c.v.resyncFleet(fleetReading{sessions: all, fates: fates, lookups: lookups, began: c.now}, c.now)
}

func (c *viewFeed) gone(t *rapid.T) { c.v.forget(c.id(t)) }

func (c *viewFeed) decide(t *rapid.T) {
	for _, p := range c.v.pools {
		p.stopWatch = func() {} // so that no watch is started
	}
	c.v.onDemand["z"] = &pool{health: map[string]staging.Health{}, stopWatch: func() {}}
	for _, task := range c.s.decide(t.Context(), c.v, c.now) {
		if task.step.Kind != "" {
			c.tasks = append(c.tasks, task)
		}
	}
}

func (c *viewFeed) result(t *rapid.T) {
	if len(c.tasks) == 0 {
		return
	}
	next := c.tasks[0]
	c.tasks = c.tasks[1:]
	r := result{state: rapid.SampledFrom([]staging.State{"", staging.Starting, staging.Ready, staging.Retiring, staging.Assigned}).Draw(t, "state")}
	switch rapid.IntRange(0, 5).Draw(t, "how") {
	case 0:
		r.err = errNotHeld
	case 1:
		r.notInRedis = true
	case 2:
		r.failure = &staging.Failure{Type: staging.HookFailing}
		r.err = errNotHeld
	}
	c.s.applied(c.v, next, r)
	if e := c.v.sessions[next.session.ID]; e != nil && r.err != nil {
		e.until = c.now.Add(retryPause) // on this test's clock
	}
}

// check compares the cached members with newly derived ones.
func (c *viewFeed) check(t *rapid.T) {
	for name, p := range c.v.pools {
		c.v.readWhereabouts(p, c.now) // poolInput does so first, too
		var want []Member
		for _, e := range c.v.sessions {
			if e.pooled() && e.s.Staging == name {
				want = append(want, c.v.memberOf(p, e, c.now))
			}
		}
		slices.SortFunc(want, func(a, b Member) int { return strings.Compare(a.ID, b.ID) })
		if d := cmp.Diff(want, append([]Member(nil), c.v.poolInput(p, c.now).Members...)); d != "" {
			t.Fatalf("%s: derived (-), cached (+):\n%s", name, d)
		}
	}
}

// TestAMemberThatMovesIsDerivedInItsNewPool, although the old pool was not decided since.
func TestAMemberThatMovesIsDerivedInItsNewPool(t *testing.T) {
	of := func(e *entry) Member { return Member{ID: e.s.ID} }
	var from, to roster
	e := &entry{s: staging.Session{ID: "gr-1"}}
	from.add(e)
	from.remove(e)
	to.add(e)
	if got := to.members(noon, of); len(got) != 1 || got[0].ID != "gr-1" {
		t.Errorf("%+v", got)
	}
	if got := from.members(noon, of); len(got) != 0 {
		t.Errorf("it is still in its old pool: %+v", got)
	}
}

// TestSessionsOfAPoolShareEqualStrings: strings that Nomad's answers repeat are kept once.
func TestSessionsOfAPoolShareEqualStrings(t *testing.T) {
	v := poolView(staging.Image{})
	p := v.pools["p"]
	v.observe(staging.Observation{Session: "gr-1", Index: 1, Job: &staging.JobFacts{Session: staging.Session{
		ID: "gr-1", Origin: staging.Staged, Zone: "z", Image: "i", Staging: "p", Permits: p.target.permits,
		Revision: strings.Clone(p.target.revision),
	}}}, noon)
	if s := v.sessions["gr-1"].s; s.Revision != p.target.revision || unsafe.StringData(s.Revision) != unsafe.StringData(p.target.revision) {
		t.Error("a session keeps its own copy of its pool's revision")
	}
}
