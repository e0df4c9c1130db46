package scaler

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// Decide returns what one pool needs. It is pure: the same view and time yield the
// same plan. Busy members get no step. The conditions have no Since.
//
// The steps run in this order. Each of the retiring ones removes what it retires from
// the live members, so that the later ones no longer count it:
//
//  1. retireFailed: sessions that ended by themselves or cannot start
//  2. retireMisplaced: sessions with another zone, image or permissions than the config, and
//     those of an older revision where the config's update is immediate
//  3. retireUnhealthy: sessions that were not healthy for too long
//  4. retireUnplaceable, retireCrowded: sessions that are not where the config wants them
//  5. makeRoom: those that make room for a launch of a higher priority
//  6. shrink: all of a deleted or blocked pool, else the excess over desired
//  7. replaceDue: expired, stale and draining sessions, as their replacements become ready
//  8. publishAndWithdraw: whatever the health checks of the rest call for
//  9. reorder: ready sessions whose place in the queue does not suit their node
//  10. makeWay: while launches wait for room in the zone, withdraw what Nomad has queued
//  11. grow: stage what is missing, while no launch waits
func Decide(in PoolInput, b Bounds, now time.Time) Plan {
	b = b.forImage(in.Patience)
	d := decision{PoolInput: in, now: now, live: make([]*Member, len(in.Members))}
	for i := range in.Members {
		d.live[i] = &in.Members[i]
	}
	if !in.DesiredUntil.IsZero() {
		d.wake(in.DesiredUntil)
	}
	for _, n := range in.FailingNodes {
		d.wake(n.Until) // the condition is over then
	}
	if d.Unknown || d.Paused != nil {
		// What the pool should be is not known, or nothing is to be made or retired: only its queue
		// follows the health checks and the drains.
		d.publishAndWithdraw()
		d.reorder()
		d.plan.Conditions = conditions(in, nil, "")
		return d.plan
	}
	failing := d.failingLong(b)
	d.plan.Conditions = conditions(in, failing, d.stuckRollout(failing))
	d.withinRoom()
	d.retireFailed()
	d.retireMisplaced()
	d.retireUnhealthy(b)
	d.retireUnplaceable()
	d.retireCrowded()
	d.makeRoom()
	d.shrink()
	d.replaceDue()
	d.publishAndWithdraw()
	d.reorder()
	d.makeWay()
	d.grow(b)
	return d.plan
}

