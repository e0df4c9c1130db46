package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/greenroom/greenroom/internal/staging"
)

// steps returns a launch's attempts as texts, to compare.
func steps(l launched) []string {
	var out []string
	for _, a := range l.Attempts {
		out = append(out, fmt.Sprintf("%s %s %s", a.Step, a.Zone, a.Outcome))
	}
	return out
}

// TestTheFourStepsOnRealZones: staged here, staged in the alternate zone, on demand here, on
// demand in the alternate zone.
func TestTheFourStepsOnRealZones(t *testing.T) {
	d := sharedDev(t)
	d.zone(t, "away", "dc2")
	d.zone(t, "home", "dc1", func(z *staging.Zone) { z.SearchAlternateZones, z.AlternateZones = true, []string{"away"} })
	image := quickImage("steps")
	d.store(t, image)
	pool := func(name, zone string) func() {
		d.ask(t, "PUT", "/v1/staging/"+name, staging.Config{Name: name, Zone: zone, Image: "steps", DesiredSessions: 1}, 201, nil)
		d.untilReady(t, name, 1)
		return func() { d.ask(t, "DELETE", "/v1/staging/"+name, nil, 204, nil) }
	}
	launchAt := func(user string, status int) launched {
		var l launched
		d.ask(t, "POST", "/v1/sessions", launch("steps", "home", user), status, &l)
		return l
	}
	expect := func(l launched, zone, origin string, want ...string) {
		t.Helper()
		if l.Zone != zone || l.Origin != origin || strings.Join(steps(l), ", ") != strings.Join(want, ", ") {
			t.Errorf("%s in %s by %v; want %s in %s by %v", l.Origin, l.Zone, steps(l), origin, zone, want)
		}
		if got := record(t, l); len(got) != 1 || got[0].Session != l.ID {
			t.Errorf("the session's own record: %+v", got)
		}
	}

	removeHome, removeAway := pool("steps-home", "home"), pool("steps-away", "away")
	expect(launchAt("one", 201), "home", "staged", "staged home served")
	removeHome()
	expect(launchAt("two", 201), "away", "staged", "staged home skipped", "staged away served")
	removeAway()
	expect(launchAt("three", 201), "home", "on_demand", "staged home skipped", "staged away skipped", "on_demand home served")

	// The home zone has no node: its job cannot be placed, and the next zone is tried at once.
	d.ask(t, "PUT", "/v1/zones/home", staging.Zone{
		Name: "home", Datacenters: []string{"dc9"}, SearchAlternateZones: true, AlternateZones: []string{"away"},
	}, 200, nil)
	four := launchAt("four", 201)
	expect(four, "away", "on_demand", "staged home skipped", "staged away skipped", "on_demand home failed", "on_demand away served")
	if reason := four.Attempts[2].Reason; !strings.Contains(reason, "no node in datacenter dc9") {
		t.Errorf("the refusal of zone home: %q", reason)
	}
	// Nothing is left behind in the zone that refused.
	until(t, "the refused zone has no job", func() (bool, string) {
		left := ""
		for _, j := range d.jobs(t, "steps") {
			if info, _, err := d.nomad(t).Jobs().Info(j.id, nil); err == nil && info.Datacenters[0] == "dc9" {
				left += " " + j.id
			}
		}
		return left == "", left
	})
}

// TestEveryZoneRefuses: 503 with each zone's reason and Retry-After.
func TestEveryZoneRefuses(t *testing.T) {
	d := sharedDev(t)
	d.zone(t, "void", "dc9")
	d.zone(t, "full", "dc1", func(z *staging.Zone) { z.SearchAlternateZones, z.AlternateZones = true, []string{"void"} })
	image := quickImage("refused")
	image.Variables["memory"] = "99999999"
	d.store(t, image)
	body, err := json.Marshal(launch("refused", "full", "nobody"))
	must(t, err)
	r, err := d.call("POST", "/v1/sessions", string(body))
	must(t, err)
	var p struct {
		Code, Detail string
		Attempts     []staging.Attempt
	}
	must(t, json.Unmarshal(r.body, &p))
	if r.status != http.StatusServiceUnavailable || p.Code != "no_capacity" || r.header.Get("Retry-After") == "" ||
		!strings.Contains(p.Detail, "zone full: it cannot be placed: not enough memory") || !strings.Contains(p.Detail, "zone void: it cannot be placed: no node in datacenter dc9") ||
		len(p.Attempts) != 4 {
		t.Errorf("%d, Retry-After %q: %s", r.status, r.header.Get("Retry-After"), r.body)
	}
}

