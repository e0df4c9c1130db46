package resources_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/clitest"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/internal/staging"
	"github.com/greenroom/greenroom/jobspecs"
)

// putBack gets everything as HCL, and applies it to a broker that has nothing: it then has
// the same again.
func putBack(t *testing.T, c *clitest.CLI) (hcl string) {
	t.Helper()
	hcl = c.Want(exit.OK, []string{"get", "all", "-o", "hcl"})
	c.Stdin = hcl
	c.Want(exit.OK, []string{"plan", "-f", "-"}, "Nothing to change")
	other := clitest.New(t, "")
	other.Stdin = hcl
	other.Want(exit.OK, []string{"apply", "-f", "-"})
	for _, d := range []string{
		cmp.Diff(c.Broker.ZoneByName, other.Broker.ZoneByName), cmp.Diff(c.Broker.ImageByName, other.Broker.ImageByName),
		cmp.Diff(c.Broker.GroupByName, other.Broker.GroupByName), cmp.Diff(c.Broker.ConfigByName, other.Broker.ConfigByName),
	} {
		if d != "" {
			t.Errorf("another installation has (-want +got):\n%s\nfrom\n%s", d, hcl)
		}
	}
	return hcl
}

// everyField fails for a field of a resource that the test has not set, so that a new field
// cannot be left out of what get prints.
func everyField(t *testing.T, path string, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			everyField(t, path, v.Elem())
			return
		}
	case reflect.Struct:
		for i := range v.NumField() {
			everyField(t, path+"."+v.Type().Field(i).Name, v.Field(i))
		}
		return
	case reflect.Slice:
		if v.Len() > 0 {
			everyField(t, path+"[0]", v.Index(0))
			return
		}
	case reflect.Bool:
		return // of an optional one, a pointer is set
	}
	if v.IsZero() {
		t.Errorf("%s is not set: set it here, and have get -o hcl print it", path)
	}
}

func TestGetAsHCLIsWhatApplyTakesBack(t *testing.T) {
	c := clitest.New(t, "")
	dir := clitest.Dir(t, map[string]string{"a.hcl": goodResources, "b.hcl": goodZone, "demo.nomad.hcl": goodJobspec})
	c.Want(exit.OK, []string{"apply", "-f", dir})
	putBack(t, c)

	// The resources of README.md, with a real jobspec, which stays readable.
	readme, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(readme), "```hcl\n")
	text, _, _ := strings.Cut(after, "```")
	c = clitest.New(t, "")
	c.Want(exit.OK, []string{"apply", "-f", clitest.Dir(t, map[string]string{"all.hcl": text, "desktop.nomad.hcl": jobspecs.DemoDocker})})
	if hcl := putBack(t, c); !strings.Contains(hcl, "jobspec     = <<EOT\n") || strings.Contains(hcl, "current_sessions") {
		t.Errorf("get all -o hcl:\n%s", hcl)
	}

	// Every field, with texts that HCL would act on.
	yes, two, odd := true, 2, "a \"b\" ${c} $${d} %{ if e } \\ \t \u00e9"
	hook := func() *staging.Hook {
		return &staging.Hook{
			Task: "main", Cmd: []string{"/bin/sh", "-c", odd}, Environment: map[string]string{"A": odd, "B": "two\nlines\n"}, Workdir: "/tmp", User: "u",
			Timeout: staging.Duration(5 * time.Second),
		}
	}
	volumes := []staging.VolumeMapping{{Source: "/srv/{user_id}", Target: "/data", ReadOnly: true}, {Source: "/a", Target: "/b"}}
	run := map[string]any{"hostname": "h", "shm_size": 1024.0, "list": []any{"a", 1.5, true}, "for": map[string]any{"deep er": odd}, "empty": map[string]any{}}
	zone := staging.Zone{
		Name: "east", Region: "global", Datacenters: []string{"dc1", "dc-*"}, NodePool: "gpu", Namespace: "n", SearchAlternateZones: true,
		AlternateZones: []string{"west"}, AllowOriginDomain: "example.org", UpstreamAuthAddress: "a:1", AllowedGroups: []string{"g"},
	}
	image := staging.Image{
		Name: "i", Enabled: &yes, Jobspec: "job \"x\" {\n\targs = [\"${NOMAD_PORT_http}\", \"$${a}\", \"%{b\"]\n}\nEOT is a word\n", Variables: map[string]string{"v": odd},
		RestrictToZones: []string{"east"}, AllowedGroups: []string{"g"}, RunConfig: run, VolumeMappings: volumes, PersistentProfilePath: "/p/{user_id}",
		WebFilterPolicy: "w", SessionTimeLimit: staging.Duration(8 * time.Hour), UnhealthyExpiration: staging.Duration(time.Hour), ConnectURL: "http://{address}/",
		Patience:   staging.Patience{Start: staging.Duration(time.Minute), Placement: staging.Duration(2 * time.Minute), Unhealthy: staging.Duration(3 * time.Minute)},
		ExecConfig: staging.ExecConfig{FirstLaunch: hook(), Assign: hook(), Go: hook()},
	}
	// What would end a heredoc is quoted.
	ends := image
	ends.Name, ends.Jobspec = "ends", "job \"x\" {\n}\n  EOT\nEOT\n"
	group := staging.Group{
		Name: "g", Priority: 1, Default: true, Permissions: staging.Permissions{staging.AllPermissions[0]: false, staging.AllPermissions[1]: true}, MaxSessionsPerUser: &two,
		KeepaliveExpiration: staging.Duration(time.Minute), SessionTimeLimit: staging.Duration(time.Hour), UnhealthyExpiration: staging.Duration(time.Hour),
		AllowedEnvironment: []string{"GIT_*"}, ExposeUserEnvironmentVars: &yes, InjectSSHKeys: &yes, RunConfig: run, VolumeMapping: volumes, WebFilterPolicy: "w",
	}
	config := staging.Config{
		Name: "c", Zone: "east", Image: "i", DesiredSessions: 3, Expiration: staging.Duration(24 * time.Hour), Permissions: group.Permissions, MaxUnavailable: "25%",
		Schedule: []staging.Schedule{{Cron: "0 13 * * MON-FRI", TimeZone: "Europe/Berlin", Duration: staging.Duration(2 * time.Hour), DesiredSessions: 30}},
	}
	for kind, resource := range map[string]any{"zone": zone, "image": image, "group": group, "staging": config} {
		everyField(t, kind, reflect.ValueOf(resource))
	}
	c = clitest.New(t, "")
	c.Broker.ZoneByName["east"] = zone
	c.Broker.ZoneByName["west"] = staging.Zone{Name: "west", Datacenters: []string{"dc1"}}.WithDefaults()
	c.Broker.ImageByName["i"], c.Broker.ImageByName["ends"] = image, ends
	c.Broker.GroupByName["g"], c.Broker.ConfigByName["c"] = group, config
	putBack(t, c)
	if out := c.Want(exit.OK, []string{"get", "zone", "east", "-o", "hcl"}); strings.Contains(out, "west\" {") || !strings.HasPrefix(out, "zone \"east\" {") {
		t.Errorf("get zone east -o hcl:\n%s", out)
	}
}
