package devcluster

// The tests use these to check that nothing is left of a cluster.
var (
	Marked      = marked
	Containers  = containers
	MountsBelow = mountsBelow
	PortFree    = portFree
)
