package scaler

import (
	"time"

	"github.com/greenroom/greenroom/internal/staging"
	"github.com/greenroom/greenroom/scaler/sizing"
)

// viewOf is what Decide is told of a pool.
func (v *view) viewOf(p *pool, now time.Time) View {
	theZone, zone := v.resources.Zones[p.config.Zone]
	theImage, image := v.resources.Images[p.config.Image]
	w := View{
		Config: p.config, Removed: p.removed, NoZone: !zone, NoImage: !image,
		HealthKnown: p.healthKnown, Backoff: p.backoff, AssignHook: p.assignHook,
		Members: make([]Member, 0, len(p.members)), Unsettled: len(p.unsettled),
	}
	w.Desired, w.DesiredUntil = sizing.Desired(p.config, now)
	if zone && image {
		w.Blocked = blocked(theImage, theZone)
	}
	permits := p.config.Permissions.Permits()
	revision := staging.Revision(theImage, theZone, p.config.Permissions)
	for _, e := range p.members {
		w.Members = append(w.Members, Member{
			ID: e.s.ID, State: e.s.State, CreatedAt: e.s.CreatedAt, ExpiresAt: p.config.ExpiresAt(e.s.ID, e.s.CreatedAt),
			Running: e.running, Passing: e.passing, Over: e.over(), Failure: e.failed(), Refused: e.refused,
			PlacedAt: e.placedAt, EndReason: e.reason, Draining: v.nodes[e.s.NodeID].draining,
			FirstLaunch: v.firstLaunch(e) != nil, RunningSince: e.runningSince, UnhealthySince: e.unhealthySince,
			Misplaced: e.s.Zone != p.config.Zone || e.s.Image != p.config.Image || e.s.Permits != permits,
			Stale:     zone && image && e.s.Revision != revision,
			Busy:      e.busy || now.Before(e.until),
		})
	}
	return w
}

// lonerOf is what Settle is told of a session.
func (v *view) lonerOf(e *entry) Loner {
	return Loner{
		State: e.s.State, Origin: e.s.Origin, Fate: e.fate, HasJob: e.hasJob, Missing: e.missing, Stopped: e.stopped,
		Over: e.over(), Running: e.running, Passing: e.passing, Failure: e.failed(), Reason: e.reason,
		Refused: e.refused, RunningSince: e.runningSince,
		FirstLaunch: v.firstLaunch(e) != nil, Tagged: e.tagged,
		Terms: e.s.Terms, EndsAt: e.s.EndsAt(), KeepaliveUntil: e.s.KeepaliveUntil(),
		HookPending: e.stands.HookPending, Lease: e.stands.Lease, TouchedAt: e.touchedAt, BuriedAt: e.buriedAt,
	}
}
