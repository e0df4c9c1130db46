package resources_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/broker/status"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/clitest"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/resources"
	"github.com/greenroom/greenroom/internal/staging"
)

const goodResources = `
staging "demo-east" {
  zone             = "east"
  image            = "demo"
  desired_sessions = 3
  expiration       = "24h"
  permissions     = { allow_printing = true }
  max_unavailable = "50%"
  spread          = "${meta.rack}"
  distinct_hosts  = true
  schedule {
    cron             = "0 13 * * MON-FRI"
    time_zone        = "Europe/Berlin"
    duration         = "2h"
    desired_sessions = 30
  }
}

image "demo" {
  jobspec   = file("demo.nomad.hcl")
  variables = { warmup = "5s", cpu = 50 }

  exec_config {
    assign {
      task        = "main"
      cmd         = ["/bin/sh", "-c", "echo \"$GREENROOM_USER_NAME\""]
      environment = { LANG = "C.UTF-8" }
      workdir     = "/tmp"
      timeout     = "10s"
    }
  }
}

group "students" {
  priority              = 10
  default               = true
  allowed_environment   = ["PYTHONPATH", "GIT_*"]
  permissions           = { allow_audio = false, allow_webcam = true }
  max_sessions_per_user = 2
  keepalive_expiration  = "5m"
  unhealthy_expiration  = "10m"
  idle_expiration       = "1h"
  unvisited_expiration  = "10m"
  inject_ssh_keys       = true
  run_config            = { hostname = "desk", shm_size = 1024, ulimit = { nofile = "1:2" } }
  volume_mapping {
    source = "/srv/homes/{user_id}"
    target = "/home/user"
  }
}

image "whole" {
  enabled           = false
  jobspec           = "job"
  restrict_to_zones = ["east"]
  allowed_groups    = ["students"]
  run_config        = { hostname = "h" }
  volume_mapping {
    source    = "/srv/shared"
    target    = "/shared"
    read_only = true
  }
  session_time_limit = "8h"
  unhealthy_expiration = "30m"
  patience {
    start     = "2m"
    unhealthy = "10s"
  }
  connect_url        = "https://{address}:{port_http}/?token={token}"
  exec_config {
    first_launch {
      cmd = ["/prepare"]
    }
    go {
      cmd  = ["/open", "{url}"]
      user = "desktop"
    }
  }
}

image "inline" {
  jobspec = <<-EOT
    job "x" { port = $${NOMAD_PORT_http} }
  EOT
}
`

const goodZone = `
zone "east" {
  datacenters = ["dc1"]
  namespace   = "sessions"
}
`

// The jobspec is no resource file: it is neither read as one nor evaluated.
const goodJobspec = `job "demo" { args = ["${NOMAD_PORT_http}"] }`

