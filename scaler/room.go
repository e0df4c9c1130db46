package scaler

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// Launches that wait for room. The job of such a launch's session stays queued in Nomad, and
// the scaler owns what becomes of it, so that no broker has to live as long as the wait: it
// notes what is missing, and ends the session when its wait is over. The room that comes is
// the launch's before the pools': meanwhile they stage nothing in its zone.

// holdBack is how long a launch that waits keeps the pools of its zone from staging. A launch
// that waits longer may ask for more than any node will ever have.
const holdBack = 5 * time.Minute

// waitsForRoom: it is a launch's session that no node can take, and whose job stays queued.
func (e *entry) waitsForRoom() bool {
	return e.s.Origin == staging.OnDemand && e.s.WaitForRoom > 0 && e.refused != nil && e.s.AllocID == "" &&
		(e.s.State == staging.Pending || e.s.State == staging.Starting) && e.hasJob && !e.stopped && !e.over() && !e.foreign
}

// roomUntil is until when it waits for room; zero for one that does not. Its creation is
// by its broker's clock, which may be ahead.
func (e *entry) roomUntil() time.Time {
	if e.s.WaitForRoom == 0 {
		return time.Time{}
	}
	from := e.s.CreatedAt
	if from.After(e.seenAt) {
		from = e.seenAt
	}
	return from.Add(e.s.WaitForRoom.Std())
}

// noteWaiting keeps the zones' waiting sessions, and has the pools of a zone decided again
// when one begins or ceases to wait.
func (v *view) noteWaiting(e *entry, waits bool) {
	zone := e.s.Zone
	if v.waiting[zone][e.s.ID] == waits {
		return
	}
	if waits && v.waiting[zone] == nil {
		v.waiting[zone] = map[string]bool{}
	}
	if waits {
		v.waiting[zone][e.s.ID] = true
	} else if delete(v.waiting[zone], e.s.ID); len(v.waiting[zone]) == 0 {
		delete(v.waiting, zone)
	}
	for name, p := range v.pools {
		if p.config.Zone == zone {
			v.dirtyPools[name] = true
		}
	}
}

// waitingIn returns the sessions that wait for room in a zone, the oldest first.
func (v *view) waitingIn(zone string) []*entry {
	all := make([]*entry, 0, len(v.waiting[zone]))
	for id := range v.waiting[zone] {
		all = append(all, v.sessions[id])
	}
	slices.SortFunc(all, func(a, b *entry) int {
		return cmp.Or(a.s.CreatedAt.Compare(b.s.CreatedAt), cmp.Compare(a.s.ID, b.s.ID))
	})
	return all
}

// heldBack returns why the pools of a zone stage nothing now, and until when; "" where they
// do.
func (v *view) heldBack(zone string, now time.Time) (why string, until time.Time) {
	n := 0
	var first *entry
	for _, e := range v.waitingIn(zone) {
		at := e.s.CreatedAt.Add(holdBack)
		if !v.roomHelps(e) || !at.After(now) {
			continue
		}
		if first == nil {
			first = e
		}
		if n++; at.After(until) {
			until = at
		}
	}
	if n == 0 {
		return "", time.Time{}
	}
	return fmt.Sprintf("room in zone %s goes to %s first, of image %s: %s", zone, waitingLaunches(n), first.s.Image, first.refused.Message), until
}

// waitingLaunches says how many launches wait.
func waitingLaunches(n int) string {
	if n == 1 {
		return "a waiting launch"
	}
	return fmt.Sprintf("%d waiting launches", n)
}

// roomHelps reports whether the room of others is of use to a launch that waits: it is not where
// no node suits it at all, nor where it needs more than each node of its zone has, empty.
func (v *view) roomHelps(e *entry) bool {
	if e.refused.Type != staging.CapacityExhausted {
		return false
	}
	zone, known := v.resources.Zones[e.s.Zone], false
	for _, n := range v.nodes {
		if !n.in(zone) {
			continue
		}
		if known = true; n.holds(e.needs, staging.Needs{}) {
			return true
		}
	}
	return !known
}

// reportWaiting reports how many launches wait for room, in the zones in which this scaler
// acts.
func (s *Scaler) reportWaiting(v *view) {
	waiting := map[string]int{}
	for zone := range v.resources.Zones {
		if v.acts(zone) {
			waiting[zone] = len(v.waiting[zone])
		}
	}
	s.Meter.WaitingForRoom(waiting)
}

// decideWaiting says what a session that no node can take waits for, and ends it when that
// has taken long enough.
func decideWaiting(x Unpooled, now time.Time) (*Step, time.Time) {
	switch {
	case !x.RoomUntil.After(now):
		return &Step{Kind: End, Reason: staging.Session{WaitForRoom: x.WaitForRoom}.NoRoomCame(x.Refused.Message)}, time.Time{}
	case x.State == staging.Pending && x.RoomNoted != x.Refused.Message:
		return &Step{Kind: NoteRoom, Reason: staging.ReasonWaitingForRoom + x.Refused.Message}, time.Time{}
	}
	return nil, x.RoomUntil
}

// applyNoteRoom notes in Redis what a session waits for.
func (s *Scaler) applyNoteRoom(ctx context.Context, t task) result {
	return transition(staging.Pending, s.RoomStore.NoteRoom(ctx, t.session, t.step.Reason))
}
