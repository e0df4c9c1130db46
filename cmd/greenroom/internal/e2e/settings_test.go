package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/greenroom/greenroom/internal/staging"
)

// launchWith returns a launch body with additional fields.
func launchWith(image, zone, user string, more map[string]any) map[string]any {
	l := launch(image, zone, user)
	for k, v := range more {
		l[k] = v
	}
	return l
}

// TestEachGroupSettingIsAppliedOnDemand: a staged session cannot honour the setting. The
// violation is reported, and the on-demand container has the setting.
func TestEachGroupSettingIsAppliedOnDemand(t *testing.T) {
	d := sharedDev(t)
	image := d.dockerImage(t, "settings")
	d.stage(t, image, 1)
	d.untilReady(t, "settings", 1)
	staged := d.passing(t, "settings")
	host := t.TempDir()
	must(t, os.Chmod(host, 0o755))
	yes := true
	key := "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGreenroomTestKeyGreenroomTestKeyGreenroomTe alice@laptop"
	for setting, c := range map[string]struct {
		group   staging.Group
		command string
		want    string
	}{
		"expose_user_environment_vars": {staging.Group{ExposeUserEnvironmentVars: &yes}, `cat /proc/1/environ | tr '\0' '\n' | grep ^COURSE_ID=`, "COURSE_ID=7 $(id)"},
		"inject_ssh_keys":              {staging.Group{InjectSSHKeys: &yes}, `cat "$GREENROOM_SSH_AUTHORIZED_KEYS"`, key},
		"run_config":                   {staging.Group{RunConfig: map[string]any{"hostname": "greenroom-host"}}, "hostname", "greenroom-host"},
		"volume_mapping": {
			staging.Group{VolumeMapping: []staging.VolumeMapping{{Source: host + "/{user_id}", Target: "/data"}}},
			"echo from-inside > /data/file && cat /data/file", "from-inside",
		},
		"web_filter_policy": {staging.Group{WebFilterPolicy: "strict"}, `echo "$GREENROOM_WEB_FILTER_POLICY"`, "strict"},
		"allow_audio":       {staging.Group{Permissions: staging.Permissions{staging.AllowAudio: false}}, `echo "$GREENROOM_ALLOW_AUDIO $GREENROOM_ALLOW_UPLOADS"`, "false true"},
		"allow_webcam":      {staging.Group{Permissions: staging.Permissions{staging.AllowWebcam: true}}, `echo "$GREENROOM_ALLOW_WEBCAM"`, "true"},
	} {
		t.Run(setting, func(t *testing.T) {
			c.group.Name = "g-" + strings.ReplaceAll(setting, "_", "-")
			d.group(t, c.group)
			var l launched
			d.ask(t, "POST", "/v1/sessions", launchWith("settings", "east", "alice", map[string]any{
				"groups": []string{c.group.Name}, "ssh_keys": []string{key}, "user_environment": map[string]string{"COURSE_ID": "7 $(id)"},
			}), 201, &l)
			if l.Origin != "on_demand" || l.Attempts[0].Outcome != "skipped" || !strings.Contains(l.Attempts[0].Reason, setting) {
				t.Errorf("%s: %+v", l.Origin, l.Attempts)
			}
			if got := d.inside(t, l.ID, c.command); got != c.want {
				t.Errorf("inside the container: %q, want %q", got, c.want)
			}
			found := slices.ContainsFunc(d.noted(t, staging.EventViolation), func(e map[string]any) bool {
				return e["setting"] == setting && e["user_id"] == "u-alice" && e["image"] == "settings" && strings.Contains(fmt.Sprint(e["where"]), c.group.Name)
			})
			if !found {
				t.Errorf("no event of the violation: %v", d.noted(t, staging.EventViolation))
			}
			d.ask(t, "DELETE", "/v1/sessions/"+l.ID, nil, 204, nil)
		})
	}
	if b, err := os.ReadFile(filepath.Join(host, "u-alice", "file")); err != nil || string(b) != "from-inside\n" {
		t.Errorf("the volume on the node: %q %v", b, err)
	}
	if now := d.passing(t, "settings"); !slices.Equal(now, staged) {
		t.Errorf("the staged session was touched: %v, before %v", now, staged)
	}
	log, err := os.ReadFile(filepath.Join(d.dir(t), "greenroom", "broker.log"))
	must(t, err)
	line := ""
	for l := range strings.Lines(string(log)) {
		if strings.Contains(l, "violation") && strings.Contains(l, "inject_ssh_keys") {
			line = l
		}
	}
	for _, want := range []string{"user_id=u-alice", "image=settings", "setting=inject_ssh_keys", "where=\"group \\\"g-inject-ssh-keys\\\"\""} {
		if !strings.Contains(line, want) {
			t.Errorf("the violation's line lacks %s: %s", want, line)
		}
	}
	if counted := `greenroom_violations_total{kind="group",setting="inject_ssh_keys"}`; !strings.Contains(get(t, d.Broker+"/metrics"), counted) {
		t.Errorf("the violation was not counted: no %s", counted)
	}
	if strings.Contains(string(log), "AAAAC3NzaC1lZDI1NTE5AAAA") {
		t.Error("the user's key is in the log")
	}
}

