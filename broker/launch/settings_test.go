package launch_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/greenroom/greenroom/broker/launch"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// threeZones are east, which searches west and then north, each with a pool of
// the image; change alters them before they are used.
func threeZones(change ...func(*staging.Resources)) *staging.Resources {
	east := zone("east")
	east.SearchAlternateZones, east.AlternateZones = true, []string{"west", "north"}
	r := &staging.Resources{
		Zones:  map[string]staging.Zone{"east": east, "west": zone("west"), "north": zone("north")},
		Images: map[string]staging.Image{"plain": {Name: "plain"}},
		Configs: map[string]staging.Config{
			"pe": {Name: "pe", Zone: "east", Image: "plain"}, "pw": {Name: "pw", Zone: "west", Image: "plain"},
			"pn": {Name: "pn", Zone: "north", Image: "plain"},
		},
		Groups: map[string]staging.Group{},
	}
	for _, f := range change {
		f(r)
	}
	return r
}

func lines(attempts []staging.Attempt) []string {
	var out []string
	for _, a := range attempts {
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s %s: %s", a.Step, a.Zone, a.Outcome, a.Reason)))
	}
	return out
}

// TestTheFourSteps: each of the four serves, and each is skipped with its reason.
func TestTheFourSteps(t *testing.T) {
	noSearch := func(r *staging.Resources) {
		z := r.Zones["east"]
		z.SearchAlternateZones, z.AlternateZones = false, nil
		r.Zones["east"] = z
	}
	restricted := func(zones ...string) func(*staging.Resources) {
		return func(r *staging.Resources) {
			r.Images["plain"] = staging.Image{Name: "plain", RestrictToZones: zones}
		}
	}
	noRoom := map[string]bool{"east": true, "west": true, "north": true}
	cases := []struct {
		name  string
		world world
		want  []string
		kind  refusal.Kind
	}{
		{
			name:  "1 staged in the current zone",
			world: world{resources: threeZones(), pools: map[string][]string{"pe": {"e1"}, "pw": {"w1"}}},
			want:  []string{"staged east served:"},
		},
		{
			name:  "2 staged in the first alternate zone that has one",
			world: world{resources: threeZones(), pools: map[string][]string{"pn": {"n1"}}},
			want: []string{
				"staged east empty: no session of pe is ready", "staged west empty: no session of pw is ready", "staged north served:",
			},
		},
		{
			name:  "3 on demand in the current zone",
			world: world{resources: threeZones()},
			want: []string{
				"staged east empty: no session of pe is ready", "staged west empty: no session of pw is ready",
				"staged north empty: no session of pn is ready", "on_demand east served:",
			},
		},
		{
			name:  "4 on demand in the first alternate zone with room",
			world: world{resources: threeZones(), refusedIn: map[string]bool{"east": true, "west": true}},
			want: []string{
				"staged east empty: no session of pe is ready", "staged west empty: no session of pw is ready",
				"staged north empty: no session of pn is ready",
				"on_demand east failed: it cannot be placed: no room in east", "on_demand west failed: it cannot be placed: no room in west",
				"on_demand north served:",
			},
		},
		{
			name:  "alternate zones are skipped by a zone that does not search them",
			world: world{resources: threeZones(noSearch), refusedIn: noRoom, pools: map[string][]string{"pw": {"w1"}}},
			want: []string{
				"staged east empty: no session of pe is ready",
				"on_demand east failed: it cannot be placed: no room in east", "on_demand east skipped: zone east does not search alternate zones",
			},
			kind: refusal.NoCapacity,
		},
		{
			name:  "zones that the image may not run in are skipped, the current one too",
			world: world{resources: threeZones(restricted("north")), pools: map[string][]string{"pe": {"e1"}, "pw": {"w1"}}},
			want: []string{
				"staged east skipped: image plain is restricted to north", "staged west skipped: image plain is restricted to north",
				"staged north empty: no session of pn is ready",
				"on_demand north served:",
			},
		},
		{
			name: "a zone without a pool, and an alternate that is gone",
			world: world{resources: threeZones(func(r *staging.Resources) {
				delete(r.Configs, "pe")
				delete(r.Zones, "west")
			})},
			want: []string{
				"staged east skipped: no staging config for image plain in zone east", "staged west skipped: there is no zone west",
				"staged north empty: no session of pn is ready", "on_demand east served:",
			},
		},
		{
			name: "a zone that cannot stage",
			world: world{pools: map[string][]string{"pe": {"e1"}, "pw": {"w1"}}, resources: threeZones(func(r *staging.Resources) {
				z := r.Zones["east"]
				z.AllowOriginDomain = staging.RequestHost
				r.Zones["east"] = z
			})},
			want: []string{
				"staged east skipped: zone east still has $request_host$ in allow_origin_domain: a staged session is made before there is a request, so set it explicitly",
				"staged west served:",
			},
		},
		{
			name:  "all refuse: the reason of each zone",
			world: world{resources: threeZones(), refusedIn: noRoom},
			want: []string{
				"staged east empty: no session of pe is ready", "staged west empty: no session of pw is ready", "staged north empty: no session of pn is ready",
				"on_demand east failed: it cannot be placed: no room in east", "on_demand west failed: it cannot be placed: no room in west",
				"on_demand north failed: it cannot be placed: no room in north",
			},
			kind: refusal.NoCapacity,
		},
	}
	for i := range cases {
		c := &cases[i]
		t.Run(c.name, func(t *testing.T) {
			r, err := launchIn(t, &c.world, "plain")
			attempts := r.Attempts
			var refused *refusal.Error
			if errors.As(err, &refused) {
				attempts = refused.Attempts
				if refused.Kind != c.kind || refused.RetryAfter == 0 || !strings.Contains(refused.Detail, "zone east: it cannot be placed: no room in east") {
					t.Errorf("refused with %v", err)
				}
			} else if err != nil || c.kind != "" {
				t.Errorf("error %v, want kind %q", err, c.kind)
			}
			if diff := cmp.Diff(c.want, lines(attempts)); diff != "" {
				t.Errorf("attempts (-want +got):\n%s", diff)
			}
			if err == nil && r.Session.Zone != r.Attempts[len(r.Attempts)-1].Zone {
				t.Errorf("served from %s, the session is in %s", r.Attempts[len(r.Attempts)-1].Zone, r.Session.Zone)
			}
		})
	}
}

