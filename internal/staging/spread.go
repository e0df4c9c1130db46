package staging

import (
	"cmp"
	"path"
	"regexp"
	"slices"
)

const (
	// DefaultSpread spreads a pool over the nodes.
	DefaultSpread = "${node.unique.id}"
	// SpreadNone leaves it to Nomad, which fills one node after the other.
	SpreadNone = "none"
)

// spreadProperty are the properties by which a pool can be spread, in Nomad's spelling.
var spreadProperty = regexp.MustCompile(`^\$\{(node\.unique\.id|node\.datacenter|(attr|meta)\.[A-Za-z0-9_][A-Za-z0-9_.-]*)\}$`)

// maxSpread bounds a property's name.
const maxSpread = 128

// SpreadProperty returns the property of nodes by which the pool is spread; "" for none.
func (c Config) SpreadProperty() string {
	switch c.Spread {
	case "":
		return DefaultSpread
	case SpreadNone:
		return ""
	}
	return c.Spread
}

func (p *problems) spread(field, s string) {
	if s == "" || s == SpreadNone || len(s) <= maxSpread && spreadProperty.MatchString(s) {
		return
	}
	p.add(field, "must be a property of nodes, which is ${node.unique.id}, ${node.datacenter}, ${attr.NAME} or ${meta.NAME}, or %q to leave it to Nomad, or absent for ${node.unique.id}; is %q", SpreadNone, s)
}

// SpreadProperties returns the properties by which pools are spread, sorted, without the nodes
// themselves.
func (r Resources) SpreadProperties() []string {
	var all []string
	for _, c := range r.Configs {
		if p := c.SpreadProperty(); p != "" && p != DefaultSpread {
			all = append(all, p)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Nomad's node pools of a job that names none, and of one that may run in all.
const (
	defaultNodePool = "default"
	allNodePools    = "all"
)

// Has reports whether a node is one of the zone's.
func (z Zone) Has(n NodeFacts) bool {
	if pool := cmp.Or(z.NodePool, defaultNodePool); pool != allNodePools && pool != n.Pool {
		return false
	}
	return slices.ContainsFunc(z.Datacenters, func(pattern string) bool {
		ok, err := path.Match(pattern, n.Datacenter)
		return ok && err == nil
	})
}
