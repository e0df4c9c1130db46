package scaler

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// Where a pool's next session goes. Nomad fills one node after the other, and its own spread and
// distinct_hosts hold inside of one job, which a session is by itself. So each session's job is
// narrowed by constraints to the value of a property of nodes (node, rack, kind of machine) that
// has the fewest sessions of its pool.
//
// Which nodes suit a jobspec only Nomad knows. So a value that has never had a session is not
// named: one session at a time may run at any of these, and Nomad chooses. A job
// that is refused because it was narrowed is replaced by one that is not: spreading never keeps
// a session from running.

const (
	// lookFor is how long a session that looks for a value without sessions is waited for.
	lookFor = 5 * time.Second
	// holdPause is after what time a pool that waits for a placement is decided again at the latest.
	holdPause = time.Second
)

// Spread is how a pool's sessions are spread; zero for not at all.
type Spread struct {
	// Property is one of nodes.
	Property string
	// Values are those that the nodes which take sessions of the zone have, sorted.
	Values []string
	// Users counts the pool's sessions that have users, by value.
	Users map[string]int
	// Proven are values of whose nodes one took a session before.
	Proven map[string]bool
	// Full are the values of which no node took a session lately.
	Full map[string]bool
	// Exhausted: lately no node took a session but those of values that have had one.
	Exhausted bool
	// Unknown: the nodes' values are being read.
	Unknown bool
}

// next returns where the next session goes, if unassigned sessions are placed, or are to be, as
// counts has them by value. looking: a session that may run at any value is not placed yet.
// share is how many sessions every value has in the end. ok is false while a placement
// must be waited for.
func (s Spread) next(counts map[string]int, looking bool, share int) (p staging.Placement, ok bool) {
	if s.Unknown {
		return p, false
	}
	if s.Property == "" || len(s.Values) < 2 {
		return p, true
	}
	var with []string
	best := -1
	less := func(a, b string) bool {
		return cmp.Or(cmp.Compare(counts[a], counts[b]), cmp.Compare(s.Users[a], s.Users[b])) < 0
	}
	for _, v := range s.Values {
		if counts[v]+s.Users[v] == 0 && !s.Proven[v] {
			continue
		}
		with = append(with, v)
		if !s.Full[v] && (best < 0 || less(v, with[best])) {
			best = len(with) - 1
		}
	}
	others := len(with) < len(s.Values) && !s.Exhausted
	switch {
	case others && !looking && len(with) == 0:
		return p, true
	case others && !looking:
		return staging.Placement{Property: s.Property, Except: with}, true
	case best >= 0 && (!others || counts[with[best]] < share):
		return staging.Placement{Property: s.Property, Only: with[best]}, true
	case others:
		return p, false
	}
	return p, true
}

// placer decides where the sessions of one pass go.
type placer struct {
	d       *decision
	counts  map[string]int
	share   int
	looking bool
	// apart: the pool has distinct_hosts. taken are the nodes that then take no session.
	apart   bool
	taken   []string
	waiting bool
}

// newPlacer counts where the pool's sessions are.
func (d *decision) newPlacer() *placer {
	p := &placer{d: d, counts: map[string]int{}, apart: d.Config.DistinctHosts}
	if n := len(d.Spread.Values); n > 0 {
		p.share = d.Desired / n
	}
	for _, m := range d.live {
		if m.NodeID == "" && m.Refused == nil && d.now.Sub(m.CreatedAt) < lookFor {
			p.looking = p.looking || m.Value == ""
		}
		if m.Value != "" && !d.due(m) {
			p.counts[m.Value]++
		}
	}
	if p.apart {
		p.taken, p.waiting = d.takenNodes()
	}
	return p
}

// next returns where the next session goes; ok is false while a placement must be waited for.
func (p *placer) next() (where staging.Placement, ok bool) {
	if p.waiting {
		return where, false
	}
	if !p.apart || p.d.Spread.Property != staging.DefaultSpread {
		if where, ok = p.d.Spread.next(p.counts, p.looking, p.share); !ok {
			return where, false
		}
	}
	if where.Only == "" {
		p.looking = true
	} else {
		p.counts[where.Only]++
	}
	if p.apart {
		// Two that are placed at the same time could meet.
		where.ExceptNodes, p.waiting = p.taken, true
	}
	return where, true
}

