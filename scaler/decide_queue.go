package scaler

import (
	"slices"

	"github.com/greenroom/greenroom/internal/staging"
)

// reorder puts the ready members on draining nodes behind the others in the ready queue.
// A user who gets one loses it at the drain's deadline. They stay claimable: when nothing
// else is ready, such a session is better than none. A member whose health calls for a step
// is left out, because it leaves the queue.
func (d *decision) reorder() {
	misranked := func(m *Member) bool {
		if m.Busy || m.State != staging.Ready || m.Draining == m.Demoted {
			return false
		}
		k, _ := healthStep(m, d.now)
		return k == "" || !d.HealthKnown
	}
	if !slices.ContainsFunc(d.live, misranked) {
		return
	}
	d.sort()
	for _, m := range d.live {
		switch {
		case !misranked(m):
		case m.Draining:
			d.step(Demote, m.ID, "its node is being drained: launches take it last")
		default:
			d.step(Promote, m.ID, "its node is no longer being drained")
		}
	}
}
