package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestEveryPromiseNamesATestThatThereIs finds each test that PROMISES.md, the table of
// deploy/README.md and the runbook name, in this directory or in the package of its name.
func TestEveryPromiseNamesATestThatThereIs(t *testing.T) {
	for file, atLeast := range map[string]int{"PROMISES.md": 40, "../../../../deploy/README.md": 20, "../../../../deploy/runbook/README.md": 30} {
		text, err := os.ReadFile(file)
		must(t, err)
		named := regexp.MustCompile("`(?:([a-z/]+)\\.)?(Test[A-Za-z0-9]+)`").FindAllStringSubmatch(string(text), -1)
		if len(named) < atLeast {
			t.Fatalf("%s names only %d tests: this test no longer finds them", file, len(named))
		}
		exist(t, named)
	}
}

// exist fails the test for each package and name of which there is no test.
func exist(t *testing.T, named [][]string) {
	t.Helper()
	for _, n := range named {
		dir := "../*" // any package of cmd/greenroom
		if n[1] != "" {
			dir = filepath.Join("../../../..", n[1])
		}
		files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
		must(t, err)
		found := false
		for _, f := range files {
			b, err := os.ReadFile(f)
			must(t, err)
			found = found || strings.Contains(string(b), "func "+n[2]+"(")
		}
		if !found {
			t.Errorf("%s is no test of %s", n[2], dir)
		}
	}
}
