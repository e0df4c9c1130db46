package scaler

import (
	"cmp"
	"reflect"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// view is everything the scaler believes. It belongs to the loop.
type view struct {
	resources                              staging.Resources
	resourcesKnown, fleetKnown, storeKnown bool
	// fleetReadOnce: Nomad has been read whole, perhaps a while ago.
	fleetReadOnce bool
	sessions      map[string]*entry
	pools         map[string]*pool
	// onDemand is the health of each zone's on-demand sessions. settled are the
	// zones in which one was seen: they are watched though the zone be gone.
	onDemand      map[string]*pool
	onDemandZones map[string]bool
	// reading is which reading of Redis was the last; right are the zones of which
	// Redis has been found to say the truth since.
	resync     int
	consistent map[string]bool
	// purged are the sessions of which nothing is left, and since when: a reading of
	// Nomad that began before may still tell of them.
	purged map[string]time.Time
	// nodes are those that Nomad tells of.
	nodes map[string]node

	// zones are those in which a session was seen. wanted are the locks asked
	// for, mine since when each is held, acting where this scaler acts.
	sessionZones, wantedLocks map[string]bool
	heldSince                 map[string]time.Time
	acting                    map[string]bool

	// watchesStale: a pool or a zone came or went, so that the health watches are to be
	// seen to.
	watchesStale bool

	dirtyPools    map[string]bool
	dirtySessions map[string]bool
	// timed are the sessions that DecideSession wants to see again, and when.
	timed map[string]time.Time
}

func newView() *view {
	return &view{
		sessions: map[string]*entry{}, pools: map[string]*pool{}, onDemand: map[string]*pool{}, onDemandZones: map[string]bool{},
		purged: map[string]time.Time{}, nodes: map[string]node{}, consistent: map[string]bool{}, sessionZones: map[string]bool{}, heldSince: map[string]time.Time{}, acting: map[string]bool{},
		dirtyPools: map[string]bool{}, dirtySessions: map[string]bool{}, timed: map[string]time.Time{},
	}
}

// known: every source has been read whole and none has failed since.
func (v *view) inSync() bool { return v.resourcesKnown && v.fleetKnown && v.storeKnown }

// touch marks a session, and its pool, to be decided anew.
func (v *view) markDirty(e *entry) {
	v.memberChanged(e)
	v.dirtySessions[e.s.ID] = true
	if e.s.Staging != "" {
		v.dirtyPools[e.s.Staging] = true
	}
}

// change notes that what Decide is told of a session may be out of date. Whatever
// writes to an entry ends in it, by way of touch or enlist mostly.
func (v *view) memberChanged(e *entry) {
	if e.pool != nil {
		e.pool.members.change(e)
	}
}

// touchAll marks everything: after a source came back.
func (v *view) markAllDirty() {
	v.watchesStale = true
	for id := range v.sessions {
		v.dirtySessions[id] = true
	}
	for name, p := range v.pools {
		p.members.changeAll()
		v.dirtyPools[name] = true
	}
}

// entry gives the session's entry, a new one when it was not known.
func (v *view) entry(id string, now time.Time) *entry {
	e := v.sessions[id]
	if e == nil {
		e = &entry{s: staging.Session{ID: id}, touchedAt: now}
		v.sessions[id] = e
	}
	return e
}

// forget drops a session of which nothing is left.
func (v *view) forget(id string) {
	if e := v.sessions[id]; e != nil {
		v.leavePool(e)
		delete(v.sessions, id)
		if _, ok := v.resources.Zones[e.s.Zone]; !ok {
			v.watchesStale = true // it may have been the last in a zone that is gone
		}
	}
	delete(v.timed, id)
	delete(v.dirtySessions, id)
}

func (v *view) leavePool(e *entry) {
	e.joinPool(nil)
	if p := v.pools[e.s.Staging]; p != nil {
		delete(p.unrecorded, e.s.ID)
		v.dirtyPools[e.s.Staging] = true
	}
}

// enlist puts a session into its pool's members, or takes it out, as its
// standing has it.
func (v *view) updateMembership(e *entry) {
	if !e.pooled() {
		e.joinPool(nil)
	}
	if e.s.Staging == "" {
		return
	}
	p := v.pools[e.s.Staging]
	if p == nil && !e.pooled() {
		return
	}
	if p == nil {
		// A pool whose config is gone: it lives on until it is drained.
		p = v.addPool(staging.Config{Name: e.s.Staging, Zone: e.s.Zone, Image: e.s.Image})
		p.removed = true
	}
	if e.pooled() {
		e.joinPool(p)
		v.memberChanged(e)
	}
	if e.unrecorded() {
		p.unrecorded[e.s.ID] = true
	} else {
		delete(p.unrecorded, e.s.ID)
	}
}

func (v *view) addPool(c staging.Config) *pool {
	p := &pool{config: c, unrecorded: map[string]bool{}, health: map[string]staging.Health{}}
	v.pools[c.Name] = p
	v.resolveTarget(p)
	v.watchesStale = true
	v.dirtyPools[c.Name] = true
	return p
}

// setResources takes what the registry holds now.
func (v *view) setResources(r staging.Resources) {
	before := v.resources
	v.resources, v.resourcesKnown, v.watchesStale = r, true, true
	for name, c := range r.Configs {
		p := v.pools[name]
		if p == nil {
			p = v.addPool(c)
		}
		// What was changed may have been mended: try at once.
		if p.config.Image != c.Image || p.config.Zone != c.Zone ||
			!reflect.DeepEqual(r.Images[c.Image], before.Images[c.Image]) || !reflect.DeepEqual(r.Zones[c.Zone], before.Zones[c.Zone]) {
			p.backoff, p.assignHook = Backoff{}, Backoff{}
		}
		p.config, p.removed = c, false
		v.dirtyPools[name] = true
	}
	for name, p := range v.pools {
		if _, ok := r.Configs[name]; !ok {
			p.removed = true
			v.dirtyPools[name] = true
		}
		v.resolveTarget(p)
	}
}

// observe folds in a piece of news from Nomad. News older than what is known is
// dropped. Another allocation than the session's first is not the session, but a
// clone that Nomad made when it gave the first one up, which may yet run on a node
// that is cut off.
func (v *view) observe(o staging.Observation, now time.Time) {
	if o.Node != nil {
		v.observeNode(*o.Node, o.Index)
		return
	}
	if _, gone := v.purged[o.Session]; gone {
		return
	}
	e := v.entry(o.Session, now)
	if j := o.Job; j != nil && o.Index >= e.jobIndex {
		e.jobIndex = o.Index
		e.hasJob, e.missing, e.stopped, e.dead = true, false, j.Stopped, j.Dead
		v.setIdentity(e, j.Session)
	}
	if a := o.Alloc; a != nil && o.Index >= e.allocIndex && (e.s.AllocID == "" || e.s.AllocID == a.ID) {
		e.allocIndex = o.Index
		e.s.AllocID, e.s.NodeID, e.s.Address, e.s.Ports = a.ID, a.NodeID, a.Address, a.Ports
		e.running, e.allocOver, e.failure, e.reason = a.Running, a.Over, a.Failure, a.Reason
		e.refused = nil
		if e.placedAt.IsZero() {
			e.placedAt = now
		}
		if e.running && e.runningSince.IsZero() {
			e.runningSince = now
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
	}
	v.updateMembership(e)
	v.updateHealth(e, now)
	v.countFailure(e, now)
	v.markDirty(e)
}

// observeNode marks a node's sessions to be decided anew when its drain begins or ends.
func (v *view) observeNode(n staging.NodeFacts, index uint64) {
	before, known := v.nodes[n.ID]
	if known && index < before.index {
		return
	}
	v.nodes[n.ID] = node{index: index, draining: n.Draining}
	if before.draining == n.Draining {
		return
	}
	for _, e := range v.sessions {
		if e.s.NodeID == n.ID {
			v.markDirty(e)
		}
	}
}

// examine takes what Consul says of a session's checks, and whether Nomad still
// calls it running: it does not while the session's node is cut off, though the
// checks there may go on passing.
func (v *view) updateHealth(e *entry, now time.Time) {
	v.memberChanged(e)
	e.passing = v.checksPass(e)
	switch {
	case e.passing && e.running:
		e.healthyOnce, e.unhealthySince = true, time.Time{}
	case (e.healthyOnce || e.s.State == staging.Ready) && e.unhealthySince.IsZero() && v.healthSource(e) != nil && v.healthSource(e).healthKnown:
		e.unhealthySince = now
	}
}

// count counts a pool's session that failed towards the pool's backoff, once.
// One that ended without having failed was lost with its node, moved or stopped.
func (v *view) countFailure(e *entry, now time.Time) {
	p := v.pools[e.s.Staging]
	if p == nil || e.counted || !e.pooled() || e.failed() == nil || e.stopped {
		return
	}
	e.counted = true
	p.failed(e.failed(), now)
}

func (p *pool) failed(why *staging.Failure, now time.Time) { p.backoff = p.backoff.failed(why, now) }

// identify fills what only the job knows of its session.
func (v *view) setIdentity(e *entry, j staging.Session) {
	e.s.Origin, e.s.Zone, e.s.Image, e.s.Staging = j.Origin, j.Zone, j.Image, j.Staging
	e.s.Permits = j.Permits
	e.s.Revision, e.s.Namespace, e.s.Region, e.s.Task = j.Revision, j.Namespace, j.Region, j.Task
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

// intern gives a session the pool's own copies of what it says as every other session of
// the pool does: each was read from an answer of its own, and would keep its own.
func (p *pool) intern(s *staging.Session) {
	for _, x := range []struct {
		its  *string
		ours string
	}{
		{&s.Staging, p.config.Name},
		{&s.Zone, p.config.Zone},
		{&s.Image, p.config.Image},
		{&s.Revision, p.target.revision},
		{&s.Permits, p.target.permits},
	} {
		if *x.its == x.ours {
			*x.its = x.ours
		}
	}
}

// watched is whose health watch tells of the session; nil when there is none yet.
func (v *view) healthSource(e *entry) *pool {
	if e.s.Origin == staging.OnDemand {
		return v.onDemand[e.s.Zone]
	}
	return v.pools[e.s.Staging]
}

// healthy: Consul says that the session's own allocation passes its checks.
func (v *view) checksPass(e *entry) bool {
	watched := v.healthSource(e)
	return watched != nil && e.s.AllocID != "" && watched.health[e.s.AllocID].Passing
}

// setHealth takes what Consul says of one service now.
func (v *view) setHealth(p *pool, found []staging.Health, now time.Time) {
	before := p.health
	p.health = make(map[string]staging.Health, len(found))
	for _, h := range found {
		p.health[h.AllocID] = h
	}
	look := func(h staging.Health) {
		if e := v.sessions[h.Session]; e != nil {
			v.updateHealth(e, now)
			v.markDirty(e)
		}
	}
	for id, h := range p.health {
		if before[id] != h {
			look(h)
		}
	}
	for id, h := range before {
		if _, still := p.health[id]; !still {
			look(h)
		}
	}
	if !p.healthKnown {
		p.healthKnown = true
		for _, e := range p.members.entries {
			v.updateHealth(e, now)
		}
		v.dirtyPools[p.config.Name] = true
	}
}

// event folds in what happened in Redis.
func (v *view) applyEvent(ev staging.Event, now time.Time) {
	state, move := ev.Type.State()
	if !move {
		v.countAssignHookFailure(ev, now)
		return
	}
	e := v.entry(ev.Session, now)
	e.s.State = state
	if state == staging.Ended && e.endedNoticedAt.IsZero() {
		e.endedNoticedAt = now
	}
	e.request = cmp.Or(ev.RequestID, e.request)
	if ev.Pool != "" {
		e.s.Staging, e.s.Origin = ev.Pool, staging.Staged
	}
	if p := v.pools[ev.Pool]; p != nil {
		switch ev.Type {
		case staging.EventReady:
			// One that was made before the failure proves nothing.
			if p.backoff.paused() && e.s.CreatedAt.After(p.backoff.At) {
				p.backoff.ReadyAt = now
			}
		case staging.EventAssigned:
			p.assignHook = Backoff{}
			v.dirtyPools[ev.Pool] = true
		}
	}
	if ev.Type == staging.EventClaimed || ev.Type == staging.EventEnding || ev.Type == staging.EventRetiring {
		e.touchedAt = now
	}
	v.updateMembership(e)
	v.markDirty(e)
}

// hookFailed counts an assign hook that failed. How first_launch fails is known
// from the step that ran it.
func (v *view) countAssignHookFailure(ev staging.Event, now time.Time) {
	p := v.pools[ev.Pool]
	if p == nil || ev.Type != staging.EventHookFailed || ev.Hook != staging.HookAssign {
		return
	}
	p.assignHook = Backoff{
		Failures: p.assignHook.Failures + 1, At: now, Last: &staging.Failure{Type: staging.HookFailing, Message: ev.Reason},
	}
	v.dirtyPools[ev.Pool] = true
}
