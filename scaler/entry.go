package scaler

import (
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// entry is what the scaler knows of one session. Only the loop touches it.
type entry struct {
	// s is the session as last known; its state is what Redis was last heard to say.
	s       staging.Session
	verdict staging.Verdict
	// stands is its fate record, for Restore.
	fate staging.Fate

	// hasJob: Nomad has its job, or is being given it. missing: a full reading
	// did not find it.
	hasJob, missing    bool
	stopped, dead      bool
	running, allocOver bool
	// replaced: Nomad has made another allocation in its place.
	replaced         bool
	passing          bool
	failure, refused *staging.Failure
	// reason is what Nomad says of the end of an allocation that did not fail, or
	// of why it may come.
	reason                               string
	jobIndex, allocIndex, placementIndex uint64

	// launched: its first_launch hook has run. firstLaunchTries counts the tries that
	// never began, hookFailure is how it failed.
	firstLaunched      bool
	firstLaunchTries   int
	firstLaunchFailure *staging.Failure
	// placedAt is when its allocation was first heard of.
	placedAt time.Time
	// runningSince, unhealthySince: as Member has them. healthyOnce: its checks
	// have passed before.
	runningSince, unhealthySince time.Time
	healthyOnce                  bool
	// request is the id of the request whose launch has the session; "" where that is
	// not known.
	request string
	// tagged: Consul shows whose it is.
	tagged bool

	// busy: a step for it is under way. until: it is left alone till then.
	busy  bool
	until time.Time
	// counted: its failure has been counted towards its pool's backoff.
	counted                   bool
	touchedAt, endedNoticedAt time.Time

	// pool is whose member it is; nil while it is none's. changed: that pool's
	// roster has noted it as changed.
	pool    *pool
	changed bool
}

// node is what the scaler knows of one of Nomad's nodes.
type node struct {
	index    uint64
	draining bool
}

// over: nothing of it runs or will, or Nomad has given it up. A stopped job of which no allocation was
// heard may still have one, unless it was never placed.
func (e *entry) over() bool {
	return e.dead || e.allocOver || e.replaced || (e.stopped && e.s.AllocID == "" && e.refused != nil)
}

// pooled: it is an unassigned session of a pool, which Decide sees to. The
// others are DecideSession's.
func (e *entry) pooled() bool {
	return e.s.Origin == staging.Staged && e.s.State.Unassigned() && e.verdict == "" && e.hasJob
}

// enter makes it a pool's member, or with nil nobody's.
func (e *entry) joinPool(p *pool) {
	if e.pool == p {
		return
	}
	if e.pool != nil {
		e.pool.members.remove(e)
	}
	if e.pool = p; p != nil {
		p.members.add(e)
	}
}

// unsettled: it runs for a pool, nobody has it, and Redis does not know it.
func (e *entry) unrecorded() bool {
	return e.s.Origin == staging.Staged && e.s.State == "" && e.verdict == "" && e.hasJob && !e.stopped && !e.over()
}

// pool is what the scaler knows of one staging config's pool.
type pool struct {
	config  staging.Config
	removed bool
	members roster
	target  target
	// unsettled are sessions that run and that Redis does not know.
	unrecorded map[string]bool
	// healthKnown: the watch on its service has spoken and not failed since.
	healthKnown bool
	// health is what Consul says of each allocation: a clone that Nomad made of a
	// lost one has its own, and is not the session.
	health    map[string]staging.Health
	stopWatch func()
	backoff   Backoff
	// assignHook counts the assign hook's failures since one succeeded.
	assignHook Backoff
	conditions []staging.Condition
	// reported is what Redis was last told; nil when it must be told anew.
	reported *[]staging.Condition
	wake     time.Time
}

// target is what a pool's config comes to with the resources as they are. It is worked
// out at every change of them, and not for every decision.
type target struct {
	noZone, noImage bool
	blocked         *staging.Failure
	// permits and revision are those of a session that is made now.
	permits, revision string
}

// failed says why a session is no good; nil when it is not known to be.
func (e *entry) failed() *staging.Failure {
	if e.firstLaunchFailure != nil {
		return e.firstLaunchFailure
	}
	return e.failure
}
