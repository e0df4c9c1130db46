package main

import (
	"os"
	"strings"
	"testing"

	"github.com/greenroom/greenroom/jobspecs"
)

// TestTheReadmesResourcesApply applies the resources that README.md shows.
func TestTheReadmesResourcesApply(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	must(t, err)
	_, after, _ := strings.Cut(string(readme), "```hcl\n")
	resources, _, _ := strings.Cut(after, "```")
	c := newCLI(t, "")
	dir := dirOf(t, map[string]string{"all.hcl": resources, "desktop.nomad.hcl": jobspecs.DemoDocker})
	c.want(exitOK, []string{"apply", "-f", dir}, `zone "east" created`, `image "desktop" created`, `group "students" created`, `staging "desktop-east" created`)
	for _, g := range c.broker.groups {
		if err := g.Validate(); err != nil {
			t.Error(err)
		}
	}
}