// TestAViolationGoesOnDemand: noted in the attempts and the events, no staged
// session is touched, and the setting is in what the session is made of.
func TestAViolationGoesOnDemand(t *testing.T) {
	yes := true
	cases := map[string]struct {
		group   staging.Group
		image   staging.Image
		setting string
		made    func(staging.Spec) bool
	}{
		"environment": {
			group: staging.Group{ExposeUserEnvironmentVars: &yes}, setting: "expose_user_environment_vars",
			made: func(s staging.Spec) bool { return s.Environment["COURSE_ID"] == "7" },
		},
		"keys": {
			group: staging.Group{InjectSSHKeys: &yes}, setting: "inject_ssh_keys",
			made: func(s staging.Spec) bool { return len(s.SSHKeys) == 1 },
		},
		"run config": {
			group: staging.Group{RunConfig: map[string]any{"hostname": "h"}}, setting: "run_config",
			made: func(s staging.Spec) bool { return s.RunConfig["hostname"] == "h" },
		},
		"volume": {
			group: staging.Group{VolumeMapping: []staging.VolumeMapping{{Source: "/srv/{user_id}", Target: "/data"}}}, setting: "volume_mapping",
			made: func(s staging.Spec) bool { return len(s.Volumes) == 1 && s.Volumes[0].Source == "/srv/u" },
		},
		"web filter": {
			group: staging.Group{WebFilterPolicy: "strict"}, setting: "web_filter_policy",
			made: func(s staging.Spec) bool { return s.Environment["GREENROOM_WEB_FILTER_POLICY"] == "strict" },
		},
		"permission": {
			group: staging.Group{Permissions: staging.Permissions{staging.AllowAudio: false}}, setting: "allow_audio",
			made: func(s staging.Spec) bool { return s.Environment["GREENROOM_ALLOW_AUDIO"] == "false" },
		},
		"profile": {
			image: staging.Image{PersistentProfilePath: "/srv/p/{user_id}"}, setting: "persistent_profile_path",
			made: func(s staging.Spec) bool {
				return len(s.Volumes) == 1 && s.Volumes[0] == staging.VolumeMapping{Source: "/srv/p/u", Target: staging.ProfileTarget}
			},
		},
		"image volume of a user": {
			image:   staging.Image{VolumeMappings: []staging.VolumeMapping{{Source: "/srv/{user_id}", Target: "/home"}}},
			setting: "volume_mappings",
			made:    func(s staging.Spec) bool { return len(s.Volumes) == 1 && s.Volumes[0].Source == "/srv/u" },
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := &world{ready: []string{"s1"}, resources: threeZones(func(r *staging.Resources) {
				c.image.Name, c.group.Name = "plain", "g"
				r.Images["plain"], r.Groups["g"] = c.image, c.group
			})}
			r, err := launchIn(t, w, "plain", func(req *launch.Request) {
				req.Groups, req.SSHKeys = []string{"g"}, []string{"ssh-ed25519 AAAA"}
				req.UserEnvironment = map[string]string{"COURSE_ID": "7"}
			})
			if err != nil || r.Session.Origin != staging.OnDemand || len(w.ready) != 1 {
				t.Fatalf("%+v %v, %d ready", r.Session, err, len(w.ready))
			}
			if a := r.Attempts[0]; a.Outcome != staging.OutcomeSkipped || !strings.Contains(a.Reason, c.setting) {
				t.Errorf("attempts %v do not name %s", lines(r.Attempts), c.setting)
			}
			if len(w.events) == 0 || w.events[0].Type != staging.EventViolation || w.events[0].Setting != c.setting || w.events[0].User != "u" {
				t.Errorf("events %+v", w.events)
			}
			if len(w.specs) != 1 || !c.made(w.specs[0]) {
				t.Errorf("made of %+v", w.specs)
			}
		})
	}
}

