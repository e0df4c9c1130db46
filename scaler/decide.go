package scaler

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// Decide says what one pool needs. It is pure: the same view and time give the
// same plan. A member that is Busy gets no step. Conditions have no Since.
func Decide(v View, b Bounds, now time.Time) Plan {
	d := decision{View: v, now: now, live: make([]*Member, len(v.Members))}
	for i := range v.Members {
		d.live[i] = &v.Members[i]
	}
	if !v.DesiredUntil.IsZero() {
		d.wake(v.DesiredUntil)
	}
	d.retireFailed()
	d.retireMisplaced()
	d.retireUnhealthy(b)
	d.shrink()
	d.replaceDue()
	d.publishAndWithdraw()
	d.grow(b)
	d.plan.Conditions = conditions(v)
	return d.plan
}

// decision is a Decide under way.
type decision struct {
	View
	now  time.Time
	plan Plan
	// live are the members that stay; once sorted, in the order in which the excess
	// goes, which is that of the steps, too.
	live   []*Member
	sorted bool
}

func (d *decision) step(k Kind, id, format string, args ...any) {
	d.plan.Steps = append(d.plan.Steps, Step{Kind: k, Session: id, Reason: fmt.Sprintf(format, args...)})
}

func (d *decision) wake(at time.Time) {
	if d.plan.Wake.IsZero() || at.Before(d.plan.Wake) {
		d.plan.Wake = at
	}
}

// sort puts first who is the smallest loss: what can serve nobody, the newest
// first, since it has the furthest to go; then those that serve, the oldest
// first, since they would expire first. Most decisions find nothing to do, and need no
// order.
func (d *decision) sort() {
	if d.sorted {
		return
	}
	d.sorted = true
	rank := func(m *Member) int {
		switch {
		case d.claimable(m):
			return 2
		case m.State == staging.Pending:
			return 0
		}
		return 1
	}
	slices.SortFunc(d.live, func(a, b *Member) int {
		if c := cmp.Compare(rank(a), rank(b)); c != 0 {
			return c
		}
		byAge := cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
		if !d.claimable(a) {
			byAge = -byAge
		}
		return byAge
	})
}

// drop takes the members for which the predicate holds out of the live ones, and has
// end give the steps of those that are not busy. The predicate may be asked twice.
func (d *decision) drop(gone func(*Member) bool, end func(*Member)) {
	if !slices.ContainsFunc(d.live, gone) {
		return
	}
	d.sort()
	d.live = slices.DeleteFunc(d.live, func(m *Member) bool {
		if !gone(m) {
			return false
		}
		if !m.Busy {
			end(m)
		}
		return true
	})
}

// failed retires what has ended by itself or cannot start.
func (d *decision) retireFailed() {
	d.drop(func(m *Member) bool { return m.Over || m.Failure != nil }, func(m *Member) {
		if m.Failure != nil {
			d.step(Retire, m.ID, "failed: %s", m.Failure.Message)
			return
		}
		d.step(Retire, m.ID, "its allocation ended: %s", cmp.Or(m.EndReason, "Nomad gives no reason"))
	})
}

// misplaced retires at once what its config no longer asks for: it may serve nobody.
func (d *decision) retireMisplaced() {
	if d.Removed {
		return
	}
	d.drop(func(m *Member) bool { return m.Misplaced }, func(m *Member) {
		d.step(Retire, m.ID, "its staging config now names another zone, image or permissions")
	})
}

// ailing retires what has been waited for long enough: sessions whose checks no
// longer pass, those whose checks never did, and those whose nodes are cut off,
// which is not the image's failure.
func (d *decision) retireUnhealthy(b Bounds) {
	if !d.HealthKnown {
		return
	}
	late := func(m *Member) bool {
		since, patience, _ := waitLimit(m, b)
		if since.IsZero() || patience == 0 {
			return false
		}
		if at := since.Add(patience); at.After(d.now) {
			d.wake(at)
			return false
		}
		return true
	}
	d.drop(late, func(m *Member) {
		_, patience, format := waitLimit(m, b)
		if !m.Running && !m.UnhealthySince.IsZero() {
			d.step(Retire, m.ID, "lost: Nomad has not called it running for %s; its node may be cut off", patience)
			return
		}
		why := fmt.Sprintf(format, patience)
		d.step(Retire, m.ID, "unhealthy: %s", why)
		d.plan.Steps[len(d.plan.Steps)-1].Failure = &staging.Failure{Type: staging.Unhealthy, Message: why}
	})
}

// awaited is since when a member has been waited for, how long it may be, and what is
// said when that was in vain, to be formatted with the patience. since is zero for one
// that is not waited for.
func waitLimit(m *Member, b Bounds) (since time.Time, patience time.Duration, format string) {
	switch {
	case m.healthy():
	case !m.UnhealthySince.IsZero():
		return m.UnhealthySince, b.Grace, "its checks have not passed again for %s"
	case m.State == staging.Ready:
	case !m.Running && m.RunningSince.IsZero() && m.Refused == nil:
		since = m.CreatedAt
		if m.PlacedAt.After(since) {
			since = m.PlacedAt // it waited for room
		}
		return since, b.PlaceTimeout, "it was placed, and has not begun to run for %s"
	default:
		return m.RunningSince, b.StartTimeout, "it runs, and its checks have not passed for %s"
	}
	return time.Time{}, 0, ""
}

