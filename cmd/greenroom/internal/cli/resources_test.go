package cli_test

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/clitest"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/internal/buildinfo"
	"github.com/greenroom/greenroom/internal/staging"
)

// table returns the cells of a printed table, by the name in the first column and the header.
// Columns are two or more spaces apart.
func table(t *testing.T, text string) map[string]map[string]string {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(text), "\n")
	cells := func(line string) []string {
		var all []string
		for _, cell := range strings.Split(line, "  ") {
			if cell = strings.TrimSpace(cell); cell != "" {
				all = append(all, cell)
			}
		}
		return all
	}
	header, rows := cells(lines[0]), map[string]map[string]string{}
	for _, line := range lines[1:] {
		row := map[string]string{}
		for i, cell := range cells(line) {
			if i >= len(header) {
				t.Fatalf("a row has more cells than the header:\n%s", text)
			}
			row[header[i]] = cell
		}
		rows[row[header[0]]] = row
	}
	return rows
}

func TestZonesAndImagesAreListed(t *testing.T) {
	c := clitest.New(t, "")
	no := false
	c.Broker.ZoneByName["west"] = staging.Zone{
		Name: "west", Datacenters: []string{"dc1", "dc2"}, NodePool: "gpu", SearchAlternateZones: true, AllowedGroups: []string{"students"},
		AllowOriginDomain: "example.org", UpstreamAuthAddress: "auth.example.org:7480",
	}
	c.Broker.ZoneByName["east"] = staging.Zone{Name: "east", Datacenters: []string{"dc1"}}.WithDefaults()
	c.Broker.ImageByName["demo"] = staging.Image{
		Name: "demo", ConnectURL: "http://{address}:{port_http}/", SessionTimeLimit: staging.Duration(8 * time.Hour), Labels: map[string]string{"tier": "gold"}, MaxSessions: 10,
		ExecConfig: staging.ExecConfig{Assign: &staging.Hook{Cmd: []string{"true"}}, Go: &staging.Hook{Cmd: []string{"true"}}},
	}
	c.Broker.ImageByName["old"] = staging.Image{Name: "old", Enabled: &no, RestrictToZones: []string{"west"}, PersistentProfilePath: "/p/{user_id}"}
	c.Broker.ConfigByName["demo-west"] = staging.Config{Name: "demo-west", Zone: "west", Image: "demo", Labels: map[string]string{"lane": "cheap"}, Priority: 20}

	want := map[string]map[string]string{
		"east": {"NAME": "east", "DATACENTERS": "dc1", "NODE POOL": "default", "NAMESPACE": "default", "ALTERNATES": "none", "GROUPS": "all", "STAGES": "no", "POOLS": "0"},
		"west": {"NAME": "west", "DATACENTERS": "dc1,dc2", "NODE POOL": "gpu", "NAMESPACE": "default", "ALTERNATES": "all", "GROUPS": "students", "STAGES": "yes", "POOLS": "1"},
	}
	out := c.Want(exit.OK, []string{"zones"})
	if diff := cmp.Diff(want, table(t, out)); diff != "" {
		t.Errorf("zones (-want +got):\n%s", diff)
	}
	if strings.Index(out, "east") > strings.Index(out, "west") {
		t.Errorf("zones are not sorted by name:\n%s", out)
	}
	want = map[string]map[string]string{
		"demo": {"NAME": "demo", "ENABLED": "yes", "ZONES": "all", "GROUPS": "all", "HOOKS": "assign,go", "STAGES": "yes", "POOLS": "1", "REVISION": "6f1d0a9c2b7e"},
		"old":  {"NAME": "old", "ENABLED": "no", "ZONES": "west", "GROUPS": "all", "HOOKS": "-", "STAGES": "no", "POOLS": "0", "REVISION": "-"},
	}
	if diff := cmp.Diff(want, table(t, c.Want(exit.OK, []string{"images"}))); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
	c.Want(exit.OK, []string{"zones", "-o", "wide"}, "UPSTREAM AUTH", "auth.example.org:7480", "MAX SESSIONS")
	c.Want(exit.OK, []string{"images", "-o", "wide"}, "TIME LIMIT", "8h0m0s", "LABELS", "tier=gold", "MAX SESSIONS", "PER USER", "/p/{user_id}", "http://{address}:{port_http}/")
	if out := c.Want(exit.OK, []string{"zones", "-o", "name"}); out != "east\nwest\n" {
		t.Errorf("-o name: %q", out)
	}
	c.Want(exit.OK, []string{"images", "-o", "yaml"}, "items:\n  - name: demo\n", "session_time_limit: 8h0m0s", "- \"true\"\n")
	c.Want(exit.OK, []string{"staging", "-o", "wide"}, "EXPIRATION", "demo-west", "LABELS", "lane=cheap", "PRIORITY", "MAX SESSIONS")
	c.Want(exit.OK, []string{"groups", "-o", "name"})

	// get has the same lists, and what is named of them.
	c.Want(exit.OK, []string{"get", "zones"}, "DATACENTERS", "east", "west")
	if out := c.Want(exit.OK, []string{"get", "zone", "west"}, "gpu"); strings.Contains(out, "east") {
		t.Errorf("get of one zone:\n%s", out)
	}
	var zone staging.Zone
	clitest.Decode(t, c.Want(exit.OK, []string{"get", "zone", "west", "-o", "json"}), &zone)
	if zone.NodePool != "gpu" {
		t.Errorf("get zone west -o json: %+v", zone)
	}
	c.Want(exit.NotFound, []string{"get", "zone", "west", "nowhere"}, `there is no zone "nowhere"; known are east, west`)
	c.Want(exit.Usage, []string{"get", "pod"}, "KIND", "staging")
	// As KIND/NAME, also of several kinds.
	if one, same := c.Want(exit.OK, []string{"get", "zone/west", "-o", "json"}), c.Want(exit.OK, []string{"get", "zone", "west", "-o", "json"}); one != same {
		t.Errorf("get zone/west -o json:\n%s", one)
	}
	if out := c.Want(exit.OK, []string{"get", "images/demo", "zone/west", "image/old", "-o", "name"}); out != "image/demo\nimage/old\nzone/west\n" {
		t.Errorf("get of several kinds -o name:\n%s", out)
	}
	if out := c.Want(exit.OK, []string{"get", "image/demo", "zone/west", "-o", "hcl"}, `zone "west" {`, `image "demo" {`); strings.Contains(out, `"old"`) {
		t.Errorf("get of several kinds -o hcl:\n%s", out)
	}
	c.Want(exit.NotFound, []string{"get", "zone/nowhere"}, `there is no zone "nowhere"`)
	for _, args := range [][]string{{"get", "zone/"}, {"get", "pod/a"}, {"get", "zone/west", "east"}, {"get", "all", "east"}} {
		c.Want(exit.Usage, args, "")
	}
	if out := c.Want(exit.OK, []string{"get", "all", "-o", "name"}); out != "zone/east\nzone/west\nimage/demo\nimage/old\nstaging/demo-west\n" {
		t.Errorf("get all -o name:\n%s", out)
	}
	var all map[string][]struct{ Name string }
	clitest.Decode(t, c.Want(exit.OK, []string{"get", "all", "-o", "json"}), &all)
	if len(all["zones"]) != 2 || len(all["images"]) != 2 || len(all["staging"]) != 1 || all["groups"] == nil {
		t.Errorf("get all -o json: %v", all)
	}
	c.Want(exit.Usage, []string{"zones", "-o", "hcl"}, "hcl")
}