// takenNodes returns the nodes that have a session of the pool, sorted, of whatever state. unsure:
// a session may be about to be placed.
func (d *decision) takenNodes() (taken []string, unsure bool) {
	nodes := map[string]bool{}
	for id := range d.Elsewhere.Nodes {
		nodes[id] = true
	}
	unsure = d.Elsewhere.Unplaced > 0
	for i := range d.Members {
		switch m := &d.Members[i]; {
		case m.NodeID != "" && !m.Over:
			nodes[m.NodeID] = true
		case m.NodeID == "" && m.Refused == nil:
			unsure = true
		}
	}
	return slices.Sorted(maps.Keys(nodes)), unsure
}

// Elsewhere is the pool's sessions that are no members: those with users, and those that end.
type Elsewhere struct {
	// Nodes are where they run; false where all of them are ending.
	Nodes map[string]bool
	// Unplaced counts those that have no node and may get one.
	Unplaced int
}

// retireUnplaceable retires the members that no node takes because of what greenroom asks of
// nodes: with another one it may be different.
func (d *decision) retireUnplaceable() {
	if d.Removed || d.Blocked != nil {
		return
	}
	d.remove(func(m *Member) bool { return m.Unfit }, func(m *Member) {
		d.step(Retire, m.ID, "no node takes it where the pool's spread wants it; another is made that may run elsewhere")
	})
	// The one that waits knows only the nodes that were taken when it was made.
	var taken []string
	if d.Config.DistinctHosts {
		taken, _ = d.takenNodes()
	}
	outdated := func(m *Member) bool {
		if m.Refused == nil || m.NodeID != "" || m.Excludes == 0 {
			return false
		}
		return len(m.ExceptNodes) != m.Excludes || slices.ContainsFunc(m.ExceptNodes, func(id string) bool {
			_, still := slices.BinarySearch(taken, id)
			return !still
		})
	}
	d.remove(outdated, func(m *Member) {
		d.step(Retire, m.ID, "a node that it must not run on may take a session now; another is made")
	})
}

// retireCrowded retires, with distinct_hosts, the members beyond one a node.
func (d *decision) retireCrowded() {
	if !d.Config.DistinctHosts || d.Removed {
		return
	}
	kept, crowded := map[string]bool{}, map[*Member]bool{}
	for id, stays := range d.Elsewhere.Nodes {
		kept[id] = stays
	}
	// What can be claimed is kept rather than what cannot, and the oldest of those.
	order := slices.Clone(d.live)
	slices.SortStableFunc(order, func(a, b *Member) int {
		if ca, cb := d.claimable(a), d.claimable(b); ca != cb {
			if ca {
				return -1
			}
			return 1
		}
		return a.CreatedAt.Compare(b.CreatedAt)
	})
	for _, m := range order {
		if m.NodeID == "" {
			continue
		}
		crowded[m] = kept[m.NodeID]
		kept[m.NodeID] = true
	}
	d.remove(func(m *Member) bool { return crowded[m] }, func(m *Member) {
		d.step(Retire, m.ID, "its node has another session of the pool (distinct_hosts)")
	})
}

// crowdedFirst returns n of the members to retire as excess, in the order of the loss their end
// is; of those that can be claimed, first those of the values that have the most.
func (d *decision) crowdedFirst(from []*Member, n int) map[*Member]bool {
	chosen := map[*Member]bool{}
	counts := map[string]int{}
	for _, m := range from {
		counts[m.Value]++
	}
	for len(chosen) < min(n, len(from)) {
		var best *Member
		for _, m := range from {
			if chosen[m] {
				continue
			}
			if best == nil {
				best = m
			}
			if !d.claimable(m) {
				best = m
				break
			}
			if d.Spread.Property != "" && counts[m.Value] > counts[best.Value] {
				best = m
			}
		}
		chosen[best] = true
		counts[best.Value]--
	}
	return chosen
}
