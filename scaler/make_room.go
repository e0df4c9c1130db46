package scaler

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// Where a launch waits for room, unassigned sessions of its zone's pools of lower priority
// make some: one after the other, on the node on which the fewest have to, until Nomad places
// the launch. Each is retired like any other session, so a claim and this cannot both win.

// How much room is made.
const (
	// maxRoomMade bounds the sessions that are ended for one launch.
	maxRoomMade = 8
	// maxRoomMadeIn bounds those that are ended in one zone within roomPeriod: otherwise a
	// stream of launches would empty every pool.
	maxRoomMadeIn = 20
	roomPeriod    = time.Minute
	// roomSettle is how long Nomad may take to place the launch in the room that was made,
	// before more is made.
	roomSettle = 3 * time.Second
)

// idler is an unassigned session that may make room for a launch.
type idler struct {
	id, pool, node string
	rank           int
	ready          bool
	needs          staging.Needs
	created        time.Time
}

// chooseIdler returns the session that makes room next for a launch with these needs: the
// first on the node on which the fewest have to. made is the room that was made for the
// launch already, by node: where it was enough, the launch was not placed, so the node does
// not suit it. Of equal nodes that with the lowest priority counts first, and there what
// is not ready. It is pure.
func chooseIdler(needs staging.Needs, idlers []idler, made map[string]staging.Needs) (best idler, ok bool) {
	byNode := map[string][]idler{}
	for _, i := range idlers {
		byNode[i.node] = append(byNode[i.node], i)
	}
	type choice struct {
		first idler
		count int
		share float64
	}
	var choices []choice
	for node, here := range byNode {
		room := made[node]
		if needs != (staging.Needs{}) && room.Covers(needs) {
			continue
		}
		slices.SortFunc(here, func(a, b idler) int {
			return cmp.Or(cmp.Compare(b.needs.Share(needs), a.needs.Share(needs)), byLoss(a, b))
		})
		c := choice{first: here[0], count: len(here) + 1}
		for n, i := range here {
			if room = room.Plus(i.needs); room.Covers(needs) {
				c.count = n + 1
				break
			}
		}
		c.share = room.Share(needs)
		choices = append(choices, c)
	}
	if len(choices) == 0 {
		return idler{}, false
	}
	return slices.MinFunc(choices, func(a, b choice) int {
		enough := func(c choice) int { // what may suffice with the node's free room comes last
			if c.share < 1 {
				return 1
			}
			return 0
		}
		if d := enough(a) - enough(b); d != 0 {
			return d
		}
		if enough(a) == 1 {
			return cmp.Or(cmp.Compare(b.share, a.share), byLoss(a.first, b.first))
		}
		return cmp.Or(cmp.Compare(a.count, b.count), byLoss(a.first, b.first))
	}).first, true
}

// byLoss orders sessions by the loss that their end would be, the smallest first.
func byLoss(a, b idler) int {
	ready := func(i idler) int {
		if i.ready {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(ready(a), ready(b)), b.created.Compare(a.created), cmp.Compare(a.id, b.id))
}

// makeRoom has sessions make room for the launches that wait, in the zones in which this scaler
// acts.
func (v *view) makeRoom(now time.Time) {
	for zone := range v.waiting {
		if !v.acts(zone) {
			continue
		}
		for _, e := range v.waitingIn(zone) {
			if v.roomHelps(e) && now.Before(e.s.CreatedAt.Add(holdBack)) && v.roomSettled(e, now) {
				v.makeRoomFor(e, now)
			}
		}
	}
}

// roomSettled reports whether what was made for a launch is there, and Nomad has had the
// time to place the launch in it.
func (v *view) roomSettled(e *entry, now time.Time) bool {
	kept := e.roomMade[:0]
	for _, m := range e.roomMade {
		x := v.sessions[m.id]
		switch {
		case x == nil || x.over() || x.s.State == staging.Ended:
			if m.goneAt.IsZero() {
				m.goneAt = now
			}
		case x.s.State.Unassigned() && x.makesRoom == "", !x.s.State.Unassigned() && x.s.State != staging.Retiring:
			continue // it was not retired, because a launch was faster: it makes none
		}
		kept = append(kept, m)
	}
	e.roomMade = kept
	return !slices.ContainsFunc(e.roomMade, func(m roomMade) bool { return m.goneAt.IsZero() || now.Before(m.goneAt.Add(roomSettle)) })
}

// roomMade is a session that makes room for a launch. goneAt is when nothing of it ran any
// more; zero before that.
type roomMade struct {
	id, node string
	needs    staging.Needs
	goneAt   time.Time
}

// makeRoomFor has one more session make room for a launch, if one may.
func (v *view) makeRoomFor(e *entry, now time.Time) {
	zone := e.s.Zone
	recent := slices.DeleteFunc(v.roomMadeAt[zone], func(at time.Time) bool { return at.Before(now.Add(-roomPeriod)) })
	v.roomMadeAt[zone] = recent
	if len(e.roomMade) >= maxRoomMade || len(recent) >= maxRoomMadeIn {
		return
	}
	made := map[string]staging.Needs{}
	for _, m := range e.roomMade {
		made[m.node] = made[m.node].Plus(m.needs)
	}
	idlers := v.enough(e.needs, v.idlersBelow(zone, v.resources.LaunchRank(zone, e.s.Image), now))
	chosen, ok := chooseIdler(e.needs, idlers, made)
	if !ok {
		return
	}
	x := v.sessions[chosen.id]
	x.makesRoom = fmt.Sprintf("made room for a launch of image %s: %s", e.s.Image, e.refused.Message)
	e.roomMade = append(e.roomMade, roomMade{id: chosen.id, node: chosen.node, needs: chosen.needs})
	v.roomMadeAt[zone] = append(recent, now)
	v.markDirty(x)
}

// idlersBelow returns the unassigned sessions on nodes of a zone, of pools of a priority below
// rank, that no step acts on.
func (v *view) idlersBelow(zone string, rank int, now time.Time) []idler {
	var all []idler
	for _, p := range v.pools {
		if p.config.Zone != zone || p.config.Rank() >= rank || p.unknown || p.target.unknown {
			continue
		}
		for _, e := range p.members.entries {
			if e.s.NodeID == "" || e.over() || e.busy || e.unlisted || now.Before(e.until) || e.makesRoom != "" || !v.nodes[e.s.NodeID].takes() {
				continue
			}
			all = append(all, idler{
				id: e.s.ID, pool: p.config.Name, node: e.s.NodeID, rank: p.config.Rank(), ready: e.s.State == staging.Ready, needs: e.needs, created: e.s.CreatedAt,
			})
		}
	}
	return all
}

// enough drops the sessions on nodes on which there would be too little room even if all of them
// made some: what else runs there, such as users' sessions, keeps what it has. What other jobs
// than greenroom's use is not known, and may make it too little all the same.
func (v *view) enough(needs staging.Needs, idlers []idler) []idler {
	used := map[string]staging.Needs{}
	for _, e := range v.sessions {
		if e.s.NodeID != "" && !e.over() && !e.stopped {
			used[e.s.NodeID] = used[e.s.NodeID].Plus(e.needs)
		}
	}
	for _, i := range idlers {
		used[i.node] = used[i.node].Minus(i.needs)
	}
	return slices.DeleteFunc(idlers, func(i idler) bool { return !v.nodes[i.node].holds(needs, used[i.node]) })
}
