package nomadfleet

import (
	"context"
	"slices"
	"strings"
	"sync"

	nomadapi "github.com/hashicorp/nomad/api"
	"golang.org/x/sync/errgroup"

	"github.com/greenroom/greenroom/internal/staging"
)

// nodeReads bounds the nodes that are read at the same time.
const nodeReads = 8

// nodeValues holds the nodes' values of the properties by which pools are spread. A list of
// nodes has neither their attributes nor their meta, so each node is read once, and again after
// it changed. It holds no node that the last list did not have. The zero value is ready for use.
type nodeValues struct {
	mu    sync.Mutex
	nodes map[string]knownNode
}

// knownNode is a node's values as of an index.
type knownNode struct {
	index      uint64
	properties []string
	values     map[string]string
}

// valuesOf returns the values of the listed nodes, by node id. A node that cannot be read has no
// values: its sessions are spread as far as the others' values go.
func (f *Fleet) valuesOf(ctx context.Context, nodes []*nomadapi.NodeListStub) map[string]map[string]string {
	properties := f.spreadProperties()
	if !slices.ContainsFunc(properties, needsNode) {
		all := make(map[string]map[string]string, len(nodes))
		for _, n := range nodes {
			all[n.ID] = valuesIn(properties, n.Datacenter, nil, nil)
		}
		return all
	}
	f.values.mu.Lock()
	known := f.values.nodes
	f.values.mu.Unlock()
	read := make([]knownNode, len(nodes))
	var g errgroup.Group
	g.SetLimit(nodeReads)
	for i, n := range nodes {
		if k, ok := known[n.ID]; ok && k.index == n.ModifyIndex && slices.Equal(k.properties, properties) {
			read[i] = k
			continue
		}
		g.Go(func() error {
			callCtx, cancel := f.withTimeout(ctx)
			defer cancel()
			node, _, err := f.nomad.Nodes().Info(n.ID, f.queryOptions(callCtx, "", f.opts.Region))
			if err == nil {
				read[i] = knownNode{index: n.ModifyIndex, properties: properties, values: valuesIn(properties, node.Datacenter, node.Attributes, node.Meta)}
			}
			return nil
		})
	}
	_ = g.Wait() // no read returns an error
	all, now := make(map[string]map[string]string, len(nodes)), make(map[string]knownNode, len(nodes))
	for i, n := range nodes {
		if read[i].properties != nil {
			all[n.ID], now[n.ID] = read[i].values, read[i]
		}
	}
	f.values.mu.Lock()
	f.values.nodes = now
	f.values.mu.Unlock()
	return all
}

func (f *Fleet) spreadProperties() []string {
	if f.opts.SpreadProperties == nil {
		return nil
	}
	return f.opts.SpreadProperties()
}

const (
	attrPrefix = "${attr."
	metaTarget = "${meta."
	datacenter = "${node.datacenter}"
)

// needsNode reports whether a property is not in a list of nodes.
func needsNode(property string) bool {
	return strings.HasPrefix(property, attrPrefix) || strings.HasPrefix(property, metaTarget)
}

// valuesIn returns a node's values of properties; a property that it does not have is "".
func valuesIn(properties []string, inDatacenter string, attributes, meta map[string]string) map[string]string {
	values := make(map[string]string, len(properties))
	for _, p := range properties {
		name := strings.TrimSuffix(p, "}")
		switch {
		case p == datacenter:
			values[p] = inDatacenter
		case strings.HasPrefix(p, attrPrefix):
			values[p] = attributes[strings.TrimPrefix(name, attrPrefix)]
		case strings.HasPrefix(p, metaTarget):
			values[p] = meta[strings.TrimPrefix(name, metaTarget)]
		}
	}
	return values
}

// listedNode returns the state of a node in a list.
func listedNode(n *nomadapi.NodeListStub, values map[string]string) *staging.NodeFacts {
	return &staging.NodeFacts{
		ID: n.ID, Name: n.Name, Draining: n.Drain, Condition: conditionOf(n.Status, n.SchedulingEligibility, n.Drivers),
		Eligible: eligible(n.Status, n.SchedulingEligibility), Datacenter: n.Datacenter, Pool: n.NodePool, Values: values,
		Capacity: capacityOf(n.NodeResources, n.ReservedResources),
	}
}

// changedNode returns the state of a node in an event, which has all of it.
func changedNode(id string, n *nomadapi.Node, properties []string) *staging.NodeFacts {
	return &staging.NodeFacts{
		ID: id, Name: n.Name, Draining: n.DrainStrategy != nil, Condition: conditionOf(n.Status, n.SchedulingEligibility, n.Drivers),
		Eligible: eligible(n.Status, n.SchedulingEligibility), Datacenter: n.Datacenter, Pool: n.NodePool,
		Values:   valuesIn(properties, n.Datacenter, n.Attributes, n.Meta),
		Capacity: capacityOf(n.NodeResources, n.ReservedResources),
	}
}

func eligible(status, eligibility string) bool {
	return status == nomadapi.NodeStatusReady && eligibility == nomadapi.NodeSchedulingEligible
}