// publishAndWithdraw follows the checks.
func (d *decision) publishAndWithdraw() {
	if !d.HealthKnown {
		return
	}
	if !slices.ContainsFunc(d.live, func(m *Member) bool { k, _ := healthStep(m); return k != "" }) {
		return
	}
	d.sort()
	for _, m := range d.live {
		if kind, why := healthStep(m); kind != "" {
			d.step(kind, m.ID, "%s", why)
		}
	}
}

// follow is the step that a member's checks call for, and why; "" for none.
func healthStep(m *Member) (k Kind, why string) {
	switch {
	case m.Busy:
	case m.State == staging.Pending && m.Running && !m.healthy():
		return Record, "its allocation runs"
	case m.State != staging.Ready && m.healthy() && m.FirstLaunch:
		return FirstLaunch, "running and its checks pass for the first time"
	case m.State != staging.Ready && m.healthy():
		return Publish, "running and its checks pass"
	case m.State == staging.Ready && !m.Running:
		return Withdraw, "Nomad no longer calls it running"
	case m.State == staging.Ready && !m.Passing:
		return Withdraw, "its checks no longer pass"
	}
	return "", ""
}

// shrink retires the excess over desired.
func (d *decision) shrink() {
	all := func(*Member) bool { return true }
	retire := func(why string) func(*Member) {
		return func(m *Member) { d.step(Retire, m.ID, "%s", why) }
	}
	switch {
	case d.Removed:
		d.drop(all, retire("its staging config was deleted"))
		return
	case d.Blocked != nil:
		d.drop(all, retire(d.Blocked.Message))
		return
	}
	// Sessions due for replacement stand beside their replacements for a while;
	// replaceDue sees to those.
	excess := len(d.live) - len(d.dueMembers()) - d.Desired
	if excess <= 0 {
		return
	}
	d.sort()
	gone := map[*Member]bool{}
	for _, m := range d.live {
		if len(gone) < excess && !d.due(m) {
			gone[m] = true
		}
	}
	d.drop(func(m *Member) bool { return gone[m] }, retire(fmt.Sprintf("excess: %d wanted", d.Desired)))
}

// serves: a launch can be given it. One whose checks fail is about to be withdrawn.
func (d *decision) claimable(m *Member) bool {
	return m.State == staging.Ready && (!d.HealthKnown || m.healthy())
}

// due: it is to be replaced, its replacement first.
func (d *decision) due(m *Member) bool {
	return m.Stale || m.Draining || (!m.ExpiresAt.IsZero() && !m.ExpiresAt.After(d.now))
}

// expired are the live members that are due.
func (d *decision) dueMembers() []*Member {
	var due []*Member
	for _, m := range d.live {
		if d.due(m) {
			due = append(due, m)
		}
	}
	return due
}

// replaceDue retires sessions that are due for replacement, each once a
// replacement is ready, so that ready does not dip. Where the zone has no room
// for replacements beside them, as many old ones go first as the config lets be
// unavailable.
func (d *decision) replaceDue() {
	fresh, refused := 0, false
	for _, m := range d.live {
		if d.due(m) {
			continue
		}
		if !m.ExpiresAt.IsZero() {
			d.wake(m.ExpiresAt)
		}
		if d.claimable(m) {
			fresh++
		}
		refused = refused || m.Refused != nil
	}
	if len(d.dueMembers()) == 0 {
		return
	}
	d.sort()
	due := d.dueMembers()
	keep := max(0, d.Desired-fresh)
	if refused {
		keep = max(0, d.Desired-d.Config.Unavailable(d.Desired)-fresh)
	}
	// Those that serve nobody go at once, then the oldest of the others.
	serving := 0
	for _, m := range due {
		if d.claimable(m) {
			serving++
		}
	}
	gone := map[*Member]bool{}
	for _, m := range due {
		if d.claimable(m) {
			if serving <= keep {
				continue
			}
			serving--
		}
		gone[m] = true
	}
	d.drop(func(m *Member) bool { return gone[m] }, func(m *Member) { d.step(Retire, m.ID, "%s", d.whyDue(m)) })
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

// grow stages what is missing. Sessions due for replacement do not count, but a
// pool is never further over its desired number than as many as may be
// unavailable.
func (d *decision) grow(b Bounds) {
	if d.Removed || d.NoZone || d.NoImage || d.Blocked != nil {
		return
	}
	fresh, notReady := 0, 0
	for _, m := range d.live {
		if !d.due(m) {
			fresh++
		}
		if m.State != staging.Ready {
			notReady++
		}
		if m.Refused != nil {
			// The zone is full: this one is its probe, and Nomad places it as
			// soon as there is room.
			return
		}
	}
	surge := d.Config.Unavailable(d.Desired)
	want := min(d.Desired-fresh, d.Desired+surge-len(d.live)) - d.Unrecorded
	if want <= 0 {
		return
	}
	if until := d.Backoff.until(); until.After(d.now) {
		d.wake(until)
		return
	}
	if d.Backoff.paused() {
		// One try after a pause, not a whole pool of them.
		want = min(want, max(0, 1-notReady))
	}
	want = min(want, b.StagePerPass, b.NotReady-notReady)
	for range want {
		d.step(Stage, "", "%d of %d there", fresh, d.Desired)
		fresh++
	}
	if fresh < d.Desired && !d.Backoff.paused() {
		// The rest comes with the next pass: soon, or when one of these is ready.
		d.wake(d.now.Add(passPause))
	}
}

// passPause is the time between two passes that each stage a bounded number.
const passPause = 200 * time.Millisecond
