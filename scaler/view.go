package scaler

import (
	"reflect"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// view is everything the scaler knows. Only the loop uses it.
type view struct {
	// A source is known after it was read completely, until it fails.
	resources                              staging.Resources
	resourcesKnown, fleetKnown, storeKnown bool
	// afterPass are closed at the end of the loop's round.
	afterPass []chan struct{}
	// fleetReadOnce: Nomad was read completely at least once, perhaps a while ago.
	fleetReadOnce bool
	sessions      map[string]*entry
	pools         map[string]*pool
	// nodes are Nomad's nodes, outcomes how the images have fared on them.
	nodes    map[string]node
	outcomes outcomes
	// nodesVersion counts the changes of nodes that may change where sessions run.
	nodesVersion uint64
	// onDemand is the health of each zone's on-demand sessions. onDemandZones are the
	// zones in which one was seen: they are watched even if the zone was deleted.
	onDemand      map[string]*pool
	onDemandZones map[string]bool
	// resync is the number of the last resync of Redis, consistent the zones that were
	// consistent since; see trustState.
	resync     int
	consistent map[string]bool
	// pass counts the decisions. generation is that of the last resync of Nomad.
	pass       uint64
	generation staging.Generation
	// redisOlder: Redis lacked a session from before a restore of Consul.
	redisOlder bool
	// quarantined are the quarantined sessions, and why.
	quarantined map[string]string
	// purged are the sessions of which nothing is left, and since when: a read of Nomad
	// that began earlier may still contain them.
	purged map[string]time.Time

	// waiting are the launches' sessions that wait for room, by zone; a zone without any is
	// not in it.
	waiting map[string]map[string]bool
	// roomMadeAt is when sessions were last chosen to make room, by zone.
	roomMadeAt map[string][]time.Time

	// denied counts, by zone, the sessions of the zones in which this scaler acts that Nomad
	// does not let it see. deniedStale: it must be counted again.
	denied      map[string]int
	deniedStale bool

	// sessionZones are the zones in which a session was seen. wantedLocks are the locks
	// wanted, heldSince is since when each held one is held, and acting are the zones in
	// which this scaler acts.
	sessionZones, wantedLocks map[string]bool
	heldSince                 map[string]time.Time
	acting                    map[string]bool

	// watchesStale: a pool or zone was added or removed, so that the health watches must
	// be adjusted.
	watchesStale bool
	// dirtyPools and dirtySessions are to be decided again.
	dirtyPools    map[string]bool
	dirtySessions map[string]bool
	// brokers are those that Consul shows.
	brokers brokers
	// profiles are the sessions that have the lease of a profile.
	profiles map[string]bool
	// poolsFailedOn are the names of all pools with failedOn, and of some that had them.
	poolsFailedOn map[string]bool
	// underWay counts the steps of the workQueue that a worker has.
	underWay int
	// usual are the stored usual times to ready, by pool.
	usual map[string]time.Duration
	// timed are the sessions to be decided again at a time.
	timed map[string]time.Time
}

// node is what the scaler knows of one of Nomad's nodes.
type node struct {
	index uint64
	// seenAt is when it was last observed.
	seenAt   time.Time
	draining bool
	// name is the node's; condition changes when somebody may have repaired it.
	name, condition string
	// eligible, datacenter, pool, values: as in staging.NodeFacts.
	eligible         bool
	datacenter, pool string
	values           map[string]string
	capacity         staging.Needs
}

// holds reports whether the node, were it empty but for used, had room for something; it may,
// where its capacity is not known.
func (n node) holds(needs, used staging.Needs) bool {
	return n.capacity == (staging.Needs{}) || n.capacity.Minus(used).Covers(needs)
}

// takes reports whether Nomad places new sessions on the node.
func (n node) takes() bool { return !n.draining && n.eligible }

func newView() *view {
	return &view{
		sessions: map[string]*entry{}, pools: map[string]*pool{}, onDemand: map[string]*pool{}, onDemandZones: map[string]bool{},
		quarantined: map[string]string{}, waiting: map[string]map[string]bool{}, roomMadeAt: map[string][]time.Time{},
		purged: map[string]time.Time{}, nodes: map[string]node{}, nodesVersion: 1, outcomes: newOutcomes(), poolsFailedOn: map[string]bool{}, consistent: map[string]bool{}, sessionZones: map[string]bool{}, heldSince: map[string]time.Time{}, acting: map[string]bool{},
		dirtyPools: map[string]bool{}, dirtySessions: map[string]bool{}, timed: map[string]time.Time{},
	}
}

// inSync: the registry, Nomad and Redis are known. Consul's health checks are not
// included: while those of a pool are not current, only what depends on them waits
// (PoolInput.HealthKnown).
func (v *view) inSync() bool { return v.resourcesKnown && v.fleetKnown && v.storeKnown }

// markDirty marks a session and its pool to be decided again.
func (v *view) markDirty(e *entry) {
	v.memberChanged(e)
	v.dirtySessions[e.s.ID] = true
	if e.s.Staging != "" {
		v.dirtyPools[e.s.Staging] = true
	}
}

// markAllDirty marks everything to be decided again, after a source was read.
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

// memberChanged notes that the Member derived from an entry may be out of date. All
// code that writes to an entry must end in it, mostly through markDirty or
// updateMembership.
func (v *view) memberChanged(e *entry) {
	if e.pool != nil {
		e.pool.members.change(e)
	}
}

// entry returns a session's entry, a new one if it has none.
func (v *view) entry(id string, now time.Time) *entry {
	e := v.sessions[id]
	if e == nil {
		e = &entry{s: staging.Session{ID: id}, touchedAt: now, seenAt: now}
		v.sessions[id] = e
	}
	return e
}

// forget drops a session of which nothing is left.
func (v *view) forget(id string) {
	if e := v.sessions[id]; e != nil {
		v.leavePool(e)
		v.noteWaiting(e, false)
		delete(v.sessions, id)
		if !v.resources.HasZone(e.s.Zone) {
			v.watchesStale = true // it may have been the last session in a deleted zone
		}
	}
	delete(v.timed, id)
	delete(v.quarantined, id)
	delete(v.dirtySessions, id)
}

func (v *view) leavePool(e *entry) {
	e.joinPool(nil)
	if p := v.pools[e.s.Staging]; p != nil {
		delete(p.unrecorded, e.s.ID)
		delete(p.where.elsewhere, e)
		delete(p.endedFailed, e.s.ID)
		v.dirtyPools[e.s.Staging] = true
	}
}

// updateMembership makes a session a member of its pool, or removes it, according to
// its state.
func (v *view) updateMembership(e *entry) {
	v.noteQuarantine(e)
	v.noteWaiting(e, e.waitsForRoom())
	if !e.pooled() {
		e.joinPool(nil)
	}
	if e.s.Staging == "" {
		return
	}
	v.noteEndedFailed(e)
	p := v.pools[e.s.Staging]
	if p == nil && !e.pooled() {
		return
	}
	if p == nil {
		// The pool's config was deleted: the pool exists until it is drained. Or its config
		// cannot be read: the pool exists until it can.
		p = v.addPool(staging.Config{Name: e.s.Staging, Zone: e.s.Zone, Image: e.s.Image})
		p.unknown = v.resources.Unknown(staging.KindStaging, e.s.Staging)
		p.removed = !p.unknown
		v.resolveTarget(p)
	}
	if e.pooled() {
		e.joinPool(p)
		v.memberChanged(e)
	}
	p.noteWhereabouts(e)
	if e.unrecorded() {
		p.unrecorded[e.s.ID] = true
	} else {
		delete(p.unrecorded, e.s.ID)
	}
}

// addPool adds a pool, and finds its sessions among those that are known.
func (v *view) addPool(c staging.Config) *pool {
	p := v.newPool(c)
	v.findSessionsOf(map[string]bool{c.Name: true})
	return p
}

// findSessionsOf finds the sessions of pools that are new, in one pass for all of them: there
// may be thousands of pools, and many sessions.
func (v *view) findSessionsOf(added map[string]bool) {
	if len(added) == 0 {
		return
	}
	for _, e := range v.sessions {
		if added[e.s.Staging] {
			v.noteEndedFailed(e)
			v.pools[e.s.Staging].noteWhereabouts(e)
		}
	}
}

// newPool adds a pool of which no session is known.
func (v *view) newPool(c staging.Config) *pool {
	p := &pool{config: c, unrecorded: map[string]bool{}, health: map[string]staging.Health{}, endedFailed: map[string]bool{}, usualStart: v.usual[c.Name]}
	v.pools[c.Name] = p
	v.resolveTarget(p)
	v.watchesStale = true
	v.dirtyPools[c.Name] = true
	return p
}

// setResources takes over the registry's current resources.
func (v *view) setResources(r staging.Resources) {
	before := v.resources
	v.resources, v.resourcesKnown, v.watchesStale = r, true, true
	added := map[string]bool{}
	for name, c := range r.Configs {
		p := v.pools[name]
		if p == nil {
			p, added[name] = v.newPool(c), true
		} else {
			v.retryAfterChange(p, c, before)
		}
		p.config, p.removed, p.unknown = c, false, false
		v.dirtyPools[name] = true
	}
	v.findSessionsOf(added)
	for name, p := range v.pools {
		if _, ok := r.Configs[name]; !ok {
			p.unknown = r.Unknown(staging.KindStaging, name)
			p.removed = !p.unknown
			v.dirtyPools[name] = true
			v.decideKept(p)
		}
		v.resolveTarget(p)
	}
	if len(before.Unreadable) > 0 {
		v.markAllDirty() // sessions may wait for an image that is readable now
	}
}

// madeOtherwise reports whether sessions of an image are made otherwise since it was changed.
func madeOtherwise(now, before staging.Image) bool {
	return staging.Revision(now, staging.Zone{}, staging.Permissions{}) != staging.Revision(before, staging.Zone{}, staging.Permissions{})
}

// retryAfterChange ends the pause of a failing pool where its config c, its zone or its image is
// another than before, or an administrator ordered it since: the cause may be mended.
func (v *view) retryAfterChange(p *pool, c staging.Config, before staging.Resources) {
	now := v.resources
	another := p.config.Image != c.Image || p.config.Zone != c.Zone ||
		!reflect.DeepEqual(now.Images[c.Image], before.Images[c.Image]) || !reflect.DeepEqual(now.Zones[c.Zone], before.Zones[c.Zone])
	ordered := !now.Orders[c.Name].RetryAt.Equal(before.Orders[c.Name].RetryAt)
	if another {
		p.assignHook, p.usualStart = Backoff{}, 0
		p.where.forget() // another image may suit other nodes
		p.lastFailure, p.lastWords, p.forgetFailure = nil, "", true
	}
	if another && madeOtherwise(now.Images[c.Image], before.Images[c.Image]) {
		v.outcomes.forgetImage(c.Image)
	}
	if p.config.KeepFailed != c.KeepFailed {
		v.decideKept(p)
	}
	if ordered {
		// Somebody may have mended a node, of which Nomad shows nothing.
		v.outcomes.forgetFailures(c.Image)
	}
	if another || ordered || !reflect.DeepEqual(p.config, c) {
		p.backoff, p.failedOn = Backoff{}, nil
	}
}
