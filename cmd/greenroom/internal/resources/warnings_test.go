package resources_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/clitest"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
)

// TestPlanAndApplyPrintWarnings: of what is accepted and may not be meant, on the standard error,
// so that the output stays as it is.
func TestPlanAndApplyPrintWarnings(t *testing.T) {
	c := clitest.New(t, "")
	c.Broker.ImageWarnings = []string{`image "odd": jobspec: the spread of group "g" has no effect`, "another, with a comma"}
	file := filepath.Join(t.TempDir(), "odd.hcl")
	if err := os.WriteFile(file, []byte("image \"odd\" {\n  jobspec = \"job\"\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	want := "warning: " + c.Broker.ImageWarnings[0] + "\nwarning: " + c.Broker.ImageWarnings[1] + "\n"
	for _, command := range []struct {
		name string
		code int
	}{{"plan", exit.Changes}, {"apply", exit.OK}} {
		code, stdout, stderr := c.Run(command.name, "-f", file)
		if code != command.code || stderr != want || strings.Contains(stdout, "warning") {
			t.Errorf("%s: %q, want %q; and %q", command.name, stderr, want, stdout)
		}
	}
}
