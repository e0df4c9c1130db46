package scaler

import (
	"reflect"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
	"github.com/greenroom/greenroom/scaler/sizing"
)

// entry is what the scaler knows of one session. Only the loop touches it.
type entry struct {
	// s is the session as last known; its state is what Redis was last heard to say.
	s    staging.Session
	fate staging.Verdict
	// stands is its fate record, for Restore.
	stands staging.Fate

	// hasJob: Nomad has its job, or is being given it. missing: a full reading
	// did not find it.
	hasJob, missing               bool
	stopped, dead                 bool
	running, allocOver            bool
	passing                       bool
	failure, refused              *staging.Failure
	jobIndex, allocIndex, plIndex uint64

	// busy: a step for it is under way. until: it is left alone till then.
	busy  bool
	until time.Time
	// counted: its failure has been counted towards its pool's backoff.
	counted             bool
	touchedAt, buriedAt time.Time
}

// over: nothing of it runs or will. A stopped job of which no allocation was
// heard may still have one, unless it was never placed.
func (e *entry) over() bool {
	return e.dead || e.allocOver || (e.stopped && e.s.AllocID == "" && e.refused != nil)
}

// pooled: it is an unassigned session of a pool, which Decide sees to. The
// others are Settle's.
func (e *entry) pooled() bool {
	return e.s.Origin == staging.Staged && e.s.State.Unassigned() && e.fate == "" && e.hasJob
}

// pool is what the scaler knows of one staging config's pool.
type pool struct {
	config  staging.Config
	removed bool
	members map[string]*entry
	// healthKnown: the watch on its service has spoken and not failed since.
	healthKnown bool
	// health is what Consul says of each allocation: a clone that Nomad made of a
	// lost one has its own, and is not the session.
	health     map[string]staging.Health
	stopWatch  func()
	backoff    Backoff
	conditions []staging.Condition
	// reported is what Redis was last told; nil when it must be told anew.
	reported *[]staging.Condition
	wake     time.Time
}

// view is everything the scaler believes. It belongs to the loop.
type view struct {
	resources                              staging.Resources
	resourcesKnown, fleetKnown, storeKnown bool
	sessions                               map[string]*entry
	pools                                  map[string]*pool
	// onDemand is the health of each zone's on-demand sessions.
	onDemand map[string]*pool

	dirtyPools    map[string]bool
	dirtySessions map[string]bool
	// timed are the sessions that Settle wants to see again, and when.
	timed map[string]time.Time
}

func newView() *view {
	return &view{
		sessions: map[string]*entry{}, pools: map[string]*pool{}, onDemand: map[string]*pool{},
		dirtyPools: map[string]bool{}, dirtySessions: map[string]bool{}, timed: map[string]time.Time{},
	}
}

// known: every source has been read whole and none has failed since.
func (v *view) known() bool { return v.resourcesKnown && v.fleetKnown && v.storeKnown }

// touch marks a session, and its pool, to be decided anew.
func (v *view) touch(e *entry) {
	v.dirtySessions[e.s.ID] = true
	if e.s.Staging != "" {
		v.dirtyPools[e.s.Staging] = true
	}
}

// touchAll marks everything: after a source came back.
func (v *view) touchAll() {
	for id := range v.sessions {
		v.dirtySessions[id] = true
	}
	for name := range v.pools {
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
		v.leave(e)
		delete(v.sessions, id)
	}
	delete(v.timed, id)
	delete(v.dirtySessions, id)
}

func (v *view) leave(e *entry) {
	if p := v.pools[e.s.Staging]; p != nil {
		delete(p.members, e.s.ID)
		v.dirtyPools[e.s.Staging] = true
	}
}

// enlist puts a session into its pool's members, or takes it out, as its
// standing has it.
func (v *view) enlist(e *entry) {
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
		p.members[e.s.ID] = e
		e.passing = v.healthy(e)
	} else {
		delete(p.members, e.s.ID)
	}
}

func (v *view) addPool(c staging.Config) *pool {
	p := &pool{config: c, members: map[string]*entry{}, health: map[string]staging.Health{}}
	v.pools[c.Name] = p
	v.dirtyPools[c.Name] = true
	return p
}

