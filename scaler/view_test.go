package scaler

import (
	"github.com/greenroom/greenroom/internal/staging"
)

// poolView returns a view with one pool, its image and its zone.
func poolView(image staging.Image) *view {
	v := newView()
	image.Name = "i"
	v.setResources(staging.Resources{
		Zones:   map[string]staging.Zone{"z": {Name: "z", Datacenters: []string{"dc1"}, AllowOriginDomain: "a", UpstreamAuthAddress: "b"}},
		Images:  map[string]staging.Image{"i": image},
		Configs: map[string]staging.Config{"p": {Name: "p", Zone: "z", Image: "i", DesiredSessions: 1}},
	})
	return v
}

// runs adds a running session of the pool.
func runs(v *view, id string) *entry {
	v.observe(staging.Observation{
		Session: id, Index: 1, Job: &staging.JobFacts{Session: staging.Session{ID: id, Origin: staging.Staged, Zone: "z", Image: "i", Staging: "p"}},
		Alloc: &staging.AllocFacts{ID: "a-" + id, Running: true},
	}, noon)
	e := v.sessions[id]
	e.s.State = staging.Starting
	v.updateMembership(e)
	return e
}
