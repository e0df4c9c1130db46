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

// shrink retires all members of a deleted or blocked pool, else the excess over desired.
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
	excess := len(d.live) - len(d.dueMembers()) - d.Desired
	if excess <= 0 {
		return
	}
	d.sort()
	chosen := map[*Member]bool{}
	for _, m := range d.live {
		if len(chosen) < excess && !d.due(m) {
			chosen[m] = true
		}
	}
	d.remove(func(m *Member) bool { return chosen[m] }, retire(fmt.Sprintf("excess: %d desired", d.Desired)))
}

// replaceDue retires the members that are due for replacement, each once a replacement
// is ready, so that the number of ready sessions does not drop. Where the zone has no
// room for replacements beside them, as many go first as the config allows to be
// unavailable.
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
	if refused {
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

// grow stages what is missing. Members that are due for replacement do not count, but
// the pool never exceeds its desired size by more than may be unavailable.
func (d *decision) grow(b Bounds) {
	if d.Removed || d.NoZone || d.NoImage || d.Blocked != nil {
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
	if missing <= 0 {
		return
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
	for range missing {
		d.step(Stage, "", "%d of %d exist", upToDate, d.Desired)
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
	return !m.Unknown && (m.Stale || m.Draining || (!m.ExpiresAt.IsZero() && !m.ExpiresAt.After(d.now)))
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
	case m.Stale:
		return "made from an older revision of its image, zone or permissions"
	case m.Draining:
		return "its node is being drained"
	}
	return fmt.Sprintf("expired after %s", d.Config.Expiration)
}
