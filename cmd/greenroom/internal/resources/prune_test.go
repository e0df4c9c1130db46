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

// TestPruneLeavesGroupsThatAreAllowed: a group that an image or a zone allows is not deleted,
// be that in the files or not. Together with what allows it, it is deleted last.
func TestPruneLeavesGroupsThatAreAllowed(t *testing.T) {
	c := clitest.New(t, "")
	c.Broker.GroupByName["staff"] = staging.Group{Name: "staff"}
	c.Broker.ImageByName["demo"] = staging.Image{Name: "demo", Jobspec: "job", AllowedGroups: []string{"staff"}}
	const other = "group \"other\" {\n  priority = 1\n}\n"
	c.Stdin = other
	c.Want(exit.Invalid, []string{"apply", "-f", "-", "--prune", "--yes"}, `group "staff"`, `image "demo", which these files leave alone, allows it`)
	c.Stdin = other + "image \"demo\" {\n  jobspec = \"job\"\n  allowed_groups = [\"staff\"]\n}\n"
	c.Want(exit.Invalid, []string{"plan", "-f", "-", "--prune"}, "-:6: ", `group "staff"`, "--prune would delete it")
	if len(c.Broker.Puts)+len(c.Broker.Deletes) != 0 {
		t.Errorf("stored %q and deleted %q all the same", c.Broker.Puts, c.Broker.Deletes)
	}
	c.Stdin = other + "image \"new\" {\n  jobspec = \"job\"\n}\n"
	c.Want(exit.OK, []string{"apply", "-f", "-", "--prune", "--yes"})
	if want := []string{"image demo", "group staff"}; !slices.Equal(c.Broker.Deletes, want) {
		t.Errorf("deleted %q, want %q", c.Broker.Deletes, want)
	}
}

// TestTheDefaultGroupMoves in one apply: only one may have it at any moment.
func TestTheDefaultGroupMoves(t *testing.T) {
	c := clitest.New(t, "")
	c.Broker.GroupByName["b-old"] = staging.Group{Name: "b-old", Priority: 1, Default: true}
	c.Stdin = "group \"a-new\" {\n  priority = 1\n  default = true\n}\ngroup \"b-old\" {\n  priority = 1\n}\n"
	c.Want(exit.OK, []string{"apply", "-f", "-"}, `group "b-old" updated`, "default: true -> (not set)")
	if want := []string{"group b-old", "group a-new"}; !slices.Equal(c.Broker.Puts, want) {
		t.Errorf("stored %q, want %q", c.Broker.Puts, want)
	}
}