// setResources takes what the registry holds now.
func (v *view) setResources(r staging.Resources) {
	before := v.resources
	v.resources, v.resourcesKnown = r, true
	for name, c := range r.Configs {
		p := v.pools[name]
		if p == nil {
			p = v.addPool(c)
		}
		// What was changed may have been mended: try at once.
		if p.config.Image != c.Image || !reflect.DeepEqual(r.Images[c.Image], before.Images[c.Image]) {
			p.backoff = Backoff{}
		}
		p.config, p.removed = c, false
		v.dirtyPools[name] = true
	}
	for name, p := range v.pools {
		if _, ok := r.Configs[name]; !ok {
			p.removed = true
			v.dirtyPools[name] = true
		}
	}
}

// observe folds in a piece of news from Nomad. News older than what is known
// is dropped, and so is news of another allocation than the session's first:
// a clone that Nomad made for a lost one is not the session.
func (v *view) observe(o staging.Observation, now time.Time) {
	e := v.entry(o.Session, now)
	if j := o.Job; j != nil && o.Index >= e.jobIndex {
		e.jobIndex = o.Index
		e.hasJob, e.missing, e.stopped, e.dead = true, false, j.Stopped, j.Dead
		v.identify(e, j.Session)
	}
	if a := o.Alloc; a != nil && o.Index >= e.allocIndex && (e.s.AllocID == "" || e.s.AllocID == a.ID) {
		e.allocIndex = o.Index
		e.s.AllocID, e.s.NodeID, e.s.Address, e.s.Ports = a.ID, a.NodeID, a.Address, a.Ports
		e.running, e.allocOver, e.failure = a.Running, a.Over, a.Failure
		e.refused = nil
	}
	if p := o.Placement; p != nil && o.Index >= e.plIndex {
		e.plIndex = o.Index
		e.refused = p.Refused
		if e.s.AllocID != "" {
			e.refused = nil
		}
	}
	e.passing = v.healthy(e)
	v.enlist(e)
	v.count(e, now)
	v.touch(e)
}

// count counts a pool's session that failed towards the pool's backoff, once.
func (v *view) count(e *entry, now time.Time) {
	p := v.pools[e.s.Staging]
	if p == nil || e.counted || !e.pooled() || (e.failure == nil && !e.allocOver) || e.stopped {
		return
	}
	e.counted = true
	last := e.failure
	if last == nil {
		last = &staging.Failure{Type: staging.CrashLooping, Message: "the session ended by itself"}
	}
	p.failed(last, now)
}

func (p *pool) failed(why *staging.Failure, now time.Time) {
	p.backoff = Backoff{Failures: p.backoff.Failures + 1, Last: why, At: now}
}

// identify fills what only the job knows of its session.
func (v *view) identify(e *entry, j staging.Session) {
	e.s.Origin, e.s.Zone, e.s.Image, e.s.Staging = j.Origin, j.Zone, j.Image, j.Staging
	e.s.Revision, e.s.Namespace, e.s.Region, e.s.Task = j.Revision, j.Namespace, j.Region, j.Task
	if !j.CreatedAt.IsZero() {
		e.s.CreatedAt = j.CreatedAt
	}
	if e.s.Claim == "" {
		e.s.Claim = j.Claim
	}
	if p := v.pools[e.s.Staging]; p != nil && e.s.ExpiresAt.IsZero() && p.config.Expiration > 0 && e.s.Origin == staging.Staged {
		e.s.ExpiresAt = e.s.CreatedAt.Add(p.config.Expiration.Std())
	}
}

// healthy: Consul says that the session's own allocation passes its checks.
func (v *view) healthy(e *entry) bool {
	watched := v.pools[e.s.Staging]
	if e.s.Origin == staging.OnDemand {
		watched = v.onDemand[e.s.Zone]
	}
	return watched != nil && e.s.AllocID != "" && watched.health[e.s.AllocID].Passing
}

