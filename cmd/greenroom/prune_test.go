package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/greenroom/greenroom/internal/staging"
)

func TestWhatPruneMayNotDelete(t *testing.T) {
	c := newCLI(t, "")
	c.broker.zones["west"] = staging.Zone{Name: "west", Datacenters: []string{"dc2"}}.WithDefaults()
	c.broker.images["demo"] = staging.Image{Name: "demo", Jobspec: "job"}
	c.broker.configs["demo-west"] = staging.Config{Name: "demo-west", Zone: "west", Image: "demo"}
	// These files leave staging configs alone, and one names the zone.
	c.stdin = goodZone
	c.want(exitInvalid, []string{"apply", "-f", "-", "--prune", "--yes"}, `zone "west"`, "demo-west")
	// A config of the files names a zone that they would delete.
	c.stdin = goodZone + "\nstaging \"p\" {\n  zone = \"west\"\n  image = \"demo\"\n  desired_sessions = 1\n}\n"
	c.want(exitInvalid, []string{"plan", "-f", "-", "--prune"}, "-:8: ", `zone "west"`, "--prune would delete it")
	c.stdin = strings.ReplaceAll(c.stdin, `zone = "west"`, `zone = "east"`)
	c.want(exitUsage, []string{"apply", "-f", "-", "--prune"}, "say --yes", "demo-west")
	if len(c.broker.puts)+len(c.broker.deletes) != 0 {
		t.Errorf("stored %q and deleted %q all the same", c.broker.puts, c.broker.deletes)
	}
	c.want(exitOK, []string{"apply", "-f", "-", "--prune", "--yes"})
	if want := []string{"staging demo-west", "zone west"}; !slices.Equal(c.broker.deletes, want) {
		t.Errorf("deleted %q, want %q", c.broker.deletes, want)
	}
}
