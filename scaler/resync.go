package scaler

import (
	"maps"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// leftToOthers reports whether Redis has nothing of a session but perhaps its end, in a zone
// in which this scaler does not act. Once Nomad and Consul have nothing of it either,
// another scaler has purged it. If that is not so, this scaler finds it again when it
// takes the zone over.
func (v *view) leftToOthers(e *entry) bool {
	return v.storeKnown && (e.s.State == "" || e.s.State == staging.Ended) && !v.holds(zoneOf(e.s))
}

// resyncStore takes over all of Redis's sessions. fleetResyncNeeded is true when Redis
// has a session that is not in the view: Nomad should be read soon to see whether its
// job exists.
func (v *view) resyncStore(all []staging.Session, now time.Time) (fleetResyncNeeded bool) {
	v.storeKnown = true
	clear(v.consistent)
	found := make(map[string]bool, len(all))
	for _, s := range all {
		found[s.ID] = true
		fleetResyncNeeded = fleetResyncNeeded || v.sessions[s.ID] == nil
		e := v.entry(s.ID, now)
		e.seenIn(s.State, now)
		if e.damaged, e.damage = s.Damaged, s.Reason; s.Damaged != "" {
			// Its job and its fate record tell the rest.
			s = staging.Session{ID: s.ID}
		}
		e.s.State, e.s.Claim, e.s.User = s.State, s.Claim, s.User
		e.s.ReadyAt, e.s.Reason, e.s.Demoted = s.ReadyAt, s.Reason, s.Demoted
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
		// Redis was wiped, or lost its newest writes.
		if !found[id] && e.s.State != staging.Ended && !e.busy {
			e.s.State, e.damaged = "", ""
			v.updateMembership(e)
		}
	}
	for _, p := range v.pools {
		p.reported = nil
	}
	v.markAllDirty()
	return fleetResyncNeeded
}

// fleetReading is all of Nomad's sessions and all fate records, as they were read after
// began.
type fleetReading struct {
	sessions []staging.Observation
	fates    map[string]staging.Fate
	// lookups are the answers of Nomad about the jobs of sessions that its list lacks.
	lookups map[string]lookup
	// generation is Consul's, read after the sessions.
	generation staging.Generation
	began      time.Time
}

// lacks reports whether a session that is not in the reading would be, if Nomad had it: nothing
// acted on it since the reading began, and no event that came meanwhile showed its job.
func (r *fleetReading) lacks(e *entry) bool {
	return e.settledBefore(r.began) && e.jobSeenAt.Before(r.began)
}

// resyncFleet takes over a reading. A session on which something acted since is newer than
// the reading. anotherNeeded is true when Redis calls a session ready that appeared too
// late to be looked up for this reading: Nomad should be read again soon.
func (v *view) resyncFleet(r fleetReading, now time.Time) (anotherNeeded bool) {
	all, fates, began := r.sessions, r.fates, r.began
	v.generation = r.generation
	v.fleetKnown, v.fleetReadOnce = true, true
	found := make(map[string]bool, len(all))
	nodes := map[string]bool{}
	for _, o := range all {
		if o.Node != nil {
			nodes[o.Node.ID] = true
		} else {
			found[o.Session] = true
		}
		v.observe(o, now)
	}
	maps.DeleteFunc(v.purged, func(_ string, at time.Time) bool { return at.Before(began.Add(-purgeDelay)) })
	known := len(v.nodes)
	maps.DeleteFunc(v.nodes, func(id string, n node) bool { return !nodes[id] && n.seenAt.Before(began) })
	if len(v.nodes) != known {
		v.nodesChanged()
	}
	maps.DeleteFunc(v.outcomes.of, func(k nodeImage, _ outcome) bool { _, there := v.nodes[k.node]; return !there })
	for id, f := range fates {
		// Only its fate is left: its job vanished while no scaler was watching.
		unknown := v.resources.Unknown(staging.KindZone, f.Zone)
		if v.sessions[id] == nil && !found[id] && !unknown && f.Verdict != staging.VerdictUnreadable {
			v.entry(id, now).s.Zone = f.Zone
		}
	}
	for id, e := range v.sessions {
		f, decided := fates[id]
		switch {
		case decided:
			e.setFate(f, now)
		case e.verdict == staging.VerdictUnreadable && e.touchedAt.Before(began):
			e.setFate(staging.Fate{}, now) // it was deleted
		}
		e.fateAbsent = !decided
		e.fateUnfinished = decided && f.HookPending && e.s.State == staging.Assigned && e.settledBefore(began)
		if !found[id] && !decided && r.lacks(e) && v.leftToOthers(e) {
			v.forget(id)
			continue
		}
		if !found[id] && r.lacks(e) {
			e.absent(r.lookups[id])
		}
		anotherNeeded = anotherNeeded || e.s.State == staging.Ready && !e.hasJob && !e.missing && !e.unlisted && !e.foreign
		v.updateMembership(e)
	}
	v.deniedStale = true
	v.markAllDirty()
	return anotherNeeded
}
