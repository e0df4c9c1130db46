package nomadfleet

import (
	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// coreMHz is what a reserved core counts, since how fast it is depends on the node.
const coreMHz = 1000

// needsOf returns what the tasks of a group reserve on their node while the session runs. What
// a task does not set is Nomad's default.
func needsOf(g *nomadapi.TaskGroup) staging.Needs {
	var all staging.Needs
	for _, t := range g.Tasks {
		if t.Lifecycle != nil && !isSidecar(t) {
			continue // it is over, or begins when the others are
		}
		r := nomadapi.DefaultResources()
		r.Merge(t.Resources)
		cpu := deref(r.CPU)
		if cores := deref(r.Cores); cores > 0 {
			cpu = cores * coreMHz
		}
		all = all.Plus(staging.Needs{CPU: cpu, MemoryMB: deref(r.MemoryMB)})
	}
	return all
}

// capacityOf returns what jobs may reserve on a node; zero where Nomad does not say it. Cores
// count as in needsOf where that is more: what a session needs is not to look like too much.
func capacityOf(r *nomadapi.NodeResources, reserved *nomadapi.NodeReservedResources) staging.Needs {
	if r == nil {
		return staging.Needs{}
	}
	all := staging.Needs{CPU: max(int(r.Cpu.CpuShares), int(r.Cpu.TotalCpuCores)*coreMHz), MemoryMB: int(r.Memory.MemoryMB)}
	if reserved != nil {
		all = all.Minus(staging.Needs{CPU: int(reserved.Cpu.CpuShares), MemoryMB: int(reserved.Memory.MemoryMB)})
	}
	return all
}
