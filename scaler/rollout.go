package scaler

import (
	"fmt"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

const (
	// refusedFor is how long a new revision's session waits for a node until its rollout is
	// stuck: where a zone is full, each one waits until an older one has made room.
	refusedFor = 30 * time.Second
	// failedTries is how many tries of a new revision must fail in a row: one may be bad luck.
	failedTries = 2
)

// rolloutOf returns how far the pool's sessions are of its current revision; the zero value
// while that is not known.
func rolloutOf(in PoolInput) staging.Rollout {
	r := staging.Rollout{Revision: in.Revision}
	if in.Revision == "" {
		return r
	}
	for i := range in.Members {
		m := &in.Members[i]
		if !m.Stale {
			continue
		}
		r.Outdated++
		if m.State == staging.Ready {
			r.OutdatedReady++
		}
	}
	return r
}

// stuckRollout returns the type of the condition that keeps sessions of the current revision
// from becoming ready, while launches get those of an older one; "" if nothing does. failing is
// the member whose checks have failed for long.
func (d *decision) stuckRollout(failing *Member) staging.ConditionType {
	if d.Removed || d.Blocked != nil || rolloutOf(d.PoolInput).OutdatedReady == 0 {
		return ""
	}
	if failing != nil && !failing.Stale {
		return staging.HealthCheckFailing
	}
	for _, m := range d.live {
		if m.Refused == nil || m.State != staging.Pending || m.Stale {
			continue
		}
		at := m.CreatedAt.Add(refusedFor)
		if !at.After(d.now) {
			return m.Refused.Type
		}
		d.wake(at)
	}
	if d.Backoff.Last != nil && d.Backoff.paused() && d.Backoff.Failures >= failedTries {
		return d.Backoff.Last.Type
	}
	return ""
}

// rolloutStuck is the message of condition RolloutStuck.
func rolloutStuck(in PoolInput, why staging.ConditionType) string {
	ready := 0
	for i := range in.Members {
		if in.Members[i].State == staging.Ready {
			ready++
		}
	}
	old := rolloutOf(in).OutdatedReady
	return fmt.Sprintf("sessions of revision %s do not become ready (%s): ready of it %d, and of an older one, which launches still get, %d",
		in.Revision, why, ready-old, old)
}
