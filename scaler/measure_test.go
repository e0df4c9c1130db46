package scaler

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/internal/benchreport"
	"github.com/greenroom/greenroom/internal/benchreport/benchtest"
	"github.com/greenroom/greenroom/internal/staging"
)

// quiet is a meter that records nothing.
type quiet struct{}

func (quiet) Step(Kind, bool)                                  {}
func (quiet) Pool(string, staging.PoolStatus, staging.Fill)    {}
func (quiet) PoolGone(string)                                  {}
func (quiet) Conditions(string, []staging.Condition)           {}
func (quiet) Quarantined(int)                                  {}
func (quiet) UnreadableFates(int)                              {}
func (quiet) UnreadableResources(map[staging.ResourceKind]int) {}
func (quiet) HookFailed(staging.HookName)                      {}
func (quiet) Denied(map[string]int)                            {}
func (quiet) WaitingForRoom(map[string]int)                    {}
func (quiet) Zones(_, _ map[string]bool)                       {}

// silent returns a log that discards its lines.
func silent() *logrus.Entry {
	log := logrus.New()
	log.SetOutput(io.Discard)
	return logrus.NewEntry(log)
}

// fullCluster is a scaler's loop with full pools. It feeds the loop as the servers would,
// without any servers.
type fullCluster struct {
	s        *Scaler
	v        *view
	sessions []staging.Session
	fleet    []staging.Observation
	index    uint64
}

const sessionsPerPool = 100

func newFullCluster(pools int) *fullCluster {
	c := &fullCluster{s: New(Parts{Meter: quiet{}, Log: silent()}, Options{}), v: newView()}
	r := staging.Resources{
		Zones:   map[string]staging.Zone{"z": {Name: "z", Datacenters: []string{"dc1"}, AllowOriginDomain: "a", UpstreamAuthAddress: "b"}},
		Images:  map[string]staging.Image{"i": {Name: "i"}},
		Configs: map[string]staging.Config{},
	}
	for p := range pools {
		name := fmt.Sprintf("pool-%04d", p)
		r.Configs[name] = staging.Config{Name: name, Zone: "z", Image: "i", DesiredSessions: sessionsPerPool}
	}
	c.v.setResources(r)
	c.v.heldSince["z"], c.v.acting["z"] = noon, true
	revision := staging.Revision(r.Images["i"], r.Zones["z"], staging.Permissions{})
	for name := range r.Configs {
		for range sessionsPerPool {
			c.add(staging.Session{
				ID: staging.NewSessionID(), State: staging.Ready, Origin: staging.Staged, Zone: "z", Image: "i", Staging: name,
				Revision: revision, Permits: staging.Permissions{}.Permits(), Task: "session", CreatedAt: noon,
			})
		}
	}
	for _, p := range c.v.pools {
		p.stopWatch = func() {} // so that no watch is started
	}
	c.v.onDemand["z"] = &pool{health: map[string]staging.Health{}, stopWatch: func() {}}
	return c
}

// add adds a session that Nomad reports running.
func (c *fullCluster) add(s staging.Session) {
	c.index++
	job := s
	job.State = ""
	c.sessions = append(c.sessions, s)
	c.fleet = append(c.fleet, c.observed(job))
}

func (c *fullCluster) observed(s staging.Session) staging.Observation {
	return staging.Observation{
		Session: s.ID, Index: c.index, Job: &staging.JobFacts{Session: s},
		Alloc: &staging.AllocFacts{ID: "a-" + s.ID, NodeID: "n", Running: true, Address: "10.0.0.1", Ports: map[string]int{"http": 23000}},
	}
}

// resync reads and decides everything, as at the start, and returns how long that took.
func (c *fullCluster) resync() time.Duration {
	byPool := map[string][]staging.Health{}
	for _, s := range c.sessions {
		byPool[s.Staging] = append(byPool[s.Staging], staging.Health{Session: s.ID, AllocID: "a-" + s.ID, Passing: true})
	}
	began := time.Now()
	c.v.resyncFleet(fleetReading{sessions: c.fleet, began: noon}, noon)
	c.v.resyncStore(c.sessions, noon)
	for name, p := range c.v.pools {
		c.v.setHealth(p, byPool[name], noon)
	}
	c.s.decide(context.Background(), c.v, noon)
	return time.Since(began)
}

