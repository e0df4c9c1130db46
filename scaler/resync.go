package scaler

import (
	"maps"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// setStore takes every session that Redis knows. strange is true when it knows one that
// nobody else has told of: whether Nomad has it should be asked soon.
func (v *view) resyncStore(all []staging.Session, now time.Time) (strange bool) {
	v.storeKnown = true
	clear(v.consistent)
	known := make(map[string]bool, len(all))
	for _, s := range all {
		known[s.ID] = true
		strange = strange || v.sessions[s.ID] == nil
		e := v.entry(s.ID, now)
		e.s.State, e.s.Claim, e.s.User = s.State, s.Claim, s.User
		e.s.ReadyAt, e.s.Reason = s.ReadyAt, s.Reason
		v.setUserFacts(e, s)
		if s.State == staging.Ended && e.endedNoticedAt.IsZero() {
			e.endedNoticedAt = now
		}
		if !e.hasJob {
			s.AllocID = ""
			e.s = s
		}
		v.updateMembership(e)
	}
	for id, e := range v.sessions {
		// Redis has been wiped, or lost its newest writes.
		if !known[id] && e.s.State != staging.Ended && !e.busy {
			e.s.State = ""
			v.updateMembership(e)
		}
	}
	for _, p := range v.pools {
		p.reported = nil
	}
	v.markAllDirty()
	return strange
}

// setFleet takes every session that Nomad knows, and every fate record, as
// they were read after began. What was acted on since is newer than the reading.
// strange is true when Redis calls a session ready that was heard of too late to be
// missed in this reading: Nomad should be asked for it soon.
func (v *view) resyncFleet(all []staging.Observation, fates map[string]staging.Fate, began, now time.Time) (strange bool) {
	v.fleetKnown, v.fleetReadOnce = true, true
	seen := make(map[string]bool, len(all))
	nodes := map[string]bool{}
	for _, o := range all {
		if o.Node != nil {
			nodes[o.Node.ID] = true
		} else {
			seen[o.Session] = true
		}
		v.observe(o, now)
	}
	maps.DeleteFunc(v.purged, func(_ string, at time.Time) bool { return at.Before(began.Add(-purgeDelay)) })
	maps.DeleteFunc(v.nodes, func(id string, _ node) bool { return !nodes[id] })
	for id, f := range fates {
		// A fate of which nothing else is left: its job vanished while no scaler
		// looked. Nomad was asked for one region alone.
		if zone := v.resources.Zones[f.Zone]; v.sessions[id] == nil && !seen[id] && zone.Region == "" {
			v.entry(id, now).s.Zone = f.Zone
		}
	}
	for id, e := range v.sessions {
		if f, ok := fates[id]; ok {
			e.verdict, e.fate = f.Verdict, f
		}
		if !seen[id] && !e.busy && e.touchedAt.Before(began) {
			e.hasJob, e.missing = false, true
		}
		strange = strange || e.s.State == staging.Ready && !e.hasJob && !e.missing
		v.updateMembership(e)
	}
	v.markAllDirty()
	return strange
}
