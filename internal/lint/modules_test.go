package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestARetractedVersionIsFound(t *testing.T) {
	found := retracted([]requiredModule{
		{Path: "example.org/good", Version: "v1.0.0"},
		{Path: "example.org/withdrawn", Version: "v1.1.0", Retracted: []string{"loses data"}, Update: &struct{ Version string }{"v1.2.0"}},
	})
	want := []string{"go.mod: example.org/withdrawn v1.1.0 is retracted (loses data): run: go get example.org/withdrawn@v1.2.0"}
	if !slices.Equal(found, want) {
		t.Errorf("want %q, got %q", want, found)
	}
}

func TestWhatCouldNotBeCheckedIsSaid(t *testing.T) {
	t.Setenv(advisoriesVariable, "")
	t.Setenv("GOPROXY", "off")
	t.Setenv("GOMODCACHE", t.TempDir())
	tr := checkout(t, map[string]string{"go.mod": goMod + "\nrequire example.org/never/fetched v1.0.0\n"})
	found, err := modules(t.Context(), tr)
	if err != nil || len(found) != 0 {
		t.Errorf("want no finding, got %q, %v", found, err)
	}
	for _, want := range []string{"did not answer for example.org/never/fetched", "vulnerabilities: no database; set GOVULNDB"} {
		if !slices.ContainsFunc(tr.unchecked, func(s string) bool { return strings.Contains(s, want) }) {
			t.Errorf("want a note with %q, got %q", want, tr.unchecked)
		}
	}
}

// The database has one made-up advisory, about a module that this program links.
func TestAVersionWithAMendedVulnerabilityIsFound(t *testing.T) {
	db := t.TempDir()
	for name, text := range map[string]string{
		"index/db.json":        `{"modified":"2026-01-01T00:00:00Z"}`,
		"index/modules.json":   `[{"path":"github.com/robfig/cron/v3","vulns":[{"id":"GO-2026-0001","modified":"2026-01-01T00:00:00Z","fixed":"3.999.0"}]}]`,
		"ID/GO-2026-0001.json": `{"schema_version":"1.3.1","id":"GO-2026-0001","modified":"2026-01-01T00:00:00Z","affected":[{"package":{"name":"github.com/robfig/cron/v3","ecosystem":"Go"},"ranges":[{"type":"SEMVER","events":[{"introduced":"0"},{"fixed":"3.999.0"}]}]}]}`,
	} {
		path := filepath.Join(db, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir("../..")
	found, err := advisories(t.Context(), ".", "file://"+db)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 1 || !strings.Contains(found[0], "github.com/robfig/cron/v3") || !strings.Contains(found[0], "has GO-2026-0001: run: go get github.com/robfig/cron/v3@v3.999.0") {
		t.Errorf("want a finding about cron, got %q", found)
	}
}