// TestWhatEverySessionOfAnImageHasIsNoViolation.
func TestWhatEverySessionOfAnImageHasIsNoViolation(t *testing.T) {
	w := &world{ready: []string{"s1"}, resources: threeZones(func(r *staging.Resources) {
		r.Images["plain"] = staging.Image{
			Name: "plain", RunConfig: map[string]any{"hostname": "h"}, WebFilterPolicy: "strict",
			VolumeMappings: []staging.VolumeMapping{{Source: "/srv/shared", Target: "/data"}},
		}
	})}
	r, err := launchIn(t, w, "plain")
	if err != nil || r.Session.ID != "s1" || len(w.events) != 0 {
		t.Errorf("%+v %v %v", r.Session, err, w.events)
	}
}

// TestAUsersIDCannotLeadAVolumeElsewhere, and the user's name has no part in it.
func TestAUsersIDCannotLeadAVolumeElsewhere(t *testing.T) {
	for id, want := range map[string]string{"../root": "/srv/%2E.%2Froot", "a:ro": "/srv/a%3Aro", "u": "/srv/u"} {
		w := &world{resources: threeZones(func(r *staging.Resources) {
			r.Images["plain"] = staging.Image{Name: "plain", PersistentProfilePath: "/srv/{user_id}"}
		})}
		_, err := launchIn(t, w, "plain", func(req *launch.Request) { req.User = staging.User{ID: id, Name: "../../etc"} })
		if err != nil || len(w.specs) != 1 || w.specs[0].Volumes[0].Source != want {
			t.Errorf("id %q: %v, made %+v", id, err, w.specs)
		}
	}
}

// TestTheUsersLimitIsToldWithTheSessionsThatCount.
func TestTheUsersLimitIsToldWithTheSessionsThatCount(t *testing.T) {
	two := 2
	since := time.Date(2026, 11, 24, 6, 22, 0, 0, time.UTC)
	w := &world{ready: []string{"s1"}, limited: []string{"a", "b"}, owned: []staging.Session{
		{ID: "a"}, {ID: "b", UnhealthySince: since}, {ID: "another", UnhealthySince: since},
	}, resources: threeZones(func(r *staging.Resources) {
		r.Groups["g"] = staging.Group{Name: "g", MaxSessionsPerUser: &two}
	})}
	_, err := launchIn(t, w, "plain", func(req *launch.Request) { req.Groups = []string{"g"} })
	var refused *refusal.Error
	if !errors.As(err, &refused) || refused.Kind != refusal.SessionLimit || !cmp.Equal(refused.Sessions, w.limited) || len(w.ready) != 1 {
		t.Errorf("%v", err)
	}
	if !cmp.Equal(refused.Unhealthy, []string{"b"}) || !strings.Contains(refused.Detail, "session b has been unhealthy since 2026-11-24T06:22:00Z") {
		t.Errorf("unhealthy: %v, %s", refused.Unhealthy, refused.Detail)
	}
}