// TestAnImageRestrictedToZonesRunsInNoOther.
func TestAnImageRestrictedToZonesRunsInNoOther(t *testing.T) {
	d := sharedDev(t)
	d.zone(t, "only", "dc2")
	d.zone(t, "near", "dc1", func(z *staging.Zone) { z.SearchAlternateZones, z.AlternateZones = true, []string{"east", "only"} })
	image := quickImage("restricted")
	image.RestrictToZones = []string{"only"}
	d.store(t, image)
	var l launched
	d.ask(t, "POST", "/v1/sessions", launch("restricted", "near", "u"), 201, &l)
	// Why near and east are skipped is said once.
	want := "staged near skipped, staged east skipped, staged only skipped, on_demand only served"
	if got := strings.Join(steps(l), ", "); l.Zone != "only" || got != want {
		t.Errorf("served in %s by %s", l.Zone, got)
	}
	var p struct{ Code, Detail string }
	d.ask(t, "POST", "/v1/sessions", launch("restricted", "east", "u"), 422, &p)
	if !strings.Contains(p.Detail, "restricted to only") {
		t.Errorf("%+v", p)
	}
	d.ask(t, "PUT", "/v1/staging/restricted", staging.Config{Zone: "east", Image: "restricted", DesiredSessions: 1}, 422, &p)
	if !strings.Contains(p.Detail, "restricted to") {
		t.Errorf("%+v", p)
	}
}

// TestAZoneWithRequestHostStagesNothing: a config for such a zone is refused. If the zone is
// changed later, the pool has a condition, and nothing more is staged.
func TestAZoneWithRequestHostStagesNothing(t *testing.T) {
	d := sharedDev(t)
	z := d.zone(t, "access", "dc1")
	d.store(t, quickImage("access"))
	c := staging.Config{Name: "access", Zone: "access", Image: "access", DesiredSessions: 2}
	for setting, change := range map[string]func(*staging.Zone){
		"allow_origin_domain":   func(z *staging.Zone) { z.AllowOriginDomain = "" },
		"upstream_auth_address": func(z *staging.Zone) { z.UpstreamAuthAddress = "https://$request_host$:8443" },
	} {
		changed := z
		change(&changed)
		d.ask(t, "PUT", "/v1/zones/access", changed, 200, nil)
		var p struct {
			Detail string
			Errors []staging.FieldError
		}
		d.ask(t, "PUT", "/v1/staging/access", c, 422, &p)
		if len(p.Errors) != 1 || p.Errors[0].Field != "zone" || !strings.Contains(p.Detail, setting) {
			t.Errorf("%s: %+v", setting, p)
		}
	}
	d.ask(t, "PUT", "/v1/zones/access", z, 200, nil)
	d.ask(t, "PUT", "/v1/staging/access", c, 201, nil)
	t.Cleanup(func() { d.ask(t, "DELETE", "/v1/staging/access", nil, 204, nil) })
	d.untilReady(t, "access", 2)
	back := z
	back.AllowOriginDomain = staging.RequestHost
	d.ask(t, "PUT", "/v1/zones/access", back, 200, nil)
	d.untilCondition(t, "access", staging.ZoneNotStageable, "allow_origin_domain")
	until(t, "what was staged for the old access settings is gone, and nothing new comes", func() (bool, string) {
		jobs := d.jobs(t, "access")
		return len(jobs) == 0, fmt.Sprint(jobs)
	})
	d.ask(t, "PUT", "/v1/zones/access", z, 200, nil)
	d.untilReady(t, "access", 2)
}

// TestAShortWaitDoesNotLeaveWhatCannotBePlaced: such a launch tries the next zone, too.
func TestAShortWaitDoesNotLeaveWhatCannotBePlaced(t *testing.T) {
	d := sharedDev(t)
	d.zone(t, "hasty", "dc9", func(z *staging.Zone) { z.SearchAlternateZones, z.AlternateZones = true, []string{"west"} })
	d.store(t, quickImage("hasty"))
	var l launched
	d.ask(t, "POST", "/v1/sessions?wait=0s", launch("hasty", "hasty", "u"), 202, &l)
	if got := strings.Join(steps(l), ", "); l.Zone != "west" || !strings.Contains(got, "on_demand hasty failed, on_demand west starting") {
		t.Errorf("in %s by %s", l.Zone, got)
	}
}
