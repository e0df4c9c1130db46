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
			if field := path + "." + v.Type().Field(i).Name; !strings.HasSuffix(field, ".Before") || strings.HasSuffix(field, "PreEnd.Before") {
				everyField(t, field, v.Field(i))
			}
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
	before := hook()
	before.Before = staging.Duration(3 * time.Minute)
	volumes := []staging.VolumeMapping{{Source: "/srv/{user_id}", Target: "/data", ReadOnly: true}, {Source: "/a", Target: "/b"}}
	run := map[string]any{"hostname": "h", "shm_size": 1024.0, "list": []any{"a", 1.5, true}, "for": map[string]any{"deep er": odd}, "empty": map[string]any{}}
	zone := staging.Zone{
		Name: "east", Region: "global", Datacenters: []string{"dc1", "dc-*"}, NodePool: "gpu", Namespace: "n", MaxSessions: 9, SearchAlternateZones: true,
		AlternateZones: []string{"west"}, AllowOriginDomain: "example.org", UpstreamAuthAddress: "a:1", AllowedGroups: []string{"g"},
	}
	// A zone has either a peer or settings of its own.
	abroad := staging.Zone{Name: "abroad", Peer: "west", PeerZone: "west-1"}
	room, noRoom := staging.Duration(2*time.Minute), staging.Duration(0)
	image := staging.Image{
		Name: "i", WaitForRoom: &room, Enabled: &yes, Jobspec: "job \"x\" {\n\targs = [\"${NOMAD_PORT_http}\", \"$${a}\", \"%{b\"]\n}\nEOT is a word\n", Variables: map[string]string{"v": odd},
		RestrictToZones: []string{"east"}, AllowedGroups: []string{"g"}, Labels: map[string]string{"example.org/tier": "gold"}, MaxSessions: 7, MaxSessionsPerUser: 1, RunConfig: run, VolumeMappings: volumes, PersistentProfilePath: "/p/{user_id}",
		WebFilterPolicy: "w", SessionTimeLimit: staging.Duration(8 * time.Hour), UnhealthyExpiration: staging.Duration(time.Hour), ConnectURL: "http://{address}/",
		IdleExpiration: staging.Duration(2 * time.Hour), UnvisitedExpiration: staging.Duration(10 * time.Minute),
		Patience:   staging.Patience{Start: staging.Duration(time.Minute), Placement: staging.Duration(2 * time.Minute), Unhealthy: staging.Duration(3 * time.Minute)},
		ExecConfig: staging.ExecConfig{FirstLaunch: hook(), Assign: hook(), Go: hook(), PreEnd: before, PreStop: hook()},
	}
	// A jobspec stays readable whatever its lines are: as templates with heredocs of their own, or
	// without a line break at its end.
	ends, open, script := image, image, image
	ends.WaitForRoom = &noRoom // which is not the same as none
	ends.Name, ends.Jobspec = "ends", "job \"x\" {\n  data = <<EOT\n${a}\n  EOT\n}\nEOT2\n"
	open.Name, open.Jobspec = "open", "job \"x\" {\n  type = \"batch\"\n}"
	script.Name, script.ExecConfig.Assign = "script", &staging.Hook{Cmd: []string{"/bin/sh", "-c", "set -e\necho $${A}\n", "two\nlines", "last"}}
	group := staging.Group{
		Name: "g", WaitForRoom: &room, Priority: 1, Default: true, Permissions: staging.Permissions{staging.AllPermissions[0]: false, staging.AllPermissions[1]: true}, MaxSessionsPerUser: &two,
		KeepaliveExpiration: staging.Duration(time.Minute), SessionTimeLimit: staging.Duration(time.Hour), UnhealthyExpiration: staging.Duration(time.Hour), MaxExtension: staging.Duration(2 * time.Hour),
		IdleExpiration: staging.Duration(2 * time.Hour), UnvisitedExpiration: staging.Duration(10 * time.Minute),
		AllowedEnvironment: []string{"GIT_*"}, ExposeUserEnvironmentVars: &yes, InjectSSHKeys: &yes, RunConfig: run, VolumeMapping: volumes, WebFilterPolicy: "w",
	}
	config := staging.Config{
		Name: "c", Zone: "east", Image: "i", DesiredSessions: 3, Expiration: staging.Duration(24 * time.Hour), Permissions: group.Permissions, MaxSessions: 8, Labels: map[string]string{"tier": "silver", "gpu": ""}, MaxUnavailable: "25%", Priority: 20,
		Spread: "${meta.rack}", DistinctHosts: true, Update: staging.UpdateImmediate, KeepFailed: 3,
		Schedule: []staging.Schedule{{Cron: "0 13 * * MON-FRI", TimeZone: "Europe/Berlin", Duration: staging.Duration(2 * time.Hour), DesiredSessions: 30}},
		Sizing:   &staging.Sizing{Mode: staging.SizingDemand, ServedWarm: 0.995, Min: 2, Max: 60, Weight: 2, TimeZone: "Europe/Berlin"},
	}
	anyZone := zone
	anyZone.Peer, anyZone.PeerZone = abroad.Peer, abroad.PeerZone
	for kind, resource := range map[string]any{"zone": anyZone, "image": image, "group": group, "staging": config} {
		everyField(t, kind, reflect.ValueOf(resource))
	}
	c = clitest.New(t, "")
	c.Broker.ZoneByName["east"], c.Broker.ZoneByName["abroad"] = zone, abroad
	c.Broker.ZoneByName["west"] = staging.Zone{Name: "west", Datacenters: []string{"dc1"}}.WithDefaults()
	for _, i := range []staging.Image{image, ends, open, script} {
		c.Broker.ImageByName[i.Name] = i
	}
	c.Broker.GroupByName["g"], c.Broker.ConfigByName["c"] = group, config
	hcl := putBack(t, c)
	for _, want := range []string{"= <<EOT3\njob \"x\" {\n  data = <<EOT\n", "= chomp(<<EOT\njob \"x\" {\n  type = \"batch\"\n}\nEOT\n", "\nset -e\necho"} {
		if !strings.Contains(hcl, want) {
			t.Errorf("no %q in\n%s", want, hcl)
		}
	}
	if out := c.Want(exit.OK, []string{"get", "zone", "east", "-o", "hcl"}); strings.Contains(out, "west\" {") || !strings.HasPrefix(out, "zone \"east\" {") {
		t.Errorf("get zone east -o hcl:\n%s", out)
	}
}
