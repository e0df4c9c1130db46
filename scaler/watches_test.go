package scaler

import (
	"context"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// listeners are the services that are watched, as they come and go.
type listeners struct{ began, ended chan string }

func (l listeners) Watch(ctx context.Context, service string, _ func([]staging.Health)) error {
	l.began <- service
	<-ctx.Done()
	l.ended <- service
	return ctx.Err()
}

// TestWatchesFollowPoolsAndZones, though they are only seen to when one came or went.
func TestWatchesFollowPoolsAndZones(t *testing.T) {
	heard := listeners{began: make(chan string, 8), ended: make(chan string, 8)}
	s := New(Parts{Health: heard, Meter: quiet{}, Log: silent()}, Options{})
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
					t.Fatalf("%s: %s, wanted %v", what, got, want)
				}
				delete(missing, got)
			case <-time.After(10 * time.Second):
				t.Fatalf("%s: still not %v", what, missing)
			}
		}
	}
	r := staging.Resources{
		Zones:   map[string]staging.Zone{"z": {Name: "z"}},
		Configs: map[string]staging.Config{"p": {Name: "p", Zone: "z", Image: "i"}},
	}
	v.setResources(r)
	expect("the first resources", heard.began, staging.PoolService("p"), staging.OnDemandService("z"))
	r.Configs = map[string]staging.Config{"p": r.Configs["p"], "q": {Name: "q", Zone: "z", Image: "i"}}
	v.setResources(r)
	expect("a pool more", heard.began, staging.PoolService("q"))
	runs := func(id, zone string) {
		v.observe(staging.Observation{
			Session: id, Index: 1, Job: &staging.JobFacts{Session: staging.Session{ID: id, Origin: staging.OnDemand, Zone: zone}},
		}, noon)
	}
	runs("gr-1", "gone")
	expect("a session on demand in a zone that is gone", heard.began, staging.OnDemandService("gone"))
	v.forget("gr-1")
	expect("the last session there", heard.ended, staging.OnDemandService("gone"))
	runs("gr-2", "z")
	r.Zones = map[string]staging.Zone{}
	v.setResources(r)
	expect("the zone is gone, and somebody in it", heard.ended)
	v.forget("gr-2")
	expect("nobody is left in it", heard.ended, staging.OnDemandService("z"))
}
