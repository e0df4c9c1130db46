package nomadfleet

import (
	"testing"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// TestWhatANodeHasLessItsReserve is what sessions may reserve there.
func TestWhatANodeHasLessItsReserve(t *testing.T) {
	resources := func(mhz int64, cores uint16) *nomadapi.NodeResources {
		return &nomadapi.NodeResources{Cpu: nomadapi.NodeCpuResources{CpuShares: mhz, TotalCpuCores: cores}, Memory: nomadapi.NodeMemoryResources{MemoryMB: 4096}}
	}
	reserved := &nomadapi.NodeReservedResources{
		Cpu: nomadapi.NodeReservedCpuResources{CpuShares: 500}, Memory: nomadapi.NodeReservedMemoryResources{MemoryMB: 96},
	}
	for name, c := range map[string]struct {
		has      *nomadapi.NodeResources
		reserved *nomadapi.NodeReservedResources
		want     staging.Needs
	}{
		"not said":   {nil, reserved, staging.Needs{}},
		"no reserve": {resources(8000, 2), nil, staging.Needs{CPU: 8000, MemoryMB: 4096}},
		"a reserve":  {resources(8000, 2), reserved, staging.Needs{CPU: 7500, MemoryMB: 4000}},
		"slow cores": {resources(1600, 2), nil, staging.Needs{CPU: 2000, MemoryMB: 4096}},
	} {
		if got := capacityOf(c.has, c.reserved); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}
