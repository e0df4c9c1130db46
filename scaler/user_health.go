package scaler

import (
	"context"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// A user's session whose checks fail stays its user's: it may be a desktop that is only slow.
// Redis and Consul show that it is unhealthy, and since when. Only its terms end it, if they
// have an unhealthy_expiration.

// healthy: it runs and its checks pass.
func (e *entry) healthy() bool { return e.running && e.passing }

// healthKnown: Consul's checks of the session's service are known now.
func (v *view) healthKnown(e *entry) bool {
	source := v.healthSource(e)
	return source != nil && source.healthKnown
}

// failing: the session runs, and a check of its own is critical, which is more than that it
// is not healthy. While Nomad has lost contact with its node, or Consul does not have its
// instance, nobody knows whether it is broken.
func (v *view) failing(e *entry) bool {
	return v.healthKnown(e) && e.running && !e.staleHealth && e.s.AllocID != "" && v.healthSource(e).health[e.s.AllocID].Failing
}

// unhealthyUntil returns when a user's session ends by its unhealthy_expiration, unless a
// check recovers; zero for never.
func (v *view) unhealthyUntil(e *entry) time.Time {
	if e.s.Terms.Unhealthy == 0 || e.failingSince.IsZero() || !v.failing(e) {
		return time.Time{}
	}
	return e.failingSince.Add(e.s.Terms.Unhealthy.Std())
}

// decideHealth returns the step that notes a change of a user's session's health; nil for
// none.
func decideHealth(x Unpooled) *Step {
	healthy := x.Running && x.Passing
	switch {
	case !x.HealthKnown || healthy != x.UnhealthyNoted:
		return nil
	case healthy:
		return &Step{Kind: NoteHealth, Reason: "it runs and its checks pass again"}
	case !x.Running:
		return &Step{Kind: NoteHealth, Reason: "Nomad does not report that it runs"}
	}
	return &Step{Kind: NoteHealth, Reason: "its checks do not pass"}
}

// applyNoteHealth notes in Redis whether a user's session is healthy.
func (s *Scaler) applyNoteHealth(ctx context.Context, t task) result {
	x, r, ok := s.assignedNow(ctx, t)
	if !ok {
		return r
	}
	return transition(staging.Assigned, s.AssignedStore.NoteHealth(ctx, x, t.healthy, t.step.Reason))
}
