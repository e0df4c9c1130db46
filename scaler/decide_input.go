package scaler

import (
	"time"

	"github.com/greenroom/greenroom/scaler/sizing"
)

// viewOf returns Decide's input for a pool. Its members are the pool's own slice, valid
// until the pool's roster changes.
func (v *view) viewOf(p *pool, now time.Time) View {
	w := View{
		Config: p.config, Removed: p.removed, NoZone: p.target.noZone, NoImage: p.target.noImage, Blocked: p.target.blocked,
		HealthKnown: p.healthKnown, Backoff: p.backoff, AssignHook: p.assignHook,
		Unrecorded: len(p.unrecorded),
	}
	w.Desired, w.DesiredUntil = sizing.Desired(p.config, now)
	w.Members = p.members.members(now, func(e *entry) Member { return v.memberOf(p, e, now) })
	return w
}

// memberOf derives Decide's input for one member. The pool's roster caches it until the
// entry, its node, its pool or the resources change, or until a pause of the entry is
// over. All code that changes one of those must note that in the roster.
func (v *view) memberOf(p *pool, e *entry, now time.Time) Member {
	return Member{
		ID: e.s.ID, State: e.s.State, CreatedAt: e.s.CreatedAt, ExpiresAt: p.config.ExpiresAt(e.s.ID, e.s.CreatedAt),
		Running: e.running, Passing: e.passing, Over: e.over(), Failure: e.failed(), Refused: e.refused,
		PlacedAt: e.placedAt, EndReason: e.reason, Draining: v.nodes[e.s.NodeID].draining,
		FirstLaunch: v.firstLaunchHook(e) != nil, RunningSince: e.runningSince, UnhealthySince: e.unhealthySince,
		Misplaced: e.s.Zone != p.config.Zone || e.s.Image != p.config.Image || e.s.Permits != p.target.permits,
		Stale:     !p.target.noZone && !p.target.noImage && e.s.Revision != p.target.revision,
		Busy:      e.busy || now.Before(e.until),
	}
}

// unpooledOf returns DecideSession's input for a session.
func (v *view) unpooledOf(e *entry) Unpooled {
	return Unpooled{
		State: e.s.State, Origin: e.s.Origin, Fate: e.verdict, HasJob: e.hasJob, Missing: e.missing, Stopped: e.stopped,
		Over: e.over(), Running: e.running, Passing: e.passing, Failure: e.failed(), Reason: e.reason,
		Refused: e.refused, RunningSince: e.runningSince,
		FirstLaunch: v.firstLaunchHook(e) != nil, Tagged: e.tagged,
		Terms: e.s.Terms, EndsAt: e.s.EndsAt(), KeepaliveUntil: e.s.KeepaliveUntil(),
		HookPending: e.fate.HookPending, Lease: e.fate.Lease, TouchedAt: e.touchedAt, EndedNoticedAt: e.endedNoticedAt,
	}
}
