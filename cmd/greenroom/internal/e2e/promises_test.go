package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestEveryPromiseNamesATestThatThereIs finds each test that PROMISES.md names, in this
// directory or in the package of its name.
func TestEveryPromiseNamesATestThatThereIs(t *testing.T) {
	text, err := os.ReadFile("PROMISES.md")
	must(t, err)
	named := regexp.MustCompile("`(?:([a-z/]+)\\.)?(Test[A-Za-z0-9]+)`").FindAllStringSubmatch(string(text), -1)
	if len(named) < 40 {
		t.Fatalf("only %d tests are named: this test no longer finds them", len(named))
	}
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