func TestADisabledImageAndAnUnknownGroupAreRefused(t *testing.T) {
	no := false
	w := &world{ready: []string{"s1"}, resources: threeZones(func(r *staging.Resources) {
		r.Images["off"] = staging.Image{Name: "off", Enabled: &no}
	})}
	_, err := launchIn(t, w, "off")
	var refused *refusal.Error
	if !errors.As(err, &refused) || refused.Kind != refusal.ImageDisabled {
		t.Errorf("%v", err)
	}
	_, err = launchIn(t, w, "plain", func(req *launch.Request) { req.Groups = []string{"nobody"} })
	var invalid *staging.InvalidError
	if !errors.As(err, &invalid) || invalid.Fields[0].Field != "groups[0]" {
		t.Errorf("%v", err)
	}
	if len(w.calls) != 0 {
		t.Errorf("it called %v", w.calls)
	}
}

// TestAUserWhoHasASessionIsShownTheURLInIt: the key is reserved before the hook
// runs and bound after it, so that a repeat never runs it again.
func TestAUserWhoHasASessionIsShownTheURLInIt(t *testing.T) {
	withGo := threeZones(func(r *staging.Resources) {
		r.Images["plain"] = staging.Image{Name: "plain", ExecConfig: staging.ExecConfig{Go: &staging.Hook{Cmd: []string{"open"}}}}
	})
	own := staging.Session{ID: "mine", Image: "plain", Zone: "west", State: staging.Assigned, Claim: "c", User: &staging.User{ID: "u"}}
	withURL := func(req *launch.Request) { req.URL, req.IdempotencyKey = "https://example.org", "k" }

	w := &world{ready: []string{"s1"}, owned: []staging.Session{own}, resources: withGo}
	r, err := launchIn(t, w, "plain", withURL)
	if err != nil || r.Session.ID != "mine" || !r.Existing || r.Token != staging.AccessToken([]byte("secret"), "mine", "c") {
		t.Errorf("%+v %v", r, err)
	}
	if diff := cmp.Diff([]string{"adopt mine", "go mine", "bind"}, w.calls); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}

	w = &world{ready: []string{"s1"}, owned: []staging.Session{own}, resources: withGo, fail: map[string]error{"go": errAway}}
	_, err = launchIn(t, w, "plain", withURL)
	var refused *refusal.Error
	if !errors.As(err, &refused) || refused.Kind != refusal.LaunchFailed || len(w.ready) != 1 || len(w.events) != 1 {
		t.Errorf("%v, events %v", err, w.events)
	}

	w = &world{ready: []string{"s1"}, owned: []staging.Session{own}, resources: withGo}
	if r, err = launchIn(t, w, "plain"); err != nil || r.Session.ID != "s1" {
		t.Errorf("without a URL: %+v %v", r.Session, err)
	}

	w = &world{ready: []string{"s1"}, owned: []staging.Session{own}, resources: withGo}
	r, err = launchIn(t, w, "plain", withURL, func(req *launch.Request) { req.Scope = access.Scope{Zones: []string{"east"}} })
	if err != nil || r.Session.ID != "s1" {
		t.Errorf("one in a zone outside the scope of the caller's token: %+v %v", r.Session, err)
	}
}

func TestAFailedFirstLaunchIsTriedInAnotherZone(t *testing.T) {
	w := &world{fail: map[string]error{"first_launch": errAway}, resources: threeZones(func(r *staging.Resources) {
		r.Images["plain"] = staging.Image{Name: "plain", ExecConfig: staging.ExecConfig{FirstLaunch: &staging.Hook{Cmd: []string{"x"}}}}
	})}
	_, err := launchIn(t, w, "plain")
	var refused *refusal.Error
	if !errors.As(err, &refused) || refused.Kind != refusal.LaunchFailed || len(w.specs) != 3 || len(w.events) != 3 {
		t.Errorf("%v, %d made, events %v", err, len(w.specs), w.events)
	}
}
