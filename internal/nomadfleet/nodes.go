package nomadfleet

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	nomadapi "github.com/hashicorp/nomad/api"
)

// avoid returns the affinities by which Nomad places a job on the nodes with these ids only
// if no other node has room. A constraint would leave it without a node then.
func avoid(nodes []string) []*nomadapi.Affinity {
	var all []*nomadapi.Affinity
	for _, id := range nodes {
		all = append(all, nomadapi.NewAffinity("${node.unique.id}", "=", id, -100))
	}
	return all
}

// conditionOf summarizes what changes when a node is restarted or repaired, or its drivers
// find something else.
func conditionOf(status, eligibility string, drivers map[string]*nomadapi.DriverInfo) string {
	parts := []string{status, eligibility}
	for _, name := range slices.Sorted(maps.Keys(drivers)) {
		if d := drivers[name]; d != nil && d.Detected {
			parts = append(parts, fmt.Sprintf("%s:%t", name, d.Healthy))
		}
	}
	return strings.Join(parts, " ")
}
