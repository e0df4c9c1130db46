package scaler

import (
	"cmp"
	"maps"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// How the view takes over what Nomad and Consul report of sessions, one change at a
// time. resync.go does the same for complete reads, events.go for Redis.

// observe folds an observation from Nomad into the view. Parts that are older than what
// is known are dropped. An allocation other than the session's first is not the
// session: it is a clone that Nomad made when it replaced the first one, which may
// still run on a node that is disconnected.
func (v *view) observe(o staging.Observation, now time.Time) {
	if o.Node != nil {
		v.observeNode(*o.Node, o.Index, now)
		return
	}
	if _, gone := v.purged[o.Session]; gone {
		return
	}
	if o.Foreign != "" {
		v.observeForeign(o.Session)
		return
	}
	e := v.entry(o.Session, now)
	if j := o.Job; j != nil && o.Index >= e.jobIndex {
		e.jobIndex, e.jobSeenAt, e.foreign, e.takenOver = o.Index, now, false, j.TakenOver
		e.hasJob, e.stopped, e.dead = true, j.Stopped, j.Dead
		e.checkEvery, e.narrowed, e.excludes, e.needs = j.CheckEvery, j.Narrowed, j.Excludes, j.Needs
		v.deniedStale = v.deniedStale || e.denied
		e.missing, e.unlisted, e.denied = false, false, false
		v.setIdentity(e, j.Session)
	}
	if a := o.Alloc; a != nil && o.Index >= e.allocIndex && (e.s.AllocID == "" || e.s.AllocID == a.ID) {
		v.observeRestarts(e, a.RestartsOf(e.s), now)
		e.allocIndex = o.Index
		e.s.AllocID, e.s.NodeID, e.s.Address, e.s.Ports = a.ID, a.NodeID, a.Address, a.Ports
		e.running, e.allocOver, e.failure, e.failedTask, e.reason = a.Running, a.Over, a.Failure, a.FailedTask, a.Reason
		e.refused = nil
		if e.placedAt.IsZero() {
			e.placedAt = now
			v.notePlaced(e)
		}
		if e.running && e.runningSince.IsZero() {
			e.runningSince = now
			if e.staleHealth {
				v.refreshHealth(e, now)
			}
		}
	}
	if o.Replaced || o.Alloc != nil && o.Alloc.ID != e.s.AllocID {
		e.replaced, e.running = true, false
		e.reason = cmp.Or(e.reason, "Nomad replaced its allocation")
	}
	if p := o.Placement; p != nil && o.Index >= e.placementIndex {
		e.placementIndex = o.Index
		e.refused = p.Refused
		if e.s.AllocID != "" {
			e.refused = nil
		}
		v.noteRefused(e, now)
	}
	v.updateMembership(e)
	v.updateHealth(e, now)
	v.countFailure(e, now)
	v.markDirty(e)
}

// observeNode marks a node's sessions to be decided again when its drain begins or ends.
func (v *view) observeNode(n staging.NodeFacts, index uint64, now time.Time) {
	before, known := v.nodes[n.ID]
	if known && index < before.index {
		return
	}
	v.nodes[n.ID] = node{
		index: index, seenAt: now, draining: n.Draining, name: n.Name, condition: n.Condition,
		eligible: n.Eligible, datacenter: n.Datacenter, pool: n.Pool, values: n.Values, capacity: n.Capacity,
	}
	moved := !maps.Equal(before.values, n.Values)
	if moved || !known || before.draining != n.Draining || before.eligible != n.Eligible || before.datacenter != n.Datacenter || before.pool != n.Pool || before.condition != n.Condition {
		v.nodesChanged()
	}
	if known && before.condition != n.Condition {
		v.outcomes.forgetNode(n.ID)
	}
	if before.draining == n.Draining && !moved {
		return
	}
	for _, e := range v.sessions {
		if e.s.NodeID == n.ID {
			v.markDirty(e)
		}
	}
}

// setIdentity takes over what only the job knows of its session.
func (v *view) setIdentity(e *entry, j staging.Session) {
	e.s.Origin, e.s.Zone, e.s.Image, e.s.Staging = j.Origin, j.Zone, j.Image, j.Staging
	e.s.Permits, e.s.Generation = j.Permits, j.Generation
	e.s.Revision, e.s.Namespace, e.s.Region, e.s.Task = j.Revision, j.Namespace, j.Region, j.Task
	e.s.WaitForRoom = j.WaitForRoom
	if p := v.pools[j.Staging]; p != nil {
		p.intern(&e.s)
	}
	if !j.CreatedAt.IsZero() {
		e.s.CreatedAt = j.CreatedAt
	}
	if e.s.Claim == "" {
		e.s.Claim = j.Claim
	}
	if p := v.pools[e.s.Staging]; p != nil && e.s.ExpiresAt.IsZero() && e.s.Origin == staging.Staged {
		e.s.ExpiresAt = p.config.ExpiresAt(e.s.ID, e.s.CreatedAt)
	}
	v.sessionZones[e.s.Zone] = true
	if e.s.Origin == staging.OnDemand && !v.onDemandZones[e.s.Zone] {
		v.onDemandZones[e.s.Zone] = true
		v.watchesStale = true
	}
}

// setHealth takes over Consul's current health of one service.
func (v *view) setHealth(p *pool, found []staging.Health, now time.Time) {
	before := p.health
	// After a gap the health of every instance is new, also where it is as it was before.
	first := !p.healthKnown
	p.healthKnown = true
	p.health = make(map[string]staging.Health, len(found))
	for _, h := range found {
		p.health[h.AllocID] = h
	}
	update := func(h staging.Health) {
		if e := v.sessions[h.Session]; e != nil {
			if first {
				e.failingSince = time.Time{}
			}
			v.updateHealth(e, now)
			v.markDirty(e)
		}
	}
	for id, h := range p.health {
		if before[id] != h || first {
			update(h)
		}
	}
	for id, h := range before {
		if _, still := p.health[id]; !still {
			update(h)
		}
	}
	if first {
		for _, e := range p.members.entries {
			v.updateHealth(e, now)
		}
		v.dirtyPools[p.config.Name] = true
	}
}

// updateHealth derives an entry's health from Consul's checks and from whether Nomad
// reports it running. Nomad does not while the session's node is disconnected, although
// the checks there may still pass.
func (v *view) updateHealth(e *entry, now time.Time) {
	v.memberChanged(e)
	e.passing = v.checksPass(e)
	if e.staleHealth && e.fresh(!e.passing && v.healthKnown(e), now) {
		e.staleHealth = false
	}
	e.passing = e.passing && !e.staleHealth
	if !v.failing(e) {
		e.failingSince = time.Time{}
	} else if e.failingSince.IsZero() {
		e.failingSince = now
	}
	switch {
	case e.healthy():
		if !e.healthyOnce {
			v.noteSuccess(e, now)
		}
		if !e.unhealthySince.IsZero() && !e.restarted() {
			e.healthyAgain = now
		}
		e.healthyOnce, e.unhealthySince = true, time.Time{}
	case (e.healthyOnce || e.s.State == staging.Ready) && e.unhealthySince.IsZero() && v.healthKnown(e):
		e.unhealthySince = now
	}
}

// checksPass: Consul reports that the checks of the session's own allocation pass.
func (v *view) checksPass(e *entry) bool {
	source := v.healthSource(e)
	return source != nil && e.s.AllocID != "" && source.health[e.s.AllocID].Passing
}

// healthSource returns the pool whose health watch covers a session; nil if there is
// none yet.
func (v *view) healthSource(e *entry) *pool {
	if e.s.Origin == staging.OnDemand {
		return v.onDemand[e.s.Zone]
	}
	return v.pools[e.s.Staging]
}
