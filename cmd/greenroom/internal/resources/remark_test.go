package resources_test

import (
	"strings"
	"testing"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/clitest"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
)

// TestAnImageWithALongKillTimeoutIsStoredWithAWarning, and again only where it changes.
func TestAnImageWithALongKillTimeoutIsStoredWithAWarning(t *testing.T) {
	c := clitest.New(t, "")
	dir := clitest.Dir(t, map[string]string{"a.hcl": "image \"slow\" {\n  jobspec = <<EOT\njob \"x\" {\n  kill_timeout = \"2m\"\n}\nEOT\n}\n"})
	for _, want := range []int{1, 0} {
		code, out, errs := c.Run("apply", "-f", dir)
		if code != exit.OK || strings.Count(errs, "warning: image slow: its jobspec has a kill_timeout of 2m") != want {
			t.Errorf("%d %s %s, want %d warnings", code, out, errs, want)
		}
	}
}