// TestAPersistentProfileAndVolumesOfUsersAreMadeOnDemand, and a pool of such an image has a
// condition that it cannot serve any user.
func TestAPersistentProfileAndVolumesOfUsersAreMadeOnDemand(t *testing.T) {
	d := sharedDev(t)
	host := t.TempDir()
	image := d.dockerImage(t, "profile")
	image.PersistentProfilePath = host + "/profiles/{user_id}"
	image.VolumeMappings = []staging.VolumeMapping{{Source: host + "/homes/{user_id}", Target: "/home/me"}, {Source: host, Target: "/all", ReadOnly: true}}
	d.stage(t, image, 1)
	d.untilCondition(t, "profile", staging.ImageNotStageable, "persistent_profile_path and volume_mappings")
	var l launched
	d.ask(t, "POST", "/v1/sessions", launch("profile", "east", "bob"), 201, &l)
	if l.Origin != "on_demand" || len(l.Attempts) < 3 || !strings.Contains(l.Attempts[0].Reason, "persistent_profile_path of image") ||
		!strings.Contains(l.Attempts[1].Reason, "volume_mappings of image") {
		t.Errorf("%s: %+v", l.Origin, l.Attempts)
	}
	d.inside(t, l.ID, "echo p > /profile/file; echo h > /home/me/file; echo no > /all/file")
	for file, want := range map[string]string{"profiles/u-bob/file": "p\n", "homes/u-bob/file": "h\n", "file": ""} {
		if b, _ := os.ReadFile(filepath.Join(host, file)); string(b) != want {
			t.Errorf("%s on the node: %q, want %q", file, b, want)
		}
	}
	for _, j := range d.jobs(t, "profile") {
		if j.origin == "staged" {
			t.Errorf("%s was staged and can serve nobody", j.id)
		}
	}
}

// TestWhatAnImageHasForAllIsStaged: volume mappings without a user's tokens, a
// run config and a web filter.
func TestWhatAnImageHasForAllIsStaged(t *testing.T) {
	d := sharedDev(t)
	host := t.TempDir()
	must(t, os.WriteFile(filepath.Join(host, "file"), []byte("shared"), 0o644))
	image := d.dockerImage(t, "shared")
	image.VolumeMappings = []staging.VolumeMapping{{Source: host, Target: "/shared", ReadOnly: true}}
	image.RunConfig = map[string]any{"hostname": "for-all"}
	image.WebFilterPolicy = "office"
	d.stage(t, image, 1, func(c *staging.Config) { c.Permissions = staging.Permissions{staging.AllowPrinting: true} })
	d.untilReady(t, "shared", 1)
	d.group(t, staging.Group{Name: "printers", Permissions: staging.Permissions{staging.AllowPrinting: true}})
	var l launched
	d.ask(t, "POST", "/v1/sessions", launchWith("shared", "east", "carol", map[string]any{"groups": []string{"printers"}}), 201, &l)
	if l.Origin != "staged" {
		t.Errorf("%s: %+v", l.Origin, l.Attempts)
	}
	got := d.inside(t, l.ID, `cat /shared/file; echo; hostname; echo "$GREENROOM_WEB_FILTER_POLICY $GREENROOM_ALLOW_PRINTING $GREENROOM_ALLOW_ORIGIN_DOMAIN"`)
	if want := "shared\nfor-all\noffice true 127.0.0.1"; got != want {
		t.Errorf("inside: %q, want %q", got, want)
	}
}