// decision is a Decide in progress.
type decision struct {
	PoolInput
	now  time.Time
	plan Plan
	// live are the members that stay. Once sorted, they are in the order in which
	// excess members are retired, which is also the order of the steps.
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

// sort orders the live members by the loss their end would be, the smallest first:
// those that are not claimable, pending before starting and newest first, since these
// need the longest to become ready; then the claimable ones, oldest first, since these
// expire first. Most decisions find nothing to do and need no order.
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

// remove removes the members that match from the live ones, and calls retire for those
// that are not busy. It may call match twice for a member. A member that may or may not
// exist stays.
func (d *decision) remove(matches func(*Member) bool, retire func(*Member)) {
	match := func(m *Member) bool { return !m.Unknown && matches(m) }
	if !slices.ContainsFunc(d.live, match) {
		return
	}
	d.sort()
	d.live = slices.DeleteFunc(d.live, func(m *Member) bool {
		if !match(m) {
			return false
		}
		if !m.Busy {
			retire(m)
		}
		return true
	})
}

// retireFailed retires the members that ended by themselves or cannot start.
func (d *decision) retireFailed() {
	d.remove(func(m *Member) bool { return m.Over || m.Failure != nil }, func(m *Member) {
		if m.Failure != nil {
			d.step(Retire, m.ID, "%s%s", staging.ReasonFailed, m.Failure.Message)
			return
		}
		d.step(Retire, m.ID, "its allocation ended: %s", cmp.Or(m.EndReason, "Nomad reports no reason"))
	})
}

// madeFromOlder is why a member of an older revision is replaced.
const madeFromOlder = "made from an older revision of its image, zone or permissions"

// retireMisplaced retires at once the members that the config no longer asks for,
// because no launch may get them.
func (d *decision) retireMisplaced() {
	if d.Removed {
		return
	}
	outdated := func(m *Member) bool { return m.Stale && d.Config.Update == staging.UpdateImmediate }
	d.remove(func(m *Member) bool { return m.Misplaced || outdated(m) }, func(m *Member) {
		if m.Misplaced {
			d.step(Retire, m.ID, "its staging config now names another zone, image or permissions")
			return
		}
		d.step(Retire, m.ID, "%s, and the staging config's update is %s", madeFromOlder, staging.UpdateImmediate)
	})
}

// makeRoom retires the members that make room for a launch.
func (d *decision) makeRoom() {
	d.remove(func(m *Member) bool { return m.MakesRoom != "" }, func(m *Member) { d.step(MakeRoom, m.ID, "%s", m.MakesRoom) })
}

// retireUnhealthy retires the members that were waited for long enough: those whose
// checks stopped passing, those whose checks never passed, and those whose nodes are
// disconnected. The last are no failures of the image.
func (d *decision) retireUnhealthy(b Bounds) {
	if !d.HealthKnown {
		return
	}
	late := func(m *Member) bool {
		since, limit, _ := waitLimit(m, b)
		if since.IsZero() || limit == 0 {
			return false
		}
		if at := since.Add(limit); at.After(d.now) {
			d.wake(at)
			return false
		}
		return true
	}
	d.remove(late, func(m *Member) {
		_, limit, format := waitLimit(m, b)
		if !m.Running && !m.UnhealthySince.IsZero() {
			d.step(Retire, m.ID, "lost: Nomad has not reported it running for %s; its node may be disconnected", limit)
			return
		}
		why := withCheck(fmt.Sprintf(format, limit), m.Check)
		d.step(Retire, m.ID, "%s%s", staging.ReasonUnhealthy, why)
		d.plan.Steps[len(d.plan.Steps)-1].Failure = &staging.Failure{Type: staging.Unhealthy, Message: why}
	})
}

// waitLimit returns since when a member has been waited for, for how long it may be,
// and the failure message after that, a format for the limit. since is zero for a
// member that is not waited for.
func waitLimit(m *Member, b Bounds) (since time.Time, limit time.Duration, format string) {
	switch {
	case m.healthy():
	case !m.UnhealthySince.IsZero():
		return m.UnhealthySince, b.Grace, "its checks stopped passing and have not recovered for %s"
	case m.State == staging.Ready:
	case !m.Running && m.RunningSince.IsZero() && m.Refused == nil:
		since = m.CreatedAt
		if m.PlacedAt.After(since) {
			since = m.PlacedAt // before that it waited for capacity
		}
		return since, b.PlaceTimeout, "it is placed and has not started to run for %s"
	default:
		return m.RunningSince, b.StartTimeout, "it runs and its checks have not passed for %s"
	}
	return time.Time{}, 0, ""
}

// publishAndWithdraw makes the ready queue follow the health checks.
func (d *decision) publishAndWithdraw() {
	if !d.HealthKnown {
		return
	}
	due := false
	for _, m := range d.live {
		if m.settling(d.now) {
			d.wake(m.HealthyAgain.Add(restartToldWithin))
		}
		kind, _ := healthStep(m, d.now)
		due = due || kind != ""
	}
	if !due {
		return
	}
	d.sort()
	for _, m := range d.live {
		kind, why := healthStep(m, d.now)
		if d.UnknownImage && (kind == Publish || kind == FirstLaunch) {
			continue // whether the image has a first_launch hook is not known
		}
		if kind != "" {
			d.step(kind, m.ID, "%s", why)
		}
	}
}

// healthStep returns the step that a member's checks call for, and why; "" for none.
func healthStep(m *Member, now time.Time) (k Kind, why string) {
	switch {
	case m.Busy:
	case m.settling(now):
	case m.State == staging.Pending && m.Running && !m.healthy():
		return Record, "its allocation runs"
	case m.State != staging.Ready && m.healthy() && m.FirstLaunch:
		return FirstLaunch, "it runs and its checks pass for the first time"
	case m.State != staging.Ready && m.healthy():
		return Publish, "it runs and its checks pass"
	case m.State == staging.Ready && m.Restarted:
		return Withdraw, "its main task was restarted"
	case m.State == staging.Ready && !m.Running:
		return Withdraw, "Nomad no longer reports it running"
	case m.State == staging.Ready && !m.Passing:
		return Withdraw, "its checks no longer pass"
	}
	return "", ""
}
