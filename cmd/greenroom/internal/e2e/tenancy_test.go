package e2e

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"github.com/greenroom/greenroom/internal/issuer/issuertest"
	"github.com/greenroom/greenroom/internal/staging"
	"github.com/greenroom/greenroom/jobspecs"
)

// TestWhoMayHaveWhat: an image and a zone for one group, with the tokens of an issuer. For
// everybody else both do not exist, whoever calls, and a default group limits those who have no
// other. Groups count by their prefix, and a token without a required claim is refused.
func TestWhoMayHaveWhat(t *testing.T) {
	p := issuertest.New(t)
	key := issuertest.NewKey(t, "k")
	p.Publishes(key)
	c, d := startCluster(t, 0)
	startAgent(t, c, "scaler")
	guarded, b := guardedBroker(t, c, d, "--log-format", "json", "--oidc-issuer", p.URL(), "--oidc-audience", "greenroom",
		"--oidc-groups-claim", "groups", "--oidc-groups-prefix", "greenroom-", "--oidc-required-claim", "hd=example.org",
		"--oidc-role-claim", "roles", "--oidc-role", "portal=launcher", "--oidc-role", "boss=admin")
	as := func(user string, change map[string]any) []string {
		claims := p.Claims(map[string]any{"sub": user, "hd": []string{"example.com", "example.org"}, "groups": []string{}})
		maps.Copy(claims, change)
		return bearer(key.Signs(t, claims))
	}
	guest := map[string]any{"groups": []string{"staff", "greenroom-Nobody knows it"}}
	staff := map[string]any{"groups": []string{"greenroom-staff", "greenroom-Nobody knows it"}}
	portal, boss := map[string]any{"roles": "portal"}, map[string]any{"roles": "boss"}

	one := 1
	d.group(t, staging.Group{Name: "staff", Priority: 1})
	d.group(t, staging.Group{Name: "guests", Priority: 9, Default: true, MaxSessionsPerUser: &one})
	allowed := []string{"staff"}
	d.zone(t, "vault", "dc1", func(z *staging.Zone) { z.AllowedGroups = allowed })
	d.zone(t, "full", "dc-none", func(z *staging.Zone) { z.SearchAlternateZones, z.AlternateZones = true, []string{"vault"} })
	d.stage(t, staging.Image{Name: "secret", Jobspec: jobspecs.DemoMock, AllowedGroups: allowed}, 1)
	d.untilReady(t, "secret", 1)
	guarded.ask(t, "DELETE", "/v1/groups/staff", nil, 409, nil, as("root", boss)...)

	// What a user may not have is answered like what does not exist, but for its name.
	text := func(r reply, name string) string {
		var problem map[string]any
		must(t, json.Unmarshal(r.body, &problem))
		delete(problem, "request_id")
		return strings.ReplaceAll(jsonText(problem), name, "NAME")
	}
	for what, call := range map[string]struct {
		body   string
		caller []string
	}{
		"a user's image":     {`{"image":"NAME","zone":"east"}`, as("amy", guest)},
		"a user's zone":      {`{"image":"mock","zone":"NAME"}`, as("amy", guest)},
		"a launcher's image": {`{"image":"NAME","zone":"east","user":{"id":"amy"}}`, as("portal", portal)},
		"a launcher's zone":  {`{"image":"mock","zone":"NAME","user":{"id":"amy"},"groups":["guests"]}`, as("portal", portal)},
		"an administrator's": {`{"image":"NAME","zone":"east","user":{"id":"amy"}}`, as("root", boss)},
		"several":            {`{"image":"NAME","zone":"east","count":2}`, as("amy", guest)},
	} {
		name := "secret"
		if strings.Contains(call.body, `"zone":"NAME"`) {
			name = "vault"
		}
		ask := func(name string) string {
			return text(guarded.ask(t, "POST", "/v1/sessions", strings.ReplaceAll(call.body, "NAME", name), 422, nil, call.caller...), name)
		}
		if there, absent := ask(name), ask("absent"); there != absent {
			t.Errorf("%s: what exists: %s\nwhat does not: %s", what, there, absent)
		}
	}

	// The user's groups open it, and the session is the staged one.
	var l launched
	guarded.ask(t, "POST", "/v1/sessions", `{"image":"secret","zone":"east"}`, 201, &l, as("sue", staff)...)
	if l.Origin != "staged" || l.Staging != "secret" {
		t.Errorf("staff got %+v", l)
	}
	guarded.ask(t, "DELETE", "/v1/sessions/"+l.ID, nil, 204, nil, as("sue", staff)...)
	guarded.ask(t, "POST", "/v1/sessions", `{"image":"secret","zone":"vault","user":{"id":"sue"},"groups":["staff"]}`, 201, &l, as("portal", portal)...)
	guarded.ask(t, "DELETE", "/v1/sessions/"+l.ID, nil, 204, nil, as("portal", portal)...)

	// A zone of others is no alternate zone, and is not named.
	r := guarded.ask(t, "POST", "/v1/sessions", `{"image":"mock","zone":"full"}`, 503, nil, as("amy", guest)...)
	if strings.Contains(string(r.body), "vault") || strings.Contains(string(r.body), "alternate") {
		t.Errorf("the refusal names the zone: %s", r.body)
	}
	guarded.ask(t, "POST", "/v1/sessions", `{"image":"mock","zone":"full"}`, 201, &l, as("sue", staff)...)
	if l.Zone != "vault" {
		t.Errorf("staff was served in %s: %+v", l.Zone, l.Attempts)
	}
	guarded.ask(t, "DELETE", "/v1/sessions/"+l.ID, nil, 204, nil, as("sue", staff)...)

	// The default group's limit is that of users without another group, and of no other.
	guarded.ask(t, "POST", "/v1/sessions", `{"image":"mock","zone":"east"}`, 201, &l, as("amy", guest)...)
	r = guarded.ask(t, "POST", "/v1/sessions", `{"image":"mock","zone":"east"}`, 409, nil, as("amy", guest)...)
	if !strings.Contains(string(r.body), "session_limit") {
		t.Errorf("%s", r.body)
	}
	guarded.ask(t, "DELETE", "/v1/sessions/"+l.ID, nil, 204, nil, as("amy", guest)...)
	for range 2 {
		guarded.ask(t, "POST", "/v1/sessions", `{"image":"mock","zone":"east"}`, 201, &l, as("sue", staff)...)
		defer d.ask(t, "DELETE", "/v1/sessions/"+l.ID, nil, 204, nil)
	}

	// A foreign group is logged once, and a launch is recorded with the groups that applied.
	log := b.Log.String()
	if n := strings.Count(log, "Nobody knows it"); n != 1 {
		t.Errorf("the foreign group is in %d lines", n)
	}
	for _, want := range []string{`\"groups\":[\"guests\"]`, `\"groups\":[\"staff\"]`, "as if the image did not exist", "as if the zone did not exist"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log does not have %s", want)
		}
	}

	// A token without the claim is refused, whatever its role is, and the answer names the claim.
	r = guarded.ask(t, "GET", "/v1/sessions", nil, 401, nil, as("root", map[string]any{"roles": "boss", "hd": "example.com"})...)
	if !strings.Contains(string(r.body), `\"hd\"`) || strings.Contains(string(r.body), "example.org") {
		t.Errorf("%s", r.body)
	}
}

