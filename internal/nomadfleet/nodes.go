package nomadfleet

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/greenroom/greenroom/internal/staging"
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

// narrow returns the constraints of a placement. They are constraints and not affinities, because
// Nomad averages an affinity with its score for a full node, and looks at no more than 100 nodes
// (1.10.5): an affinity places a job anywhere.
func narrow(p staging.Placement) []*nomadapi.Constraint {
	var all []*nomadapi.Constraint
	if p.Only != "" {
		all = append(all, nomadapi.NewConstraint(p.Property, "=", p.Only))
	}
	if len(p.Except) > 0 && p.Property != staging.DefaultSpread {
		all = append(all, nomadapi.NewConstraint(p.Property, nomadapi.ConstraintAttributeIsSet, ""))
	}
	for _, value := range p.Except {
		all = append(all, nomadapi.NewConstraint(p.Property, "!=", value))
	}
	for _, id := range p.ExceptNodes {
		all = append(all, nomadapi.NewConstraint(staging.DefaultSpread, "!=", id))
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
