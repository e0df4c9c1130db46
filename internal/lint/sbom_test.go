package main

import (
	"debug/buildinfo"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

func TestTheSBOMHasTheModulesOfTheBinary(t *testing.T) {
	bin := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "make", "-C", "../..", "sbom", "BIN="+bin)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	linked, err := buildinfo.ReadFile(filepath.Join(bin, "greenroom"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(bin, "greenroom.cdx.json"))
	if err != nil {
		t.Fatal(err)
	}
	var sbom struct {
		BOMFormat  string
		Components []struct{ Name, Version, PURL string }
	}
	if err := json.Unmarshal(text, &sbom); err != nil || sbom.BOMFormat != "CycloneDX" {
		t.Fatalf("want a CycloneDX document, got format %q, %v", sbom.BOMFormat, err)
	}
	var want, got []string
	for _, m := range linked.Deps {
		want = append(want, m.Path+" "+m.Version)
	}
	for _, c := range sbom.Components {
		if c.PURL == "" {
			t.Errorf("%s has no package URL", c.Name)
		}
		if c.Name != "std" {
			got = append(got, c.Name+" "+c.Version)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if len(want) == 0 || !slices.Equal(got, want) {
		t.Errorf("the binary links %q, the SBOM has %q", want, got)
	}
}
