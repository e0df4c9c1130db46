package staging

import "testing"

func TestSpreadIsAProperty(t *testing.T) {
	for text, good := range map[string]bool{
		"": true, SpreadNone: true, "${node.unique.id}": true, "${node.datacenter}": true, "${attr.cpu.arch}": true, "${meta.rack-1}": true,
		"nodes": false, "${meta.}": false, "${node.unique.name}": false, "${meta.a} ${meta.b}": false, "meta.rack": false, "${var.x}": false,
	} {
		err := Config{Name: "c", Zone: "z", Image: "i", Spread: text}.Validate(DefaultLimits)
		if (err == nil) != good {
			t.Errorf("%q: %v", text, err)
		}
	}
	if (Config{}).SpreadProperty() != DefaultSpread || (Config{Spread: SpreadNone}).SpreadProperty() != "" || (Config{Spread: "${meta.rack}"}).SpreadProperty() != "${meta.rack}" {
		t.Error("the property is another")
	}
}

func TestAZoneHasANode(t *testing.T) {
	zone := Zone{Name: "east", Datacenters: []string{"dc1", "west-*"}}
	pool := func(p string) Zone { z := zone; z.NodePool = p; return z }
	for _, c := range []struct {
		zone Zone
		node NodeFacts
		want bool
	}{
		{zone, NodeFacts{Datacenter: "dc1", Pool: "default"}, true},
		{zone, NodeFacts{Datacenter: "west-2", Pool: "default"}, true},
		{zone, NodeFacts{Datacenter: "dc2", Pool: "default"}, false},
		{zone, NodeFacts{Datacenter: "dc1", Pool: "gpu"}, false},
		{pool("gpu"), NodeFacts{Datacenter: "dc1", Pool: "gpu"}, true},
		{pool("all"), NodeFacts{Datacenter: "dc1", Pool: "gpu"}, true},
	} {
		if got := c.zone.Has(c.node); got != c.want {
			t.Errorf("%+v has %+v: %t", c.zone, c.node, got)
		}
	}
}
