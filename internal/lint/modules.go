package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// advisoriesVariable names the environment variable with the address of a Go
// vulnerability database, such as file:///srv/vulndb for a copy on disk.
const advisoriesVariable = "GOVULNDB"

// requiredModule is a module that go.mod requires, as `go list -m -json` has it.
type requiredModule struct {
	Path, Version string
	// Retracted are the reasons for which the module's authors withdrew the version,
	// which is how a Go module says that a version has a fault that a later one mends.
	Retracted []string
	// Update is the newest version; nil if go.mod requires it.
	Update *struct{ Version string }
	// Error is why the module proxy did not answer for this module.
	Error *struct{ Err string }
}

// modules returns the modules that must not stay in go.mod: versions that their
// authors retracted and, where a vulnerability database is at hand, versions with a
// vulnerability that a later version mends.
func modules(ctx context.Context, t *tree) ([]string, error) {
	required, err := requiredModules(ctx, t.dir)
	if err != nil {
		return nil, err
	}
	if silent := unanswered(required); len(silent) > 0 {
		t.notChecked("retractions: the module proxy did not answer for " + strings.Join(silent, ", "))
	}
	findings := retracted(required)
	database := os.Getenv(advisoriesVariable)
	if database == "" {
		t.notChecked("vulnerabilities: no database; set " + advisoriesVariable + " to the address of one, such as file:///srv/vulndb")
		return findings, nil
	}
	vulnerable, err := advisories(ctx, t.dir, database)
	return append(findings, vulnerable...), err
}

// requiredModules lists the modules that go.mod requires, with what the module proxy
// says of their versions.
func requiredModules(ctx context.Context, dir string) ([]requiredModule, error) {
	out, err := output(ctx, dir, "go", "mod", "edit", "-json")
	if err != nil {
		return nil, err
	}
	var file struct{ Require []struct{ Path string } }
	if err := json.Unmarshal([]byte(out), &file); err != nil {
		return nil, fmt.Errorf("go mod edit -json: %w", err)
	}
	if len(file.Require) == 0 {
		return nil, nil
	}
	// With -e, a module that the proxy does not answer for has an error of its own.
	args := []string{"list", "-m", "-e", "-u", "-retracted", "-json=Path,Version,Retracted,Update,Error"}
	for _, r := range file.Require {
		args = append(args, r.Path)
	}
	if out, err = output(ctx, dir, "go", args...); err != nil {
		return nil, err
	}
	var required []requiredModule
	for d := json.NewDecoder(strings.NewReader(out)); d.More(); {
		var m requiredModule
		if err := d.Decode(&m); err != nil {
			return nil, fmt.Errorf("go list -m -json: %w", err)
		}
		required = append(required, m)
	}
	return required, nil
}

// retracted returns a finding for each version that its authors withdrew.
func retracted(required []requiredModule) []string {
	var findings []string
	for _, m := range required {
		if len(m.Retracted) == 0 {
			continue
		}
		newest := "another version"
		if m.Update != nil {
			newest = m.Update.Version
		}
		findings = append(findings, fmt.Sprintf("go.mod: %s %s is retracted (%s): run: go get %s@%s",
			m.Path, m.Version, strings.Join(m.Retracted, "; "), m.Path, newest))
	}
	return findings
}

// unanswered returns the modules for which the module proxy did not answer.
func unanswered(required []requiredModule) []string {
	var silent []string
	for _, m := range required {
		if m.Error != nil {
			silent = append(silent, m.Path)
		}
	}
	return silent
}

// mainPackage is a directory with Go files, which govulncheck needs even to look at
// modules alone.
const mainPackage = "cmd/greenroom"

// advisories returns a finding for each module of the build list with a vulnerability
// that a later version mends, as the database at an address has it.
func advisories(ctx context.Context, dir, database string) ([]string, error) {
	out, err := output(ctx, dir, "go", "tool", toolsMod, "govulncheck", "-C", filepath.Join(dir, mainPackage), "-db", database, "-scan", "module", "-format", "json")
	if err != nil {
		return nil, err
	}
	return mended(out)
}

// mended returns the findings of govulncheck's messages that have a fixed version.
func mended(messages string) ([]string, error) {
	var findings []string
	for d := json.NewDecoder(strings.NewReader(messages)); d.More(); {
		var m struct {
			Finding *struct {
				OSV          string `json:"osv"`
				FixedVersion string `json:"fixed_version"`
				Trace        []struct {
					Module  string `json:"module"`
					Version string `json:"version"`
				} `json:"trace"`
			} `json:"finding"`
		}
		if err := d.Decode(&m); err != nil {
			return nil, fmt.Errorf("govulncheck -format json: %w", err)
		}
		if f := m.Finding; f != nil && f.FixedVersion != "" && len(f.Trace) > 0 {
			findings = append(findings, fmt.Sprintf("go.mod: %s %s has %s: run: go get %s@%s",
				f.Trace[0].Module, f.Trace[0].Version, f.OSV, f.Trace[0].Module, f.FixedVersion))
		}
	}
	return findings, nil
}
