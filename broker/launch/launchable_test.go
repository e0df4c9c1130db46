package launch_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/greenroom/greenroom/broker/launch"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// TestTheListOfWhatMayBeLaunchedIsWhatALaunchAllows: of every image and zone, it has exactly those
// that a launch does not refuse as unknown or disabled, whoever calls.
func TestTheListOfWhatMayBeLaunchedIsWhatALaunchAllows(t *testing.T) {
	off := false
	world := func() *world {
		return &world{resources: threeZones(tenants, func(r *staging.Resources) {
			r.Images["off"] = staging.Image{Name: "off", Enabled: &off}
			r.Images["bound"] = staging.Image{Name: "bound", RestrictToZones: []string{"north"}, ExecConfig: staging.ExecConfig{Go: &staging.Hook{Cmd: []string{"go"}}}}
			r.Images["nowhere"] = staging.Image{Name: "nowhere", RestrictToZones: []string{"vault"}}
		})}
	}
	for _, c := range []struct {
		groups []string
		scope  access.Scope
		want   string
	}{
		{nil, access.Scope{}, "[{bound [north] true} {plain [east north] false}]"},
		{[]string{"staff"}, access.Scope{}, "[{bound [north] true} {nowhere [vault] false} {plain [east north vault west] false} {secret [east north vault west] false}]"},
		{[]string{"staff"}, access.Scope{Images: []string{"secret", "bound"}, Zones: []string{"east"}}, "[{secret [east] false}]"},
	} {
		for who, as := range callers {
			w := world()
			b := with(w, 1, launch.Options{})
			var r launch.Request
			as(&r, c.groups...)
			all, err := b.Launchable(t.Context(), launch.For{Groups: r.Groups, GroupsOfProvider: r.GroupsOfProvider, Scope: c.scope})
			if got := fmt.Sprint(all); err != nil || got != c.want {
				t.Errorf("%s of %q: %s, %v; want %s", who, c.groups, got, err, c.want)
			}
			listed := map[[2]string]bool{}
			for _, l := range all {
				for _, zone := range l.Zones {
					listed[[2]string{l.Image, zone}] = true
				}
			}
			for image, i := range w.resources.Images {
				for zone := range w.resources.Zones {
					if !i.IsEnabled() || !i.AllowedIn(zone) {
						continue // another zone may serve such a launch
					}
					_, err := launchIn(t, world(), image, func(r *launch.Request) {
						as(r, c.groups...)
						r.Zone, r.Scope = zone, c.scope
					})
					if invalid, refused := errors.AsType[*staging.InvalidError](err); refused == listed[[2]string{image, zone}] {
						t.Errorf("%s of %q: %s in %s is listed: %v, and a launch of it: %v", who, c.groups, image, zone, refused, invalid)
					}
				}
			}
		}
	}
	b := with(world(), 1, launch.Options{})
	if _, err := b.Launchable(t.Context(), launch.For{Groups: []string{"staff", "none"}}); err == nil {
		t.Error("a group that there is not was taken")
	}
}
