package scaler

import (
	"fmt"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// The steps of Decide that make a pool as large as its config asks: shrink, replaceDue
// and grow. A member that is due for replacement stays beside its replacement for a
// while, so it counts neither as excess nor as existing.

// passPause is the time between two passes that each stage a bounded number.
const passPause = 200 * time.Millisecond

// shrink retires all members of a deleted or blocked pool, else the excess over desired, or
// over what is to be kept where that is more.
func (d *decision) shrink() {
	all := func(*Member) bool { return true }
	retire := func(why string) func(*Member) {
		return func(m *Member) { d.step(Retire, m.ID, "%s", why) }
	}
	switch {
	case d.Removed:
		d.remove(all, retire("its staging config was deleted"))
		return
	case d.Blocked != nil:
		d.remove(all, retire(d.Blocked.Message))
		return
	}
	excess := len(d.live) - len(d.dueMembers()) - max(d.Desired, d.Keep)
	if excess <= 0 {
		return
	}
	d.sort()
	var from []*Member
	for _, m := range d.live {
		if !d.due(m) {
			from = append(from, m)
		}
	}
	chosen := d.crowdedFirst(from, excess)
	d.remove(func(m *Member) bool { return chosen[m] }, retire(fmt.Sprintf("excess: %d desired", max(d.Desired, d.Keep))))
}

// replaceDue retires the members that are due for replacement, each once a replacement
// is ready, so that the number of ready sessions does not drop. Where the zone has no
// room for replacements beside them, or a limit of sessions leaves none, as many go first as
// the config allows to be unavailable.
func (d *decision) replaceDue() {
	replacements, refused := 0, false
	for _, m := range d.live {
		if d.due(m) {
			continue
		}
		if !m.ExpiresAt.IsZero() {
			d.wake(m.ExpiresAt)
		}
		if d.claimable(m) {
			replacements++
		}
		refused = refused || m.Refused != nil
	}
	if len(d.dueMembers()) == 0 {
		return
	}
	d.sort()
	due := d.dueMembers()
	keep := max(0, d.Desired-replacements)
	switch {
	case d.atLimit():
		// The limit may leave fewer than are desired, which is then as many as there can be.
		can := min(d.Desired, len(d.live))
		keep = max(0, can-d.Config.Unavailable(can)-replacements)
	case refused:
		keep = max(0, d.Desired-d.Config.Unavailable(d.Desired)-replacements)
	}
	// Those that are not claimable go at once; of the others the oldest go first.
	claimable := 0
	for _, m := range due {
		if d.claimable(m) {
			claimable++
		}
	}
	chosen := map[*Member]bool{}
	for _, m := range due {
		if d.claimable(m) {
			if claimable <= keep {
				continue
			}
			claimable--
		}
		chosen[m] = true
	}
	d.remove(func(m *Member) bool { return chosen[m] }, func(m *Member) { d.step(Retire, m.ID, "%s", d.whyDue(m)) })
}

// makeWay retires the members that no node can take, while launches wait for room: Nomad
// might give them the room that comes, bit by bit if they are smaller. Nothing of them runs.
func (d *decision) makeWay() {
	if d.HeldBack == "" {
		return
	}
	d.remove(func(m *Member) bool { return m.Refused != nil && m.PlacedAt.IsZero() }, func(m *Member) {
		d.step(Retire, m.ID, "it is not placed, and makes way: %s", d.HeldBack)
	})
}

// grow stages what is missing. Members that are due for replacement do not count, but
// the pool never exceeds its desired size by more than may be unavailable.
func (d *decision) grow(b Bounds) {
	if d.Removed || d.NoZone || d.NoImage || d.Blocked != nil {
		return
	}
	if d.HeldBack != "" {
		d.wake(d.HeldUntil)
		return
	}
	upToDate, notReady := 0, 0
	for _, m := range d.live {
		if !d.due(m) {
			upToDate++
		}
		if m.State != staging.Ready {
			notReady++
		}
		if m.Refused != nil {
			// The zone is full. This member is the probe: Nomad places it as soon as
			// there is room.
			return
		}
	}
	surge := d.Config.Unavailable(d.Desired)
	missing := min(d.Desired-upToDate, d.Desired+surge-len(d.live)) - d.Unrecorded
	missing = min(missing, d.room()-len(d.live)-d.Unrecorded)
	if missing <= 0 {
		return
	}
	if d.Limit != nil {
		d.limit(d.Limit)
		if d.LimitUntil.After(d.now) {
			d.wake(d.LimitUntil)
			return
		}
		missing = 1 // the probe
	}
	if until := d.Backoff.until(); until.After(d.now) {
		d.wake(until)
		return
	}
	if d.Backoff.paused() {
		// After a pause, one session is tried before the rest.
		missing = min(missing, max(0, 1-notReady))
	}
	missing = min(missing, b.StagePerPass, b.NotReady-notReady)
	where := d.newPlacer()
	for range missing {
		placement, ok := where.next()
		if !ok {
			d.wake(d.now.Add(holdPause))
			return
		}
		d.step(Stage, "", "%d of %d exist", upToDate, d.Desired)
		d.plan.Steps[len(d.plan.Steps)-1].Placement = placement
		upToDate++
	}
	if upToDate < d.Desired && !d.Backoff.paused() {
		// The next pass stages the rest, after a pause or when one of these is ready.
		d.wake(d.now.Add(passPause))
	}
}

// claimable: a launch can claim it. A ready member whose checks fail is about to be
// withdrawn, so it is not.
func (d *decision) claimable(m *Member) bool {
	return m.State == staging.Ready && (!d.HealthKnown || m.healthy())
}

// due: it is to be retired after its replacement is ready.
func (d *decision) due(m *Member) bool {
	return !m.Unknown && (d.rolls(m) || m.Draining || d.Recycle.Covers(m.CreatedAt) || (!m.ExpiresAt.IsZero() && !m.ExpiresAt.After(d.now)))
}

// rolls: it is of an older revision, and is replaced for that.
func (d *decision) rolls(m *Member) bool {
	return m.Stale && d.Config.Update != staging.UpdateOnReplenish
}

// dueMembers returns the live members that are due.
func (d *decision) dueMembers() []*Member {
	var due []*Member
	for _, m := range d.live {
		if d.due(m) {
			due = append(due, m)
		}
	}
	return due
}

func (d *decision) whyDue(m *Member) string {
	switch {
	case d.rolls(m):
		return madeFromOlder
	case m.Draining:
		return "its node is being drained"
	case d.Recycle.Covers(m.CreatedAt):
		return d.Recycle.String()
	}
	return fmt.Sprintf("expired after %s", d.Config.Expiration)
}