// TestAGroupAllowsVariablesAndTheImagesOwnWin: what loaders and interpreters act on reaches a
// hook only if a group of the user allows it, and only if the image does not set it itself.
func TestAGroupAllowsVariablesAndTheImagesOwnWin(t *testing.T) {
	d := sharedDev(t)
	image := quickImage("allowed-env")
	image.ExecConfig.Assign = &staging.Hook{
		Cmd: []string{"/bin/sh", "-c", `env > "$NOMAD_TASK_DIR/seen"`}, Environment: map[string]string{"PYTHONPATH": "/of/image"},
	}
	d.stage(t, image, 1)
	d.untilReady(t, image.Name, 1)
	d.group(t, staging.Group{Name: "builders", Priority: 1, AllowedEnvironment: []string{"PYTHONPATH", "GIT_*"}})
	body := launch(image.Name, "east", "amy")
	body["environment"] = map[string]string{"PYTHONPATH": "/of/caller", "GIT_DIR": "/of/caller"}
	r := d.ask(t, "POST", "/v1/sessions", body, 422, nil)
	if !strings.Contains(string(r.body), "environment.PYTHONPATH") || !strings.Contains(string(r.body), "environment.GIT_DIR") {
		t.Errorf("%s", r.body)
	}
	body["groups"] = []string{"builders"}
	var l launched
	d.ask(t, "POST", "/v1/sessions", body, 201, &l)
	seen := d.inside(t, l.ID, `cat "$NOMAD_TASK_DIR/seen"`)
	if l.Origin != "staged" || !strings.Contains(seen, "PYTHONPATH=/of/image\n") || !strings.Contains(seen, "GIT_DIR=/of/caller\n") {
		t.Errorf("the hook of a %s session saw\n%s", l.Origin, seen)
	}
	body["environment"] = map[string]string{"LD_PRELOAD": "/tmp/x.so"}
	d.ask(t, "POST", "/v1/sessions", body, 422, nil)
}