func TestApply(t *testing.T) {
	c := clitest.New(t, "")
	zone := strings.Replace(goodZone, "\n}", "\n  allowed_groups = [\"students\"]\n}", 1)
	dir := clitest.Dir(t, map[string]string{"a.hcl": goodResources, "b.hcl": zone, "demo.nomad.hcl": goodJobspec, "notes.txt": "not HCL {"})
	c.Want(exit.OK, []string{"apply", "-f", dir}, `zone "east" created`, `image "demo" created`, `staging "demo-east" created`)
	if want := []string{"group students", "zone east", "image demo", "image whole", "image inline", "staging demo-east"}; !slices.Equal(c.Broker.Puts, want) {
		t.Errorf("stored %q, want %q", c.Broker.Puts, want)
	}
	wantImage := staging.Image{
		Name: "demo", Jobspec: goodJobspec, Variables: map[string]string{"warmup": "5s", "cpu": "50"},
		ExecConfig: staging.ExecConfig{Assign: &staging.Hook{
			Task: "main", Cmd: []string{"/bin/sh", "-c", `echo "$GREENROOM_USER_NAME"`},
			Environment: map[string]string{"LANG": "C.UTF-8"}, Workdir: "/tmp", Timeout: staging.Duration(10 * time.Second),
		}},
	}
	if diff := cmp.Diff(wantImage, c.Broker.ImageByName["demo"]); diff != "" {
		t.Errorf("image (-want +got):\n%s", diff)
	}
	no, yes, two := false, true, 2
	wantWhole := staging.Image{
		Name: "whole", Enabled: &no, Jobspec: "job", RestrictToZones: []string{"east"}, AllowedGroups: []string{"students"}, RunConfig: map[string]any{"hostname": "h"},
		VolumeMappings:   []staging.VolumeMapping{{Source: "/srv/shared", Target: "/shared", ReadOnly: true}},
		SessionTimeLimit: staging.Duration(8 * time.Hour), UnhealthyExpiration: staging.Duration(30 * time.Minute), Patience: staging.Patience{Start: staging.Duration(2 * time.Minute), Unhealthy: staging.Duration(10 * time.Second)}, ConnectURL: "https://{address}:{port_http}/?token={token}",
		ExecConfig: staging.ExecConfig{
			FirstLaunch: &staging.Hook{Cmd: []string{"/prepare"}}, Go: &staging.Hook{Cmd: []string{"/open", "{url}"}, User: "desktop"},
		},
	}
	if diff := cmp.Diff(wantWhole, c.Broker.ImageByName["whole"]); diff != "" {
		t.Errorf("image (-want +got):\n%s", diff)
	}
	wantGroup := staging.Group{
		Name: "students", Priority: 10, Default: true, AllowedEnvironment: []string{"PYTHONPATH", "GIT_*"}, Permissions: staging.Permissions{staging.AllowAudio: false, staging.AllowWebcam: true},
		MaxSessionsPerUser: &two, KeepaliveExpiration: staging.Duration(5 * time.Minute), UnhealthyExpiration: staging.Duration(10 * time.Minute), InjectSSHKeys: &yes,
		IdleExpiration: staging.Duration(time.Hour), UnvisitedExpiration: staging.Duration(10 * time.Minute),
		RunConfig:     map[string]any{"hostname": "desk", "shm_size": 1024.0, "ulimit": map[string]any{"nofile": "1:2"}},
		VolumeMapping: []staging.VolumeMapping{{Source: "/srv/homes/{user_id}", Target: "/home/user"}},
	}
	if diff := cmp.Diff(wantGroup, c.Broker.GroupByName["students"]); diff != "" {
		t.Errorf("group (-want +got):\n%s", diff)
	}
	c.Want(exit.OK, []string{"groups"}, "students", "10", "default allow_audio=false allow_webcam=true max_sessions_per_user=2 keepalive_expiration=5m0s unhealthy_expiration=10m0s idle_expiration=1h0m0s unvisited_expiration=10m0s allowed_environment=PYTHONPATH,GIT_* inject_ssh_keys=true run_config volume_mapping")
	if got := c.Broker.ImageByName["inline"].Jobspec; got != "job \"x\" { port = ${NOMAD_PORT_http} }\n" {
		t.Errorf("inline jobspec %q", got)
	}
	if diff := cmp.Diff(staging.Zone{Name: "east", Datacenters: []string{"dc1"}, Namespace: "sessions", AllowedGroups: []string{"students"}}.WithDefaults(), c.Broker.ZoneByName["east"]); diff != "" {
		t.Errorf("zone (-want +got):\n%s", diff)
	}
	wantConfig := staging.Config{
		Name: "demo-east", Zone: "east", Image: "demo", DesiredSessions: 3, Expiration: staging.Duration(24 * time.Hour),
		Permissions: staging.Permissions{staging.AllowPrinting: true}, MaxUnavailable: "50%", Spread: "${meta.rack}", DistinctHosts: true,
		Schedule: []staging.Schedule{{Cron: "0 13 * * MON-FRI", TimeZone: "Europe/Berlin", Duration: staging.Duration(2 * time.Hour), DesiredSessions: 30}},
	}
	if diff := cmp.Diff(wantConfig, c.Broker.ConfigByName["demo-east"]); diff != "" {
		t.Errorf("staging config (-want +got):\n%s", diff)
	}

	c.Broker.Puts = nil
	c.Want(exit.OK, []string{"apply", "-f", dir}, `zone "east" unchanged`, `image "demo" unchanged`, `staging "demo-east" unchanged`)
	if len(c.Broker.Puts) != 0 {
		t.Errorf("what is unchanged was stored again: %q", c.Broker.Puts)
	}

	c.Stdin = `staging "demo-east" {
		zone = "east"
		image = "demo"
		desired_sessions = 0
	}`
	out := c.Want(exit.OK, []string{"apply", "-f", "-", "-f", filepath.Join(dir, "b.hcl"), "-o", "json"})
	var items struct{ Items []resources.Applied }
	if err := json.Unmarshal([]byte(out), &items); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want := []resources.Applied{
		{Kind: "zone", Name: "east", Result: "unchanged"},
		{Kind: "staging", Name: "demo-east", Result: "updated", Fields: []resources.Difference{
			{Field: "desired_sessions", Before: 3.0, After: 0.0},
			{Field: "distinct_hosts", Before: true},
			{Field: "expiration", Before: "24h0m0s"},
			{Field: "max_unavailable", Before: "50%"},
			{Field: "permissions.allow_printing", Before: true},
			{Field: "schedule[0].cron", Before: "0 13 * * MON-FRI"},
			{Field: "schedule[0].desired_sessions", Before: 30.0},
			{Field: "schedule[0].duration", Before: "2h0m0s"},
			{Field: "schedule[0].time_zone", Before: "Europe/Berlin"},
			{Field: "spread", Before: "${meta.rack}"},
		}},
	}
	if diff := cmp.Diff(want, items.Items); diff != "" {
		t.Errorf("-o json (-want +got):\n%s", diff)
	}
	if c.Broker.ConfigByName["demo-east"].DesiredSessions != 0 {
		t.Error("the pool is not drained")
	}
}

