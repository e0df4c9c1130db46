package devcluster

// What the tests look at to see that nothing is left.
var (
	Marked      = marked
	Containers  = containers
	MountsBelow = mountsBelow
	PortFree    = portFree
)
