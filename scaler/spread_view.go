package scaler

import (
	"maps"
	"slices"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

const (
	// fullFor is how long a value of whose nodes none had room is left out.
	fullFor = time.Minute
	// unfitFor is how long no value without sessions is looked for after no node fitted, unless
	// a node changes.
	unfitFor = 10 * time.Minute
	// readValuesFor is how long the nodes' values are waited for. After that, the pool is spread
	// over the nodes until they are known.
	readValuesFor = 10 * time.Second
)

// whereabouts is what a pool knows of the nodes that its sessions may run on.
type whereabouts struct {
	// values are the nodes' values of the property by which the pool is spread, as of the view's
	// nodesVersion.
	property string
	values   []string
	missing  bool
	version  uint64
	// missingSince is since when a node's value of missingOf is not known; zero for not.
	missingSince time.Time
	missingOf    string
	// proven are the values at which a session was placed. full has, by value, until when it is left out; exhausted is until when no value without
	// sessions is looked for.
	proven    map[string]bool
	full      map[string]time.Time
	exhausted time.Time
	// elsewhere are the entries of the pool's sessions that are no members and may have a node.
	elsewhere map[*entry]bool
}

// in reports whether a node takes sessions of a zone.
func (n node) in(z staging.Zone) bool {
	return n.eligible && !n.draining && z.Has(staging.NodeFacts{Datacenter: n.datacenter, Pool: n.pool})
}

// valueAt returns a node's value of the property by which a pool is spread; "" for none.
func (v *view) valueAt(p *pool, nodeID string) string {
	if p.where.property == "" || nodeID == "" {
		return ""
	}
	value, _ := v.nodes[nodeID].value(nodeID, p.where.property)
	return value
}

// value returns the value of a property that a node with this id has; "" for none. known is false
// while it was not read.
func (n node) value(id, property string) (value string, known bool) {
	if property == staging.DefaultSpread {
		return id, true
	}
	value, known = n.values[property]
	return value, known
}

// readWhereabouts brings up to date what a pool knows of the nodes.
func (v *view) readWhereabouts(p *pool, now time.Time) {
	w := &p.where
	if w.version == v.nodesVersion && !w.missing {
		return
	}
	property := p.config.SpreadProperty()
	values, missing := v.valuesIn(p.config.Zone, property, nil)
	if w.missingOf != property {
		w.missingOf, w.missingSince = property, time.Time{}
	}
	switch {
	case !missing:
		w.missingSince = time.Time{}
	case w.missingSince.IsZero():
		w.missingSince = now
	case now.Sub(w.missingSince) >= readValuesFor:
		property = staging.DefaultSpread
		values, _ = v.valuesIn(p.config.Zone, property, nil)
	}
	if w.property != property {
		w.property = property
		w.forget()
		p.members.changeAll()
	}
	w.values, w.missing, w.version = values, missing, v.nodesVersion
	maps.DeleteFunc(w.proven, func(value string, _ bool) bool { _, still := slices.BinarySearch(values, value); return !still })
}

// valuesIn returns the values that the nodes which take sessions of a zone have, without those
// that are avoided. missing: one of them is not known.
func (v *view) valuesIn(zone, property string, avoided []FailingNode) (values []string, missing bool) {
	if property == "" {
		return nil, false
	}
	z := v.resources.Zones[zone]
	for id, n := range v.nodes {
		if !n.in(z) || slices.ContainsFunc(avoided, func(f FailingNode) bool { return f.ID == id }) {
			continue
		}
		value, known := n.value(id, property)
		missing = missing || !known
		if value != "" {
			values = append(values, value)
		}
	}
	slices.Sort(values)
	return slices.Compact(values), missing
}

// spreadOf returns how a pool's sessions are spread.
func (v *view) spreadOf(p *pool, avoided []FailingNode, now time.Time) Spread {
	v.readWhereabouts(p, now)
	w := &p.where
	if w.property == "" {
		return Spread{}
	}
	s := Spread{Property: w.property, Values: w.values, Proven: w.proven, Exhausted: now.Before(w.exhausted)}
	if len(avoided) > 0 {
		s.Values, _ = v.valuesIn(p.config.Zone, w.property, avoided)
	}
	s.Unknown = w.missing && now.Sub(w.missingSince) < readValuesFor
	maps.DeleteFunc(w.full, func(_ string, until time.Time) bool { return !now.Before(until) })
	if len(w.full) > 0 {
		s.Full = make(map[string]bool, len(w.full))
		for value := range w.full {
			s.Full[value] = true
		}
	}
	if len(s.Values) > 1 {
		s.Users = map[string]int{}
		for e := range w.elsewhere {
			if value := v.valueAt(p, e.s.NodeID); value != "" && !e.stopped {
				s.Users[value]++
			}
		}
	}
	return s
}

// elsewhereOf returns the nodes of a pool's sessions that are no members, where it matters.
func (p *pool) elsewhereOf() Elsewhere {
	if !p.config.DistinctHosts {
		return Elsewhere{}
	}
	x := Elsewhere{Nodes: map[string]bool{}}
	for e := range p.where.elsewhere {
		if e.s.NodeID == "" {
			x.Unplaced++
			continue
		}
		x.Nodes[e.s.NodeID] = x.Nodes[e.s.NodeID] || !e.stopped
	}
	return x
}

// noteWhereabouts notes whether a session of a pool is one that is no member of it and may have
// a node.
func (p *pool) noteWhereabouts(e *entry) {
	if e.s.Origin != staging.Staged || e.pooled() || !e.hasJob || e.over() || e.foreign {
		delete(p.where.elsewhere, e)
		return
	}
	if p.where.elsewhere == nil {
		p.where.elsewhere = map[*entry]bool{}
	}
	p.where.elsewhere[e] = true
}

// forget forgets which values took sessions and which did not.
func (w *whereabouts) forget() { w.proven, w.full, w.exhausted = nil, nil, time.Time{} }

// notePlaced notes where a session of a pool was placed.
func (v *view) notePlaced(e *entry) {
	p := v.pools[e.s.Staging]
	if p == nil || e.s.Origin != staging.Staged {
		return
	}
	if value := v.valueAt(p, e.s.NodeID); value != "" {
		if p.where.proven == nil {
			p.where.proven = map[string]bool{}
		}
		p.where.proven[value] = true
	}
}

// noteRefused notes that no node took a session of a pool's that was narrowed.
func (v *view) noteRefused(e *entry, now time.Time) {
	p := v.pools[e.s.Staging]
	if p == nil || !e.narrowed || e.refused == nil || e.s.AllocID != "" || e.noted == e.refused.Message {
		return
	}
	e.noted = e.refused.Message
	pause := fullFor
	if e.refused.Type == staging.NoNodesInZone {
		pause = unfitFor
	}
	if e.placement.Only == "" {
		p.where.exhausted = now.Add(pause)
		return
	}
	if p.where.full == nil {
		p.where.full = map[string]time.Time{}
	}
	p.where.full[e.placement.Only] = now.Add(pause)
}

// nodesChanged notes that other nodes may take sessions than before. Pools that wait for that are
// decided again.
func (v *view) nodesChanged() {
	v.nodesVersion++
	for name, p := range v.pools {
		w := &p.where
		if w.missing || len(w.full) > 0 || !w.exhausted.IsZero() {
			w.full, w.exhausted = nil, time.Time{}
			v.dirtyPools[name] = true
		}
	}
}
