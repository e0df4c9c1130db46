package scaler

import (
	"context"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// watchRecorder records the services whose watches start and stop.
type watchRecorder struct{ started, stopped chan string }

func (w watchRecorder) Watch(ctx context.Context, service string, _ func([]staging.Health)) error {
	w.started <- service
	<-ctx.Done()
	w.stopped <- service
	return ctx.Err()
}

// TestHealthWatchesFollowPoolsAndZones, although they are only adjusted when one is added or
// removed.
func TestHealthWatchesFollowPoolsAndZones(t *testing.T) {
	watches := watchRecorder{started: make(chan string, 8), stopped: make(chan string, 8)}
	s := New(Parts{Health: watches, Meter: quiet{}, Log: silent()}, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	defer s.wg.Wait()
	defer cancel()
	v := newView()
	expect := func(what string, on chan string, want ...string) {
		t.Helper()
		s.decide(ctx, v, noon)
		missing := map[string]bool{}
		for _, w := range want {
			missing[w] = true
		}
		for len(missing) > 0 {
			select {
			case got := <-on:
				if !missing[got] {
					t.Fatalf("%s: %s, want %v", what, got, want)
				}
				delete(missing, got)
			case <-time.After(2 * time.Minute):
				t.Fatalf("%s: missing %v", what, missing)
			}
		}
	}
	r := staging.Resources{
		Zones:   map[string]staging.Zone{"z": {Name: "z"}},
		Configs: map[string]staging.Config{"p": {Name: "p", Zone: "z", Image: "i"}},
	}
	v.setResources(r)
	expect("a standby watches nothing", watches.started)
	select {
	case got := <-watches.started:
		t.Errorf("a standby watches %s", got)
	default:
	}
	v.heldSince["z"], v.heldSince["gone"], v.watchesStale = noon, noon, true
	expect("the first resources", watches.started, staging.PoolService("p"), staging.OnDemandService("z"))
	r.Configs = map[string]staging.Config{"p": r.Configs["p"], "q": {Name: "q", Zone: "z", Image: "i"}}
	v.setResources(r)
	expect("another pool", watches.started, staging.PoolService("q"))
	runs := func(id, zone string) {
		v.observe(staging.Observation{
			Session: id, Index: 1, Job: &staging.JobFacts{Session: staging.Session{ID: id, Origin: staging.OnDemand, Zone: zone}},
		}, noon)
	}
	runs("gr-1", "gone")
	expect("an on-demand session in a deleted zone", watches.started, staging.OnDemandService("gone"))
	v.forget("gr-1")
	expect("the end of the last session there", watches.stopped, staging.OnDemandService("gone"))
	runs("gr-2", "z")
	r.Zones = map[string]staging.Zone{}
	v.setResources(r)
	expect("the zone is deleted with a session in it", watches.stopped)
	v.forget("gr-2")
	expect("the end of its last session", watches.stopped, staging.OnDemandService("z"))
	delete(v.heldSince, "z")
	v.watchesStale = true
	expect("the zone's lock is lost", watches.stopped, staging.PoolService("p"), staging.PoolService("q"))
	if v.pools["p"].healthKnown || v.pools["p"].stopWatch != nil {
		t.Error("what a standby last read counts as current")
	}
}