// TestARunConfigKeyThatTheDriverDoesNotKnowIsRefusedByName.
func TestARunConfigKeyThatTheDriverDoesNotKnowIsRefusedByName(t *testing.T) {
	d := sharedDev(t)
	image := quickImage("unknown-key")
	image.RunConfig = map[string]any{"shm_sizes": 1}
	var p struct {
		Detail string
		Errors []staging.FieldError
	}
	d.ask(t, "PUT", "/v1/images/unknown-key", image, 422, &p)
	if len(p.Errors) != 1 || p.Errors[0].Field != "run_config.shm_sizes" {
		t.Errorf("%+v", p)
	}
	// A group's run config can be checked only with the image, at the launch.
	image.RunConfig = nil
	d.store(t, image)
	d.group(t, staging.Group{Name: "odd", RunConfig: map[string]any{"no_such_key": true}})
	var refused struct{ Code, Detail string }
	d.ask(t, "POST", "/v1/sessions", launchWith("unknown-key", "east", "u", map[string]any{"groups": []string{"odd"}}), 503, &refused)
	if refused.Code != "launch_failed" || !strings.Contains(refused.Detail, "no_such_key") {
		t.Errorf("%+v", refused)
	}
}

// TestMaxSessionsPerUserTellsWhichCount.
func TestMaxSessionsPerUserTellsWhichCount(t *testing.T) {
	d := sharedDev(t)
	d.stage(t, quickImage("limited"), 2)
	d.untilReady(t, "limited", 2)
	one := 1
	d.group(t, staging.Group{Name: "one-each", MaxSessionsPerUser: &one})
	body := launchWith("limited", "east", "dora", map[string]any{"groups": []string{"one-each"}})
	var first launched
	d.ask(t, "POST", "/v1/sessions", body, 201, &first)
	var p struct {
		Code     string
		Sessions []string
	}
	d.ask(t, "POST", "/v1/sessions", body, 409, &p)
	if p.Code != "session_limit" || !slices.Equal(p.Sessions, []string{first.ID}) {
		t.Errorf("%+v, want the session %s", p, first.ID)
	}
	// Sessions of other users do not count, nor do those that are ending.
	d.ask(t, "POST", "/v1/sessions", launchWith("limited", "east", "other", map[string]any{"groups": []string{"one-each"}}), 201, nil)
	d.ask(t, "DELETE", "/v1/sessions/"+first.ID, nil, 204, nil)
	d.ask(t, "POST", "/v1/sessions", body, 201, nil)
}

// TestAChangedPermissionIsNeverServedFromBefore: a session has the permissions with which it
// was created, not those that its config has now.
func TestAChangedPermissionIsNeverServedFromBefore(t *testing.T) {
	d := sharedDev(t)
	c := d.stage(t, quickImage("permitted"), 2)
	d.untilReady(t, "permitted", 2)
	before := d.passing(t, "permitted")
	d.group(t, staging.Group{Name: "no-downloads", Permissions: staging.Permissions{staging.AllowDownloads: false}})
	c.Permissions = staging.Permissions{staging.AllowDownloads: false}
	d.ask(t, "PUT", "/v1/staging/permitted", c, 200, nil)
	var l launched
	d.ask(t, "POST", "/v1/sessions", launchWith("permitted", "east", "strict", map[string]any{"groups": []string{"no-downloads"}}), 201, &l)
	if slices.Contains(before, l.ID) {
		t.Errorf("session %s, made with downloads, was given to one who may not", l.ID)
	}
	if got := d.inside(t, l.ID, `echo "$GREENROOM_ALLOW_DOWNLOADS"`); got != "false" {
		t.Errorf("inside: GREENROOM_ALLOW_DOWNLOADS is %q", got)
	}
	until(t, "none of the sessions of before is left", func() (bool, string) {
		now := d.passing(t, "permitted")
		return !slices.ContainsFunc(now, func(id string) bool { return slices.Contains(before, id) }), fmt.Sprint(now)
	})
}
