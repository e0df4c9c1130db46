package staging

import "fmt"

// Zone is a place to run sessions: where Nomad may put them.
type Zone struct {
	Name string `json:"name"`
	// Region is the Nomad region; "" is the region of the server asked.
	Region string `json:"region,omitempty"`
	// Datacenters are Nomad's; at least one, wildcards as Nomad has them.
	Datacenters []string `json:"datacenters"`
	// NodePool is Nomad's; "" is its default pool.
	NodePool string `json:"node_pool,omitempty"`
	// Namespace is Nomad's; "" is its default namespace.
	Namespace string `json:"namespace,omitempty"`
}

// Validate returns an *InvalidError, or nil.
func (z Zone) Validate() error {
	var p problems
	p.name("name", z.Name)
	if len(z.Datacenters) == 0 {
		p.add("datacenters", "must name at least one Nomad datacenter")
	}
	for i, dc := range z.Datacenters {
		if dc == "" {
			p.add(fmt.Sprintf("datacenters[%d]", i), "must not be empty")
		}
	}
	return p.err(fmt.Sprintf("zone %q", z.Name))
}
