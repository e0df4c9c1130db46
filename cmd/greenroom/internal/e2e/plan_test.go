package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/clitest"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/resources"
	"github.com/greenroom/greenroom/internal/staging"
	"github.com/greenroom/greenroom/jobspecs"
)

// manyResources returns a file of resources, with the values that a test varies.
func manyResources(desired, warmup, secret string) string {
	return fmt.Sprintf(`
zone "here" {
  datacenters           = ["dc1"]
  allow_origin_domain   = "127.0.0.1"
  upstream_auth_address = "127.0.0.1"
}
zone "there" {
  datacenters           = ["dc1", "dc2"]
  allow_origin_domain   = "127.0.0.1"
  upstream_auth_address = "127.0.0.1"
}
image "one" {
  jobspec   = file("one.nomad.hcl")
  variables = { warmup = "%s" }
  exec_config {
    assign {
      cmd         = ["/bin/true"]
      environment = { PASSWORD = "%s" }
    }
  }
}
group "some" {
  priority = 10
}
staging "one-here" {
  zone             = "here"
  image            = "one"
  desired_sessions = %s
}
`, warmup, secret, desired)
}

func TestPlanSaysWhatApplyWouldChangeAndApplyDoesIt(t *testing.T) {
	_, d := startServers(t, []string{"dc1"})
	t.Setenv("GREENROOM_ADDR", d.Broker)
	t.Setenv("GREENROOM_TOKEN", "")
	c := clitest.Real(t)
	first := clitest.Dir(t, map[string]string{"a.hcl": manyResources("0", "1s", "hush-hush"), "one.nomad.hcl": jobspecs.DemoMock})

	// Everything is new, except for the existing zone.
	out := c.Want(exit.Changes, []string{"plan", "-f", first}, `+ create zone "here"`, `datacenters: ["dc1"]`, `+ create image "one"`,
		"exec_config.assign.environment.PASSWORD: (hidden)", "jobspec: (hidden)", "variables.warmup: (hidden)", "5 to create, 0 to update, 0 to delete, 0 unchanged")
	if strings.Contains(out, "hush-hush") {
		t.Errorf("the plan shows the environment of a hook:\n%s", out)
	}
	c.Want(exit.Changes, []string{"plan", "-f", first, "--show-secrets"}, `variables.warmup: "1s"`, "hush-hush")
	d.ask(t, "GET", "/v1/images/one", nil, 404, nil)
	c.Want(exit.OK, []string{"apply", "-f", first}, `zone "here" created`, `staging "one-here" created`)
	c.Want(exit.OK, []string{"plan", "-f", first}, "Nothing to change: 5")

	// A change is printed field by field; of a jobspec, the changed lines, where they are asked for.
	changed := strings.Replace(jobspecs.DemoMock, "type", "# a remark\n  type", 1)
	second := clitest.Dir(t, map[string]string{"a.hcl": manyResources("2", "2s", "other"), "one.nomad.hcl": changed})
	c.Want(exit.Changes, []string{"plan", "-f", second, "--show-secrets"}, `~ update image "one"`, `variables.warmup: "1s" -> "2s"`, "+  # a remark", "@@ -")
	out = c.Want(exit.Changes, []string{"plan", "-f", second}, `~ update image "one"`, `variables.warmup: (hidden) -> (hidden, changed)`, "jobspec: (hidden) -> (hidden, changed)",
		"PASSWORD: (hidden) -> (hidden, changed)", "desired_sessions: 0 -> 2", "0 to create, 2 to update, 0 to delete, 3 unchanged")
	if strings.Contains(out, "a remark") {
		t.Errorf("the plan shows a part of the jobspec:\n%s", out)
	}
	var p resources.Planned
	clitest.Decode(t, c.Want(exit.Changes, []string{"plan", "-f", second, "--json"}), &p)
	if want := (resources.Summary{Update: 2, Unchanged: 3}); p.Summary != want || len(p.Changes) != 2 {
		t.Errorf("plan --json: %+v", p)
	}
	if diff := cmp.Diff([]resources.Difference{{Field: "desired_sessions", Before: 0.0, After: 2.0}}, p.Changes[1].Fields); diff != "" {
		t.Errorf("plan --json, the fields of the staging config (-want +got):\n%s", diff)
	}
	c.Want(exit.OK, []string{"apply", "-f", second}, `image "one" updated`, "desired_sessions: 0 -> 2", `zone "here" unchanged`)
	var s staging.Config
	d.ask(t, "GET", "/v1/staging/one-here", nil, 200, &s)
	if s.DesiredSessions != 2 {
		t.Errorf("apply left it at %d", s.DesiredSessions)
	}

	// With --prune alone, resources that the files no longer have are deleted, of the kinds that
	// the files have.
	third := clitest.Dir(t, map[string]string{
		"a.hcl": "zone \"here\" {\n  datacenters = [\"dc1\"]\n  allow_origin_domain = \"127.0.0.1\"\n  upstream_auth_address = \"127.0.0.1\"\n}\n" +
			"image \"two\" {\n  jobspec = file(\"one.nomad.hcl\")\n}\n" +
			"staging \"two-here\" {\n  zone = \"here\"\n  image = \"two\"\n  desired_sessions = 0\n}\n",
		"one.nomad.hcl": jobspecs.DemoMock,
	})
	if out := c.Want(exit.Changes, []string{"plan", "-f", third}); strings.Contains(out, "- delete") {
		t.Errorf("it would delete without --prune:\n%s", out)
	}
	out = c.Want(exit.Changes, []string{"plan", "-f", third, "--prune"}, "2 to create, 0 to update, 4 to delete")
	var deletes []string
	for line := range strings.Lines(out) {
		if what, ok := strings.CutPrefix(strings.TrimSpace(line), "- delete "); ok {
			deletes = append(deletes, what)
		}
	}
	if want := []string{`staging "one-here"`, `image "one"`, `zone "east"`, `zone "there"`}; !slices.Equal(deletes, want) {
		t.Errorf("it would delete %q, want %q", deletes, want)
	}
	c.Stdin = "no\n"
	c.Want(exit.Declined, []string{"apply", "-f", third, "--prune"}, "Type yes", `zone "there"`, "not confirmed")
	d.ask(t, "GET", "/v1/images/one", nil, 200, nil)
	d.ask(t, "GET", "/v1/images/two", nil, 404, nil)
	c.Stdin = "yes\n"
	c.Want(exit.OK, []string{"apply", "-f", third, "--prune"}, `staging "one-here" deleted`, `zone "there" deleted`, `image "two" created`)
	for path, status := range map[string]int{
		"/v1/staging/one-here": 404, "/v1/images/one": 404, "/v1/zones/there": 404, "/v1/zones/east": 404,
		"/v1/staging/two-here": 200, "/v1/images/two": 200,
		"/v1/groups/some": 200, // the files have no groups
	} {
		d.ask(t, "GET", path, nil, status, nil)
	}
	c.Want(exit.OK, []string{"plan", "-f", third, "--prune"}, "Nothing to change")
}

