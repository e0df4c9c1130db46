package nomadfleet

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/greenroom/greenroom/internal/staging"
)

func TestRefusal(t *testing.T) {
	eu := location{zone: "eu", datacenters: []string{"dc9"}}
	tests := []struct {
		name   string
		at     location
		metric *nomadapi.AllocationMetric
		want   staging.Failure
	}{
		{
			"memory", eu,
			&nomadapi.AllocationMetric{NodesEvaluated: 2, NodesInPool: 2, NodesExhausted: 2, DimensionExhausted: map[string]int{"memory": 2}},
			staging.Failure{Type: staging.CapacityExhausted, Message: "not enough memory in zone eu (2 of 2 nodes)"},
		},
		{
			"the worst dimension first", eu,
			&nomadapi.AllocationMetric{NodesEvaluated: 3, NodesExhausted: 3, DimensionExhausted: map[string]int{"memory": 1, "cpu": 2}},
			staging.Failure{Type: staging.CapacityExhausted, Message: "not enough cpu in zone eu (2 of 3 nodes), not enough memory (1 of 3 nodes)"},
		},
		{
			"some full, some unfit", eu,
			&nomadapi.AllocationMetric{NodesEvaluated: 2, NodesExhausted: 1, DimensionExhausted: map[string]int{"memory": 1}, ConstraintFiltered: map[string]int{"missing drivers": 1}},
			staging.Failure{Type: staging.CapacityExhausted, Message: "not enough memory in zone eu (1 of 2 nodes); missing drivers on 1 node"},
		},
		{
			"full of nothing named",
			location{},
			&nomadapi.AllocationMetric{NodesExhausted: 1},
			staging.Failure{Type: staging.CapacityExhausted, Message: "no room (1 of 1 node)"},
		},
		{
			"quota", eu,
			&nomadapi.AllocationMetric{QuotaExhausted: []string{"memory"}},
			staging.Failure{Type: staging.CapacityExhausted, Message: "quota exhausted in zone eu: memory"},
		},
		{
			"no such datacenter", eu,
			&nomadapi.AllocationMetric{NodePool: "default"},
			staging.Failure{Type: staging.NoNodesInZone, Message: "no node in datacenter dc9 in zone eu"},
		},
		{
			"nor node pool",
			location{zone: "eu", datacenters: []string{"dc1", "dc2"}},
			&nomadapi.AllocationMetric{NodePool: "gpu"},
			staging.Failure{Type: staging.NoNodesInZone, Message: "no node in datacenters dc1, dc2 and node pool gpu in zone eu"},
		},
		{
			"nothing known",
			location{},
			&nomadapi.AllocationMetric{},
			staging.Failure{Type: staging.NoNodesInZone, Message: "no node in its datacenters"},
		},
		{
			"a driver",
			location{zone: "eu", drivers: []string{"docker"}},
			&nomadapi.AllocationMetric{NodesEvaluated: 1, ConstraintFiltered: map[string]int{"missing drivers": 1}},
			staging.Failure{Type: staging.NoNodesInZone, Message: "no node fits in zone eu: missing driver docker on 1 node"},
		},
		{
			"one driver of several, and the rest is full",
			location{zone: "eu", drivers: []string{"docker", "java"}},
			&nomadapi.AllocationMetric{NodesEvaluated: 2, NodesExhausted: 1, ConstraintFiltered: map[string]int{"missing drivers": 1}},
			staging.Failure{Type: staging.CapacityExhausted, Message: "no room in zone eu (1 of 2 nodes); missing driver docker or java on 1 node"},
		},
		{
			"constraints, of a job from before its drivers were noted", eu,
			&nomadapi.AllocationMetric{NodesEvaluated: 3, NodesInPool: 3, ConstraintFiltered: map[string]int{"missing drivers": 2, "${attr.kernel.name} = windows": 1}},
			staging.Failure{Type: staging.NoNodesInZone, Message: "no node fits in zone eu: ${attr.kernel.name} = windows on 1 node, missing drivers on 2 nodes"},
		},
		{
			"unfit for reasons unknown", eu,
			&nomadapi.AllocationMetric{NodesInPool: 2},
			staging.Failure{Type: staging.NoNodesInZone, Message: "no node fits in zone eu (2 nodes looked at)"},
		},
		{"no metric", eu, nil, staging.Failure{Type: staging.NoNodesInZone, Message: "no node would do in zone eu"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := refusal(tt.at, map[string]*nomadapi.AllocationMetric{"main": tt.metric})
			if diff := cmp.Diff(&tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	if got := refusal(eu, nil); got != nil {
		t.Errorf("no failure, yet %+v", got)
	}
}
