package scaler

import (
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// A session that runs while its checks fail is waited for long, because desktops start slowly.
// The commonest cause is a wrong port, which no wait mends: what the check says is shown as
// soon as sessions of the pool are usually ready.

const (
	// checkFailsFor is the shortest time for which a check fails before that is a condition.
	checkFailsFor = 30 * time.Second
	// usualTimes is how many times its usual time to ready a pool's session may take before.
	usualTimes = 2
)

// failingLong returns the oldest member that runs and has had a failing check for long; nil
// for none.
func (d *decision) failingLong(b Bounds) *Member {
	if !d.HealthKnown {
		return nil
	}
	var oldest *Member
	for _, m := range d.live {
		if m.Check == (staging.FailingCheck{}) || m.Unknown || m.Over || m.Failure != nil {
			continue
		}
		since, limit, _ := waitLimit(m, b)
		if since.IsZero() {
			continue
		}
		// Also a session that is not waited for long shows why before it is retired.
		at := since.Add(min(max(checkFailsFor, usualTimes*d.UsualStart), limit/2))
		switch {
		case at.After(d.now):
			d.wake(at)
		case oldest == nil || m.CreatedAt.Before(oldest.CreatedAt):
			oldest = m
		}
	}
	return oldest
}

// withCheck adds to a reason what the failing check says, if there is one.
func withCheck(why string, c staging.FailingCheck) string {
	if c == (staging.FailingCheck{}) {
		return why
	}
	return why + ": " + c.String()
}

// failingCheck returns the check for which a session is failing; zero for none.
func (v *view) failingCheck(e *entry) staging.FailingCheck {
	if !v.failing(e) {
		return staging.FailingCheck{}
	}
	return v.healthSource(e).health[e.s.AllocID].Check
}

// nodeName returns the name and the id of a session's node; "" while it has none.
func (v *view) nodeName(e *entry) string {
	switch name := v.nodes[e.s.NodeID].name; {
	case e.s.NodeID == "" || name == "":
		return e.s.NodeID
	default:
		return name + " (" + e.s.NodeID + ")"
	}
}

// noteStart counts how long a session of a pool took from its placement on a node until it was
// ready towards the pool's usual time to ready. A session that ran before this scaler knew of
// it says nothing, and one that is ready again neither.
func (v *view) noteStart(e *entry, now time.Time) {
	p := v.pools[e.s.Staging]
	if p == nil || e.startNoted || e.runningSince.IsZero() || !e.seenAt.Before(e.runningSince) {
		return
	}
	e.startNoted = true
	since := e.placedAt
	if since.IsZero() || since.After(e.runningSince) {
		since = e.runningSince
	}
	took := max(time.Millisecond, now.Sub(since))
	if p.usualStart == 0 {
		p.usualStart = took
		return
	}
	p.usualStart += (took - p.usualStart) / 4
}

// usual returns a pool's usual time to ready as it is shown and stored, in tenths of seconds; 0
// while it is not known.
func (p *pool) usual() time.Duration {
	const step = 100 * time.Millisecond
	if p.usualStart == 0 {
		return 0
	}
	return max(step, p.usualStart.Round(step))
}

// takeUsual takes over the usual times to ready that an earlier scaler stored.
func (v *view) takeUsual(stored map[string]time.Duration) {
	v.usual = stored
	for name, p := range v.pools {
		if p.usualStart == 0 {
			p.usualStart = stored[name]
		}
	}
}
