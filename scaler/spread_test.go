package scaler

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/greenroom/greenroom/internal/staging"
)

const rack = "${meta.rack}"

// TestSpreadNext: where the next session of a pool goes.
func TestSpreadNext(t *testing.T) {
	abc := []string{"a", "b", "c"}
	only := func(v string) staging.Placement { return staging.Placement{Property: rack, Only: v} }
	except := func(v ...string) staging.Placement { return staging.Placement{Property: rack, Except: v} }
	free := staging.Placement{}
	for _, c := range []struct {
		name    string
		spread  Spread
		counts  map[string]int
		looking bool
		want    staging.Placement
		waits   bool
	}{
		{name: "a pool that is not spread", counts: map[string]int{"a": 3}, want: free},
		{name: "one value has nothing to spread over", spread: Spread{Values: []string{"a"}}, counts: map[string]int{"a": 3}, want: free},
		{name: "the values are being read", spread: Spread{Values: abc, Unknown: true}, waits: true},
		{name: "the first session: Nomad knows which nodes suit it", spread: Spread{Values: abc}, want: free},
		{name: "the second one waits for it", spread: Spread{Values: abc}, looking: true, waits: true},
		{name: "it looks for another value", spread: Spread{Values: abc}, counts: map[string]int{"a": 1}, want: except("a")},
		{name: "while it looks, what is known is filled up to its share", spread: Spread{Values: abc}, counts: map[string]int{"a": 1}, looking: true, want: only("a")},
		{name: "and no further", spread: Spread{Values: abc}, counts: map[string]int{"a": 4}, looking: true, waits: true},
		{name: "the value with the fewest", spread: Spread{Values: abc}, counts: map[string]int{"a": 4, "b": 3, "c": 4}, want: only("b")},
		{name: "of as many, the one with the fewest users", spread: Spread{Values: abc, Users: map[string]int{"a": 2, "b": 1, "c": 2}}, counts: map[string]int{"a": 4, "b": 4, "c": 4}, want: only("b")},
		{name: "the unassigned count first: they are what a lost node takes", spread: Spread{Values: abc, Users: map[string]int{"a": 9}}, counts: map[string]int{"a": 3, "b": 4, "c": 4}, want: only("a")},
		{name: "a value with users alone is known", spread: Spread{Values: abc, Users: map[string]int{"a": 1}}, counts: map[string]int{"b": 4, "c": 4}, want: only("a")},
		{name: "a value that had sessions is known", spread: Spread{Values: abc, Proven: map[string]bool{"a": true}, Exhausted: true}, counts: map[string]int{"b": 1}, want: only("a")},
		{name: "one that is full is left out", spread: Spread{Values: abc, Full: map[string]bool{"b": true}}, counts: map[string]int{"a": 5, "b": 3, "c": 4}, want: only("c")},
		{name: "no other value takes sessions", spread: Spread{Values: abc, Exhausted: true}, counts: map[string]int{"a": 4, "b": 5}, want: only("a")},
		{name: "all are full: anywhere, and what Nomad says then counts", spread: Spread{Values: abc, Full: map[string]bool{"a": true, "b": true, "c": true}}, counts: map[string]int{"a": 4, "b": 4, "c": 4}, want: free},
		{name: "sessions at values that take none any more do not count", spread: Spread{Values: []string{"a", "b"}}, counts: map[string]int{"a": 6, "b": 6, "gone": 1}, want: only("a")},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.spread.Values != nil {
				c.spread.Property = rack
			}
			got, ok := c.spread.next(c.counts, c.looking, 4)
			if ok == c.waits {
				t.Fatalf("waits: %t, want %t", !ok, c.waits)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// at places a member on a node, which is the value by which it is spread, too.
func at(node string) func(*Member) { return func(m *Member) { m.NodeID, m.Value = node, node } }

func TestDecideWhere(t *testing.T) {
	ready, pending := staging.Ready, staging.Pending
	nodes := Spread{Property: staging.DefaultSpread, Values: []string{"n1", "n2", "n3"}}
	apart := func(in *PoolInput) { in.Config.DistinctHosts = true }
	waiting := func(excludes ...string) func(*Member) {
		return func(m *Member) { refused(m); m.Excludes, m.ExceptNodes = len(excludes), excludes }
	}
	for _, c := range []struct {
		name    string
		desired int
		members []Member
		change  func(*PoolInput)
		want    []string
	}{
		{name: "an empty pool tries one", desired: 12, want: []string{"stage"}},
		{
			name: "one pass plans for all of its sessions", desired: 12, members: []Member{member("a", ready, 1, at("n1")), member("b", ready, 1, at("n2")), member("c", ready, 1, at("n3"))},
			want: slices.Concat(slices.Repeat([]string{"stage on n1", "stage on n2", "stage on n3"}, 3)),
		},
		{
			name: "those on their way count where they are to go", desired: 6,
			members: []Member{
				member("a", ready, 1, at("n1")), member("b", ready, 1, at("n2")), member("c", ready, 1, at("n3")),
				member("d", pending, 0, func(m *Member) { m.Value = "n1" }), member("e", pending, 0, func(m *Member) { m.Value = "n3" }),
			},
			want: []string{"stage on n2"},
		},
		{
			name: "those due for replacement do not", desired: 3,
			members: []Member{member("a", ready, 1, at("n1"), draining, demoted), member("b", ready, 1, at("n2")), member("c", ready, 1, at("n3"))},
			change:  func(in *PoolInput) { in.Spread.Users = map[string]int{"n1": 1} },
			want:    []string{"stage on n1"},
		},
		{
			name: "one that no node takes where it was wanted is replaced", desired: 2,
			members: []Member{member("a", ready, 1, at("n1")), member("b", pending, 0, func(m *Member) { m.Unfit, m.Value = true, "n2" })},
			change:  func(in *PoolInput) { in.Spread.Exhausted = true },
			want:    []string{"retire b", "stage on n1"},
		},
		{
			name: "excess goes from where most are", desired: 3,
			members: []Member{
				member("a", ready, 9, at("n1")), member("b", ready, 8, at("n2")), member("c", ready, 7, at("n2")), member("d", ready, 6, at("n2")), member("e", ready, 5, at("n3")),
			},
			want: []string{"retire b", "retire c"},
		},
		{
			name: "distinct hosts: one at a time", desired: 3, change: apart, want: []string{"stage"},
		},
		{
			name: "distinct hosts: not where one is, with a user or without", desired: 3, members: []Member{member("a", ready, 1, at("n1"))},
			change: func(in *PoolInput) { apart(in); in.Elsewhere.Nodes = map[string]bool{"n2": true, "n4": false} },
			want:   []string{"stage not on n1 n2 n4"},
		},
		{
			name: "distinct hosts: not while one may still be placed", desired: 3, members: []Member{member("a", pending, 0)}, change: apart, want: []string{},
		},
		{
			name: "distinct hosts: not while one that ends may still be placed", desired: 1,
			change: func(in *PoolInput) { apart(in); in.Elsewhere.Unplaced = 1 }, want: []string{},
		},
		{
			name: "distinct hosts: the rest wait", desired: 4, members: []Member{member("a", ready, 1, at("n1")), member("b", ready, 1, at("n2")), member("w", pending, 0, waiting("n1", "n2"))},
			change: apart, want: []string{},
		},
		{
			name: "distinct hosts: a node is free", desired: 4, members: []Member{member("a", ready, 1, at("n1")), member("w", pending, 0, waiting("n1", "n2"))},
			change: apart, want: []string{"retire w", "stage not on n1"},
		},
		{
			name: "distinct hosts: what another scaler's session waits for is not known", desired: 4,
			members: []Member{member("a", ready, 1, at("n1")), member("w", pending, 0, waiting("n1"), func(m *Member) { m.ExceptNodes = nil })},
			change:  apart, want: []string{"retire w", "stage not on n1"},
		},
		{
			name: "distinct hosts were switched off", desired: 2,
			members: []Member{member("a", ready, 1, at("n1")), member("w", pending, 0, waiting("n1"))},
			change:  func(in *PoolInput) { in.Spread.Exhausted = true }, want: []string{"retire w", "stage on n1"},
		},
		{
			name: "distinct hosts: two on a node", desired: 2,
			members: []Member{member("old", ready, 2, at("n1")), member("new", ready, 1, at("n1"))}, change: apart, want: []string{"retire new", "stage not on n1"},
		},
		{
			name: "distinct hosts: beside a user's, and beside one that is ending", desired: 2,
			members: []Member{member("a", ready, 2, at("n1")), member("b", ready, 1, at("n2"))},
			change:  func(in *PoolInput) { apart(in); in.Elsewhere.Nodes = map[string]bool{"n1": true, "n2": false} },
			want:    []string{"retire a", "stage not on n1 n2"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := PoolInput{Config: staging.Config{Name: "p"}, Desired: c.desired, HealthKnown: true, Members: c.members, Spread: nodes}
			if c.change != nil {
				c.change(&in)
			}
			got := []string{}
			for _, s := range Decide(in, DefaultBounds, noon).Steps {
				text := strings.TrimSpace(string(s.Kind) + " " + s.Session)
				if s.Placement.Only != "" {
					text += " on " + s.Placement.Only
				}
				if len(s.Placement.ExceptNodes) > 0 {
					text += " not on " + strings.Join(s.Placement.ExceptNodes, " ")
				}
				got = append(got, text)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestSpreadStaysEven simulates a pool whose sessions Nomad places as badly as it may: on the
// first of the nodes that suit the jobspec and that the job allows. Sessions are claimed from
// anywhere, and the pool is refilled: a node that gets one then has no more than one more than any
// other.
func TestSpreadStaysEven(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := []string{"n1", "n2", "n3", "n4", "n5"}
		fits := all[:rapid.IntRange(1, 5).Draw(t, "fits")]
		desired := rapid.IntRange(1, 15).Draw(t, "desired")
		p := simulatedPool{fits: fits, desired: desired, spread: Spread{
			Property: staging.DefaultSpread, Values: all, Users: map[string]int{}, Proven: map[string]bool{},
		}}
		for range rapid.IntRange(1, 10).Draw(t, "rounds") {
			before := p.counts()
			p.refill(t)
			after := p.counts()
			least := desired
			for _, n := range fits {
				least = min(least, after[n])
			}
			for n, count := range after {
				if count > before[n] && count > least+1 {
					t.Fatalf("node %s: %v became %v", n, before, after)
				}
			}
			for range rapid.IntRange(1, desired).Draw(t, "claims") {
				p.claim(rapid.IntRange(0, len(p.members)-1).Draw(t, "claimed"))
			}
			if rapid.Bool().Draw(t, "users leave") {
				clear(p.spread.Users)
			}
		}
	})
}

// simulatedPool is a pool, and a Nomad with room everywhere.
type simulatedPool struct {
	fits    []string
	desired int
	spread  Spread
	members []Member
	made    int
}

func (p *simulatedPool) counts() map[string]int {
	counts := map[string]int{}
	for i := range p.members {
		counts[p.members[i].NodeID]++
	}
	return counts
}

func (p *simulatedPool) claim(n int) {
	if n >= len(p.members) {
		return
	}
	p.spread.Users[p.members[n].NodeID]++
	p.members = slices.Delete(p.members, n, n+1)
}

func (p *simulatedPool) refill(t *rapid.T) {
	for range 10 * p.desired {
		plan := Decide(PoolInput{Config: staging.Config{Name: "p"}, Desired: p.desired, HealthKnown: true, Members: p.members, Spread: p.spread}, DefaultBounds, noon)
		for _, s := range plan.Steps {
			p.carryOut(t, s)
		}
		if len(p.members) == p.desired && !slices.ContainsFunc(p.members, func(m Member) bool { return m.Unfit }) {
			return
		}
	}
	t.Fatalf("the pool is not full after many passes: %v", p.members)
}

func (p *simulatedPool) carryOut(t *rapid.T, s Step) {
	switch s.Kind {
	case Retire:
		p.members = slices.DeleteFunc(p.members, func(m Member) bool { return m.ID == s.Session })
	case Stage:
		p.made++
		m := member(fmt.Sprintf("s%03d", p.made), staging.Ready, 0)
		for _, n := range p.fits {
			if (s.Placement.Only == "" || s.Placement.Only == n) && !slices.Contains(s.Placement.Except, n) {
				m.NodeID, m.Value, p.spread.Proven[n] = n, n, true
				break
			}
		}
		if m.NodeID == "" {
			m.State, m.Unfit, p.spread.Exhausted = staging.Pending, true, true
		}
		p.members = append(p.members, m)
	default:
		t.Fatalf("step %v", s)
	}
}