func TestApplyNamesTheLine(t *testing.T) {
	tests := []struct {
		name, hcl string
		finding   []string
	}{
		{"no HCL", "zone {{\n", []string{"r.hcl:1: "}},
		{"unknown block", "\nplace \"east\" {}\n", []string{"r.hcl:2: ", "place"}},
		{"unknown attribute at the top", "a = 1\n", []string{"r.hcl:1: ", `"a"`}},
		{"no label", "zone {\n}\n", []string{"r.hcl:1: ", "name"}},
		{"two labels", "zone \"a\" \"b\" {\n}\n", []string{"r.hcl:1: "}},
		{"unknown attribute", "zone \"east\" {\n  datacenters = [\"dc1\"]\n  colour = 1\n}\n", []string{"r.hcl:3: ", "colour"}},
		{"missing attribute", "zone \"east\" {\n}\n", []string{"r.hcl:1: ", "datacenters"}},
		{"wrong type", "zone \"east\" {\n  datacenters = { a = 1 }\n}\n", []string{"r.hcl:2: ", "list of string"}},
		{"a fraction", "staging \"p\" {\n  zone = \"z\"\n  image = \"i\"\n  desired_sessions = 1.5\n}\n", []string{"r.hcl:4: "}},
		{"below 0", "staging \"p\" {\n  zone = \"z\"\n  image = \"i\"\n  desired_sessions = -1\n}\n", []string{"r.hcl:4: ", "desired_sessions"}},
		{"no duration", "staging \"p\" {\n  zone = \"z\"\n  image = \"i\"\n  desired_sessions = 1\n  expiration = \"a day\"\n}\n", []string{"r.hcl:5: ", "expiration"}},
		{"a token in a shell's text", "image \"x\" {\n  jobspec = \"job\"\n  exec_config {\n    go {\n      cmd = [\"sh\", \"-c\", \"open {url}\"]\n    }\n  }\n}\n", []string{"r.hcl:5: ", "exec_config.go.cmd[2]"}},
		{"an unknown permission", "group \"g\" {\n  priority = 1\n  permissions = { fly = true }\n}\n", []string{"r.hcl:3: ", "permissions.fly"}},
		{"a run config that is no object", "group \"g\" {\n  priority = 1\n  run_config = [1]\n}\n", []string{"r.hcl:3: ", "run_config must be an object"}},
		{"a schedule that is none", "staging \"s\" {\n  zone = \"z\"\n  image = \"i\"\n  desired_sessions = 1\n  schedule {\n    cron = \"soon\"\n    duration = \"2h\"\n    desired_sessions = 2\n  }\n}\n", []string{"r.hcl:6: ", "schedule[0].cron"}},
		{"a schedule that never begins", "staging \"s\" {\n  zone = \"z\"\n  image = \"i\"\n  desired_sessions = 1\n  schedule {\n    cron = \"0 0 30 2 *\"\n    duration = \"2h\"\n    desired_sessions = 2\n  }\n}\n", []string{"r.hcl:6: ", "schedule[0].cron", "never begins"}},
		{"no name", "\nzone \"Ea_st\" {\n  datacenters = [\"dc1\"]\n}\n", []string{"r.hcl:2: ", "DNS label"}},
		{"an empty list", "zone \"east\" {\n  datacenters = []\n}\n", []string{"r.hcl:2: ", "datacenters"}},
		{"no such file", "image \"i\" {\n  jobspec = file(\"none.nomad.hcl\")\n}\n", []string{"r.hcl:2: ", "none.nomad.hcl"}},
		{"a file that is no text", "image \"i\" {\n  jobspec = file(\"binary\")\n}\n", []string{"r.hcl:2: ", "UTF-8"}},
		{"unknown function", "image \"i\" {\n  jobspec = env(\"HOME\")\n}\n", []string{"r.hcl:2: ", "env"}},
		{"jobspec's own variable", "image \"i\" {\n  jobspec = \"${NOMAD_PORT_http}\"\n}\n", []string{"r.hcl:2: "}},
		{"a hook's timeout", "image \"i\" {\n  jobspec = \"job\"\n  exec_config {\n    assign {\n      cmd = [\"a\"]\n      timeout = \"1h\"\n    }\n  }\n}\n", []string{"r.hcl:6: ", "exec_config.assign.timeout"}},
		{"a hook's environment", "image \"i\" {\n  jobspec = \"job\"\n  exec_config {\n    assign {\n      cmd = [\"a\"]\n      environment = { NOMAD_X = \"1\" }\n    }\n  }\n}\n", []string{"r.hcl:6: ", "NOMAD_"}},
		{"two hooks", "image \"i\" {\n  jobspec = \"job\"\n  exec_config {\n    assign {\n      cmd = [\"a\"]\n    }\n    assign {\n      cmd = [\"b\"]\n    }\n  }\n}\n", []string{"r.hcl:7: ", "assign"}},
		{"declared twice", "zone \"east\" {\n  datacenters = [\"dc1\"]\n}\nzone \"east\" {\n  datacenters = [\"dc2\"]\n}\n", []string{"r.hcl:4: ", "r.hcl:1"}},
		{"declared in another file", "\nzone \"elsewhere\" {\n  datacenters = [\"dc1\"]\n}\n", []string{"r.hcl:2: ", "a.hcl:1"}},
		{"unknown zone", "image \"i\" {\n  jobspec = \"job\"\n}\nstaging \"p\" {\n  zone = \"nowhere\"\n  image = \"i\"\n  desired_sessions = 1\n}\n", []string{"r.hcl:5: ", "nowhere"}},
		{"everything at once", "zone \"A\" {\n  datacenters = []\n}\nimage \"B\" {\n  jobspec = \"\"\n}\n", []string{"r.hcl:1: ", "r.hcl:2: ", "r.hcl:4: ", "r.hcl:5: "}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := clitest.New(t, "")
			dir := clitest.Dir(t, map[string]string{
				"a.hcl": "zone \"elsewhere\" {\n  datacenters = [\"dc1\"]\n}\n", "r.hcl": tt.hcl, "binary": "\xff\xfe",
			})
			c.Want(exit.Invalid, []string{"apply", "-f", dir}, tt.finding...)
			if len(c.Broker.Puts) != 0 {
				t.Errorf("stored %q of files that are not valid", c.Broker.Puts)
			}
		})
	}
}