func TestApplyChecksEverythingByTheClustersRulesFirst(t *testing.T) {
	_, d := startServers(t, []string{"dc1"}, "--max-desired-sessions", "5")
	t.Setenv("GREENROOM_ADDR", d.Broker)
	t.Setenv("GREENROOM_TOKEN", "")
	c := clitest.Real(t)
	dir := clitest.Dir(t, map[string]string{
		"a.hcl": `zone "here" {
  datacenters = ["dc1"]
}
image "good" {
  jobspec           = file("good.nomad.hcl")
  restrict_to_zones = ["here"]
}
image "bad" {
  jobspec = "job \"x\" { flavour = 1 }"
}
image "lost" {
  jobspec           = file("good.nomad.hcl")
  restrict_to_zones = ["nowhere"]
}
staging "large" {
  zone             = "east"
  image            = "good"
  desired_sessions = 6
}
`, "good.nomad.hcl": jobspecs.DemoMock,
	})
	for _, command := range []string{"plan", "apply"} {
		// Each finding has its line. The zone "here" need not be stored.
		c.Want(exit.Invalid, []string{command, "-f", dir}, "nothing was changed", `a.hcl:9: image "bad"`, `a.hcl:13: image "lost"`, "nowhere",
			`a.hcl:18: staging "large"`, "between 0 and 5")
	}
	d.ask(t, "GET", "/v1/zones/here", nil, 404, nil)
	d.ask(t, "GET", "/v1/images/good", nil, 404, nil)
}