// turnover applies a claim, its end and its replacement, each as an event that is decided
// at once, and returns the number of events.
func (c *fullCluster) turnover(n int) (events int) {
	at := (n * 7919) % len(c.sessions)
	s := c.sessions[at]
	var staged []string
	step := func(update func()) {
		update()
		for _, t := range c.s.decide(context.Background(), c.v, noon) {
			if t.step.Kind == Stage {
				staged = append(staged, t.session.ID)
			}
		}
		events++
	}
	step(func() {
		c.v.applyEvent(staging.Event{Type: staging.EventClaimed, Session: s.ID, Pool: s.Staging}, noon)
	})
	step(func() {
		c.v.applyEvent(staging.Event{Type: staging.EventAssigned, Session: s.ID, Pool: s.Staging}, noon)
	})
	// The replacement that Decide staged becomes ready.
	for _, id := range staged {
		e := c.v.sessions[id]
		e.busy = false
		c.index++
		fresh := e.s
		step(func() { c.v.observe(c.observed(fresh), noon) })
		step(func() { c.v.applyEvent(staging.Event{Type: staging.EventReady, Session: id, Pool: s.Staging}, noon) })
		e.busy = false
		c.v.markDirty(e)
		fresh.State = staging.Ready
		c.sessions[at] = fresh
	}
	step(func() { c.v.forget(s.ID) })
	return events
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// perEvent returns the time that an event takes in the two clusters. They take turns, in
// slices so short that some are not interrupted, however busy the machine is: the least of each
// counts.
func perEvent(small, large *fullCluster) (few, many time.Duration) {
	const slices, turns = 50, 40
	slice := func(c *fullCluster, from int) time.Duration {
		began, events := time.Now(), 0
		for n := range turns {
			events += c.turnover(from + n)
		}
		return time.Since(began) / time.Duration(events)
	}
	for n := range slices {
		if took := slice(small, n*turns); n == 0 || took < few {
			few = took
		}
		if took := slice(large, n*turns); n == 0 || took < many {
			many = took
		}
	}
	return few, many
}

// TestMeasureScale is row 11 of make bench: one scaler, 1,000 pools of 100 sessions,
// fed by generated events. It runs the scaler's own code without servers.
func TestMeasureScale(t *testing.T) {
	keep := benchtest.Start(t)
	var resyncs, ratios, bytes, fewer, more []float64
	for range benchtest.Runs(t) {
		small := newFullCluster(10)
		small.resync()
		large := newFullCluster(1000)
		before := heap()
		resyncs = append(resyncs, large.resync().Seconds())
		bytes = append(bytes, float64(heap()-before)/float64(len(large.sessions)))
		few, many := perEvent(small, large)
		ratios = append(ratios, float64(many)/float64(few))
		fewer, more = append(fewer, float64(few)/1e3), append(more, float64(many)/1e3)
		runtime.KeepAlive(large)
	}
	resync, ratio, each := benchreport.Median(resyncs...), benchreport.Median(ratios...), benchreport.Median(bytes...)
	keep(benchreport.Row{
		Number: 11, What: "one scaler, 1,000 pools x 100 sessions, generated events",
		Target: "an event at 100,000 sessions at most 1.3 times one at 1,000; at most 4 KiB of heap a session",
		Figure: fmt.Sprintf("resync %.2f s, an event %.1f us, %.0f bytes a session", resync, benchreport.Median(more...), each),
		Limit:  fmt.Sprintf("an event at 1,000: %.1f us", benchreport.Median(fewer...)),
		Ratio:  ratio, Met: ratio <= 1.3 && each <= 4096,
		Note: "the ratio is an event's cost at 100,000 sessions by that at 1,000, each the least of many short slices that took turns; a resync takes as long as the machine is slow",
		Raw:  map[string][]float64{"resync_s": resyncs, "ratio": ratios, "bytes": bytes, "event_us_1000": fewer, "event_us_100000": more},
	})
}

// TestTheGeneratedClusterIsInItsDesiredState: the pools that the measurement generates need
// nothing.
func TestTheGeneratedClusterIsInItsDesiredState(t *testing.T) {
	c := newFullCluster(2)
	c.resync()
	for n := range 50 {
		c.turnover(n)
	}
	for name, p := range c.v.pools {
		ready := 0
		for _, e := range p.members.entries {
			if e.s.State == staging.Ready {
				ready++
			}
		}
		if ready != sessionsPerPool {
			t.Errorf("%s has %d ready", name, ready)
		}
	}
}