// setHealth takes what Consul says of one service now.
func (v *view) setHealth(p *pool, found []staging.Health) {
	before := p.health
	p.health = make(map[string]staging.Health, len(found))
	for _, h := range found {
		p.health[h.AllocID] = h
	}
	look := func(h staging.Health) {
		if e := v.sessions[h.Session]; e != nil {
			e.passing = v.healthy(e)
			v.touch(e)
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
		v.dirtyPools[p.config.Name] = true
	}
}

// event folds in what happened in Redis.
func (v *view) event(ev staging.Event, now time.Time) {
	e := v.entry(ev.Session, now)
	switch ev.Type {
	case staging.EventWithdrawn:
		e.s.State = staging.Starting
	case staging.EventEnded:
		if e.buriedAt.IsZero() {
			e.buriedAt = now
		}
		e.s.State = staging.Ended
	default:
		e.s.State = staging.State(ev.Type)
	}
	if ev.Pool != "" {
		e.s.Staging, e.s.Origin = ev.Pool, staging.Staged
	}
	if ev.Type == staging.EventReady {
		if p := v.pools[ev.Pool]; p != nil {
			p.backoff = Backoff{}
		}
	}
	if ev.Type == staging.EventClaimed || ev.Type == staging.EventEnding || ev.Type == staging.EventRetiring {
		e.touchedAt = now
	}
	v.enlist(e)
	v.touch(e)
}

// setStore takes every session that Redis knows.
func (v *view) setStore(all []staging.Session, now time.Time) {
	v.storeKnown = true
	known := make(map[string]bool, len(all))
	for _, s := range all {
		known[s.ID] = true
		e := v.entry(s.ID, now)
		e.s.State, e.s.Claim, e.s.User = s.State, s.Claim, s.User
		e.s.ReadyAt, e.s.AssignedAt, e.s.Reason = s.ReadyAt, s.AssignedAt, s.Reason
		if !e.hasJob {
			s.AllocID = ""
			e.s = s
		}
		v.enlist(e)
	}
	for id, e := range v.sessions {
		// Redis has been wiped, or lost its newest writes.
		if !known[id] && e.s.State != staging.Ended && !e.busy {
			e.s.State = ""
			v.enlist(e)
		}
	}
	for _, p := range v.pools {
		p.reported = nil
	}
	v.touchAll()
}

// setFleet takes every session that Nomad knows, and every fate record, as
// they were read after began. What was acted on since is newer than the reading.
func (v *view) setFleet(all []staging.Observation, fates map[string]staging.Fate, began, now time.Time) {
	v.fleetKnown = true
	seen := make(map[string]bool, len(all))
	for _, o := range all {
		seen[o.Session] = true
		v.observe(o, now)
	}
	for id, e := range v.sessions {
		if f, ok := fates[id]; ok {
			e.fate, e.stands = f.Verdict, f
		}
		if !seen[id] && !e.busy && e.touchedAt.Before(began) {
			e.hasJob, e.missing = false, true
		}
		v.enlist(e)
	}
	v.touchAll()
}

// viewOf is what Decide is told of a pool.
func (v *view) viewOf(p *pool, now time.Time) View {
	theZone, zone := v.resources.Zones[p.config.Zone]
	theImage, image := v.resources.Images[p.config.Image]
	w := View{
		Config: p.config, Removed: p.removed, NoZone: !zone, NoImage: !image,
		Desired: sizing.Desired(p.config, now), HealthKnown: p.healthKnown, Backoff: p.backoff,
		Members: make([]Member, 0, len(p.members)),
	}
	revision := staging.Revision(theImage, theZone)
	for _, e := range p.members {
		w.Members = append(w.Members, Member{
			ID: e.s.ID, State: e.s.State, CreatedAt: e.s.CreatedAt, ExpiresAt: e.s.ExpiresAt,
			Running: e.running, Passing: e.passing, Over: e.over(), Failure: e.failure, Refused: e.refused,
			Misplaced: e.s.Zone != p.config.Zone || e.s.Image != p.config.Image,
			Stale:     zone && image && e.s.Revision != revision,
			Busy:      e.busy || now.Before(e.until),
		})
	}
	return w
}

// lonerOf is what Settle is told of a session.
func (e *entry) lonerOf() Loner {
	return Loner{
		State: e.s.State, Origin: e.s.Origin, Fate: e.fate, HasJob: e.hasJob, Missing: e.missing, Stopped: e.stopped,
		Over: e.over(), Running: e.running, Passing: e.passing, Failure: e.failure,
		HookPending: e.stands.HookPending, Lease: e.stands.Lease, TouchedAt: e.touchedAt, BuriedAt: e.buriedAt,
	}
}