func TestDelete(t *testing.T) {
	c := clitest.New(t, "")
	fill := func() {
		for _, name := range []string{"a", "b"} {
			c.Broker.ZoneByName[name] = staging.Zone{Name: name}
			c.Broker.ImageByName[name] = staging.Image{Name: name}
			c.Broker.ConfigByName[name] = staging.Config{Name: name, Zone: name, Image: name}
		}
		c.Broker.Deletes = nil
	}
	deleted := func(want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, c.Broker.Deletes); diff != "" {
			t.Errorf("deleted (-want +got):\n%s", diff)
		}
		fill()
	}
	fill()
	c.Want(exit.OK, []string{"delete", "staging", "b", "a"}, `staging "b" deleted`, `staging "a" deleted`)
	deleted("staging b", "staging a")
	c.Want(exit.OK, []string{"delete", "staging/a", "images/a", "zone/b"}, `image "a" deleted`)
	deleted("staging a", "image a", "zone b")
	// What names others goes before them, whatever the order of the arguments.
	c.Want(exit.OK, []string{"delete", "zone/a", "image/a", "staging/b", "staging/a", "zone/b"}, `zone "b" deleted`)
	deleted("staging b", "staging a", "image a", "zone a", "zone b")
	// One that cannot be deleted does not keep the others.
	c.Want(exit.NotFound, []string{"delete", "zone", "a", "none", "b"}, `zone "a" deleted`, `zone "none": there is no zone none`, `zone "b" deleted`)
	deleted("zone a", "zone b")
	var answer struct {
		Items []struct {
			Kind, Name string
			Deleted    bool
			Problem    *struct{ Code, Detail string }
		}
	}
	code, out, _ := c.Run("delete", "zone/a", "zone/none", "staging/a", "-o", "json")
	clitest.Decode(t, out, &answer)
	if len(answer.Items) != 3 || code != exit.NotFound {
		t.Fatalf("%d\n%s", code, out)
	}
	first, none := answer.Items[0], answer.Items[2]
	if first.Kind != "staging" || first.Name != "a" || !first.Deleted || first.Problem != nil || none.Name != "none" || none.Deleted || none.Problem == nil || none.Problem.Code != "not_found" {
		t.Errorf("delete -o json:\n%s", out)
	}
	deleted("staging a", "zone a")
	for _, args := range [][]string{{"delete"}, {"delete", "zone"}, {"delete", "pod", "a"}, {"delete", "zone/a", "b"}, {"delete", "zone/"}, {"delete", "zone", ".."}} {
		c.Want(exit.Usage, args, "")
	}
	deleted()
	c.Broker.Err = &refusal.Error{Kind: refusal.InUse, Detail: "staging config a names it"}
	c.Want(exit.Refused, []string{"delete", "image", "a"}, `image "a": staging config a names it`)
	fill()
	// A text that names it already does not name it twice.
	c.Broker.Err = &refusal.Error{Kind: refusal.InUse, Detail: `image "a" is named by staging config a`}
	c.Want(exit.Refused, []string{"delete", "image", "a"}, `greenroom: image "a" is named by staging config a`)
	c.Broker.Err = nil
	fill()
	// --wait is for the unused sessions of what was deleted.
	c.Want(exit.OK, []string{"delete", "staging", "a", "--wait"}, "deleted")
	if f := c.Broker.Filter; f.Staging != "a" || !cmp.Equal(f.States, []staging.State{staging.Pending, staging.Starting, staging.Ready, staging.Retiring}) {
		t.Errorf("waited for %+v", f)
	}
	c.Broker.SessionList = []staging.Session{{ID: "gr-2", State: staging.Retiring, Origin: staging.Staged, Staging: "b", CreatedAt: time.Now()}}
	c.Want(exit.Failed, []string{"delete", "staging", "b", "--wait", "--timeout", "1ms"}, `staging "b" is deleted; not ended yet: 1 unused session`)
	fill()
	c.Broker.Paused = map[staging.PauseTarget]staging.Pause{{Zone: "a"}: {PauseTarget: staging.PauseTarget{Zone: "a"}, PausedBy: "token:tk-1"}}
	c.Broker.SessionList[0].Zone = "a"
	c.Want(exit.Failed, []string{"delete", "staging", "b", "--wait", "--timeout", "1ms"}, `zone a paused by token:tk-1: the unused sessions of staging "b" end after greenroom resume a`)
}

func TestVersion(t *testing.T) {
	c := clitest.New(t, "")
	t.Setenv("GREENROOM_ADDR", "127.0.0.1:1")
	c.Want(exit.OK, []string{"version"}, "greenroom ", runtime.Version(), runtime.GOOS+"/"+runtime.GOARCH)
	var v buildinfo.Info
	clitest.Decode(t, c.Want(exit.OK, []string{"version", "--json"}), &v)
	if v != buildinfo.Read() || v.Version == "" || v.Go != runtime.Version() {
		t.Errorf("%+v", v)
	}
}
