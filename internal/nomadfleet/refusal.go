package nomadfleet

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// location is where a session was to run. A refusal's message needs it, because the
// scheduler's metrics do not contain it. Every field may be empty.
type location struct {
	zone        string
	datacenters []string
	// drivers are those of the job's tasks.
	drivers []string
}

// locationIn returns the location of a session's job by the job's meta.
func locationIn(datacenters []string, meta map[string]string) location {
	at := location{zone: meta[metaZone], datacenters: datacenters}
	if list := meta[metaDrivers]; list != "" {
		at.drivers = strings.Split(list, ",")
	}
	return at
}

// refusal explains to an administrator why the scheduler found no node. It returns nil
// if the scheduler found one.
func refusal(at location, failed map[string]*nomadapi.AllocationMetric) *staging.Failure {
	if len(failed) == 0 {
		return nil
	}
	zone := at.zone
	// A session's job has one group.
	m := failed[slices.Sorted(maps.Keys(failed))[0]]
	if m == nil {
		return &staging.Failure{Type: staging.NoNodesInZone, Message: "no node would do" + inZone(zone)}
	}
	if len(m.QuotaExhausted) > 0 {
		return &staging.Failure{
			Type:    staging.CapacityExhausted,
			Message: fmt.Sprintf("quota exhausted%s: %s", inZone(zone), strings.Join(m.QuotaExhausted, ", ")),
		}
	}
	if m.NodesExhausted > 0 {
		return &staging.Failure{Type: staging.CapacityExhausted, Message: exhaustedMessage(at, m)}
	}
	return &staging.Failure{Type: staging.NoNodesInZone, Message: noNodesMessage(at, m)}
}

// exhaustedMessage returns, for example, "not enough memory in zone eu (2 of 2 nodes)".
func exhaustedMessage(at location, m *nomadapi.AllocationMetric) string {
	zone := at.zone
	total := max(m.NodesEvaluated, m.NodesExhausted)
	var b strings.Builder
	// The dimension that excluded the most nodes comes first.
	dimensions := slices.SortedFunc(maps.Keys(m.DimensionExhausted), func(a, b string) int {
		if d := m.DimensionExhausted[b] - m.DimensionExhausted[a]; d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	if len(dimensions) == 0 {
		fmt.Fprintf(&b, "no room%s (%s)", inZone(zone), countOf(m.NodesExhausted, total))
	}
	for i, d := range dimensions {
		where := ""
		if i > 0 {
			b.WriteString(", ")
		} else {
			where = inZone(zone)
		}
		fmt.Fprintf(&b, "not enough %s%s (%s)", d, where, countOf(m.DimensionExhausted[d], total))
	}
	if len(m.ConstraintFiltered) > 0 {
		b.WriteString("; " + filterReasons(at, m))
	}
	return b.String()
}

// noNodesMessage returns, for example, "no node in datacenter dc9 in zone eu", or what
// the existing nodes lack.
func noNodesMessage(at location, m *nomadapi.AllocationMetric) string {
	zone := at.zone
	switch {
	case len(m.ConstraintFiltered) > 0 || len(m.ClassFiltered) > 0:
		return fmt.Sprintf("no node fits%s: %s", inZone(zone), filterReasons(at, m))
	case m.NodesInPool > 0 || m.NodesEvaluated > 0:
		return fmt.Sprintf("no node fits%s (%s looked at)", inZone(zone), countNodes(max(m.NodesInPool, m.NodesEvaluated)))
	}
	// NodesInPool counts only nodes in the job's datacenters, so here there is none.
	where := "its datacenters"
	if n := len(at.datacenters); n > 0 {
		where = fmt.Sprintf("%s %s", plural(n, "datacenter"), strings.Join(at.datacenters, ", "))
	}
	if m.NodePool != "" && m.NodePool != nomadapi.NodePoolDefault {
		where += " and node pool " + m.NodePool
	}
	return fmt.Sprintf("no node in %s%s", where, inZone(zone))
}

// missingDrivers is the scheduler's constraint on the drivers of a job. It does not name them.
const missingDrivers = "missing drivers"

// excludedNode begins the scheduler's text of a constraint that excludes one node, of which a
// session of a pool with distinct_hosts has one for each other session.
const excludedNode = staging.DefaultSpread + " != "

// filterReasons returns, for example,
// "missing driver docker on 2 nodes, ${attr.kernel.name} = windows on 1 node".
func filterReasons(at location, m *nomadapi.AllocationMetric) string {
	var parts []string
	byID := 0
	for _, c := range slices.Sorted(maps.Keys(m.ConstraintFiltered)) {
		if strings.HasPrefix(c, excludedNode) {
			byID += m.ConstraintFiltered[c]
			continue
		}
		what := c
		if c == missingDrivers && len(at.drivers) > 0 {
			what = "missing driver " + strings.Join(at.drivers, " or ")
		}
		parts = append(parts, fmt.Sprintf("%s on %s", what, countNodes(m.ConstraintFiltered[c])))
	}
	if byID > 0 {
		parts = append(parts, "excluded by its id on "+countNodes(byID))
	}
	if len(parts) == 0 {
		for _, c := range slices.Sorted(maps.Keys(m.ClassFiltered)) {
			parts = append(parts, fmt.Sprintf("node class %q on %s", c, countNodes(m.ClassFiltered[c])))
		}
	}
	return strings.Join(parts, ", ")
}

func inZone(zone string) string {
	if zone == "" {
		return ""
	}
	return " in zone " + zone
}

func countOf(n, total int) string { return fmt.Sprintf("%d of %s", n, countNodes(total)) }

func countNodes(n int) string { return staging.Count(n, "node") }

func plural(n int, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}
