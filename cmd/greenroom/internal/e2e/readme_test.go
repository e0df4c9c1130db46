package e2e

import (
	"os"
	"strings"
	"testing"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/clitest"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/jobspecs"
)

// TestTheReadmesResourcesApply: what it shows is what apply reads.
func TestTheReadmesResourcesApply(t *testing.T) {
	readme, err := os.ReadFile("../../../../README.md")
	must(t, err)
	_, after, _ := strings.Cut(string(readme), "```hcl\n")
	resources, _, _ := strings.Cut(after, "```")
	c := clitest.New(t, "")
	dir := clitest.Dir(t, map[string]string{"all.hcl": resources, "desktop.nomad.hcl": jobspecs.DemoDocker})
	c.Want(exit.OK, []string{"apply", "-f", dir}, `zone "east" created`, `image "desktop" created`, `group "students" created`, `staging "desktop-east" created`)
	for _, g := range c.Broker.GroupByName {
		if err := g.Validate(); err != nil {
			t.Error(err)
		}
	}
}
