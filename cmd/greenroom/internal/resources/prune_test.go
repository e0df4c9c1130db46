package resources_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/clitest"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/internal/staging"
)

func TestWhatPruneMayNotDelete(t *testing.T) {
	c := clitest.New(t, "")
	c.Broker.ZoneByName["west"] = staging.Zone{Name: "west", Datacenters: []string{"dc2"}}.WithDefaults()
	c.Broker.ImageByName["demo"] = staging.Image{Name: "demo", Jobspec: "job"}
	c.Broker.ConfigByName["demo-west"] = staging.Config{Name: "demo-west", Zone: "west", Image: "demo"}
	// These files leave staging configs alone, and one names the zone.
	c.Stdin = goodZone
	c.Want(exit.Invalid, []string{"apply", "-f", "-", "--prune", "--yes"}, `zone "west"`, "demo-west")
	// A config of the files names a zone that they would delete.
	c.Stdin = goodZone + "\nstaging \"p\" {\n  zone = \"west\"\n  image = \"demo\"\n  desired_sessions = 1\n}\n"
	c.Want(exit.Invalid, []string{"plan", "-f", "-", "--prune"}, "-:8: ", `zone "west"`, "--prune would delete it")
	c.Stdin = strings.ReplaceAll(c.Stdin, `zone = "west"`, `zone = "east"`)
	c.Want(exit.Usage, []string{"apply", "-f", "-", "--prune"}, "say --yes", "demo-west")
	if len(c.Broker.Puts)+len(c.Broker.Deletes) != 0 {
		t.Errorf("stored %q and deleted %q all the same", c.Broker.Puts, c.Broker.Deletes)
	}
	c.Want(exit.OK, []string{"apply", "-f", "-", "--prune", "--yes"})
	if want := []string{"staging demo-west", "zone west"}; !slices.Equal(c.Broker.Deletes, want) {
		t.Errorf("deleted %q, want %q", c.Broker.Deletes, want)
	}
}