func TestApplyWhatCannotBeRead(t *testing.T) {
	c := clitest.New(t, "")
	c.Want(exit.Failed, []string{"apply", "-f", filepath.Join(t.TempDir(), "none.hcl")}, "none.hcl")
	c.Want(exit.Failed, []string{"apply", "-f", t.TempDir()}, "no resource files")
	c.Want(exit.Usage, []string{"apply"}, "file")
}

func TestApplyStopsAtARefusal(t *testing.T) {
	c := clitest.New(t, "")
	dir := clitest.Dir(t, map[string]string{"a.hcl": goodResources, "b.hcl": goodZone, "demo.nomad.hcl": goodJobspec})
	c.Broker.Err = staging.Invalid(`image "demo"`, "jobspec", "demo.nomad.hcl:1: no job")
	c.Want(exit.Invalid, []string{"apply", "-f", dir}, `group "students": `, "jobspec demo.nomad.hcl:1: no job", "changes made: 0; not made", `create staging "demo-east"`)
	if len(c.Broker.Puts) != 1 {
		t.Errorf("went on after a refusal: %q", c.Broker.Puts)
	}
	c.Broker.Err = &refusal.Error{Kind: refusal.ConsulUnavailable, Detail: "Consul does not answer"}
	_, out, _ := c.Run("apply", "-f", dir, "-o", "json")
	if !strings.Contains(out, `"items"`) {
		t.Errorf("-o json without a document: %s", out)
	}
}

// TestPlansAreWithoutSecrets, and what they hide counts as what is stored.
func TestPlansAreWithoutSecrets(t *testing.T) {
	image := func(jobspec, password, argument string) string {
		return fmt.Sprintf(`image "demo" {
  jobspec    = %q
  variables  = { password = %q }
  run_config = { auth = { user = "u", password = %q }, shm_size = 64 }
  exec_config {
    assign {
      cmd         = ["/bin/login", %q]
      environment = { KEY = %q }
    }
  }
}`, jobspec, password, password, argument, password)
	}
	c := clitest.New(t, "")
	run := func(code int, command string, printed ...string) {
		t.Helper()
		if out := c.Want(code, []string{command, "-f", "-"}, printed...); strings.Contains(out, "hunter") || strings.Contains(out, "hush") {
			t.Errorf("%s shows a secret:\n%s", command, out)
		}
	}
	c.Stdin = image("job hunter1", "hunter2", "hunter3")
	run(exit.Changes, "plan", "jobspec: (hidden)", "variables.password: (hidden)", "run_config.auth: (hidden)", "cmd: [\"/bin/login\",\"(hidden)\"]", "environment.KEY: (hidden)")
	run(exit.OK, "apply", `image "demo" created`)
	run(exit.OK, "plan", "Nothing to change")
	c.Stdin = image("job hush", "hush", "hunter3")
	run(exit.Changes, "plan", "jobspec: (hidden) -> (hidden, changed)", "run_config.auth: (hidden) -> (hidden, changed)", "environment.KEY: (hidden) -> (hidden, changed)")
	c.Want(exit.Changes, []string{"plan", "-f", "-", "--show-secrets"}, `jobspec: "job hunter1" -> "job hush"`, `variables.password: "hunter2" -> "hush"`)
	c.Stdin = strings.ReplaceAll(image(staging.Hidden, staging.Hidden, staging.Hidden), "shm_size = 64", `shm_size = "(hidden)"`)
	c.Stdin = strings.ReplaceAll(c.Stdin, `{ user = "u", password = "(hidden)" }`, `"(hidden)"`)
	run(exit.OK, "plan", "Nothing to change")
	c.Stdin = strings.ReplaceAll(c.Stdin, "KEY", "OTHER")
	c.Broker.CheckErr = staging.Invalid("the set", "images[0].exec_config.assign.environment.OTHER", "is (hidden)")
	run(exit.Invalid, "apply", "-:8: ", "exec_config.assign.environment.OTHER is (hidden)")
}

// TestApplyWaitsForThePools: it ends once they have their desired sessions ready, or says why
// they have not.
func TestApplyWaitsForThePools(t *testing.T) {
	c := clitest.New(t, "")
	resources := strings.Replace(goodResources, "desired_sessions = 3\n", "desired_sessions = 1\n", 1)
	dir := clitest.Dir(t, map[string]string{"a.hcl": resources, "b.hcl": goodZone, "demo.nomad.hcl": goodJobspec})
	c.Want(exit.OK, []string{"apply", "-f", dir, "--wait"}, `staging "demo-east" created`, "demo-east has 1 ready\n")
	files := clitest.Dir(t, map[string]string{"a.hcl": goodResources, "b.hcl": goodZone, "demo.nomad.hcl": goodJobspec})
	out := c.Want(exit.Failed, []string{"apply", "-f", files, "--wait", "--timeout", "1ms", "-o", "json"},
		"demo-east has 1 of 3 ready; CapacityExhausted: not enough memory", "waiting")
	if !strings.Contains(out, `"result": "updated"`) {
		t.Errorf("what was stored is not printed:\n%s", out)
	}

	// A file without the pool waits for it, too: a changed image rolls. An older revision's
	// ready session does not count.
	one := c.Broker.ConfigByName["demo-east"]
	one.DesiredSessions = 1
	c.Broker.ConfigByName["demo-east"] = one
	c.Broker.Updated = &status.Updated{Current: 1, Ready: 0}
	image := func(warmup string) string {
		return clitest.Dir(t, map[string]string{"demo.nomad.hcl": goodJobspec, "image.hcl": fmt.Sprintf("image \"demo\" {\n  jobspec = file(\"demo.nomad.hcl\")\n  variables = { warmup = %q }\n}\n", warmup)})
	}
	c.Want(exit.Failed, []string{"apply", "-f", image("7s"), "--wait", "--timeout", "1ms"},
		"demo-east has 0 of 1 ready, 1 of 2 updated; 1 ready of an older revision do not count; CapacityExhausted")
	c.Want(exit.OK, []string{"apply", "-f", image("7s"), "--wait", "--timeout", "1ms"}, `unchanged`)
	c.Broker.Updated = &status.Updated{Current: 2, Ready: 1}
	c.Want(exit.OK, []string{"apply", "-f", image("8s"), "--wait"}, "demo-east has 1 ready\n")
}
