package scaler

import (
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// entry is what the scaler knows of one session. Only the loop uses it. There may be many: its
// fields are in an order that leaves few gaps, and a test bounds its size.
type entry struct {
	// s is the session as last observed. Its State is the one in Redis; "" when Redis
	// does not have it.
	s staging.Session
	// verdict is that of its fate record; "" while there is none or it is not known.
	verdict staging.Verdict
	// record is the record itself, for Restore and for ending a claim; nil for none. Most
	// sessions have none, and it is a good part of an entry.
	record *staging.Fate
	// claimSeenAt is when this scaler first saw the session claimed, fateSeenAt when it
	// first saw this fate. A lease is counted from there: its own times are those of
	// another host's clock.
	claimSeenAt, fateSeenAt time.Time
	// fateAbsent: the last resync found no fate record, and no launch has claimed it since.
	// lostFate: a restore of Consul may have lost its fate record.
	// fateUnfinished: the last resync found it unfinished, although Redis had the session as
	// its user's before.
	// redisOlder: Redis was wiped or restored as well, so that its word is not enough.
	fateAbsent, fateUnfinished, lostFate, redisOlder bool
	// damaged: as staging.Session.Damaged; the session's state is "" then.
	damaged staging.State
	// damage is what is wrong with its record in Redis.
	damage string

	// takenOver: its job was created by another installation and taken over.
	takenOver bool
	// foreign: Nomad has a job of its id that belongs to another installation, so nothing
	// acts on it.
	foreign bool
	// hasJob: Nomad has its job, or its registration is under way. missing: Nomad answered
	// that its job does not exist.
	hasJob, missing bool
	// unlisted: the last list of Nomad lacks it, and Nomad has not answered that its job
	// does not exist: it may run, so it is left alone. denied: Nomad refused that answer.
	unlisted, denied   bool
	stopped, dead      bool
	running, allocOver bool
	// replaced: Nomad has made another allocation in place of its own.
	replaced         bool
	passing          bool
	narrowed         bool
	failure, refused *staging.Failure
	// failedTask is the task that caused failure; "" if that is not known.
	failedTask string
	// placement narrows where Nomad may place it, as far as this scaler made it. narrowed and
	// excludes say it of every session: as staging.Placement.Narrowed, and the number of
	// ExceptNodes. noted is the refusal that its pool has noted.
	placement staging.Placement
	excludes  int
	noted     string
	// reason is Nomad's reason for the end of an allocation that did not fail, or for an
	// end that may come.
	reason string
	// The newest Raft indexes seen of each part; older ones are stale.
	jobIndex, allocIndex, placementIndex uint64
	// jobSeenAt is when its job was last observed.
	jobSeenAt time.Time

	// firstLaunched: its first_launch hook has run. firstLaunchTries counts the tries
	// in which it could not be started, firstLaunchFailure is why it failed.
	firstLaunched      bool
	firstLaunchTries   int
	firstLaunchFailure *staging.Failure
	// restarts is how often Nomad has restarted its main task. s.Restarts is the number for
	// which it was last prepared.
	restarts int
	// restartNoted: Redis shows that it is not up. reassignTries counts the tries in which
	// the assign hook could not be started again.
	restartNoted  bool
	reassignTries int
	// staleHealth: its checks pass, perhaps because they have no result since the restart;
	// from freshAt on they have. From failureFreshAt on a failing check is of the program
	// that runs now. checkEvery is within what time the checks have a result.
	staleHealth             bool
	failureFreshAt, freshAt time.Time
	checkEvery              time.Duration
	// preEndRan is the end for which its pre_end hook has run, preStopRan: its pre_stop hook has.
	preEndRan  time.Time
	preStopRan bool
	// needs is what it reserves on its node.
	needs staging.Needs
	// makesRoom is why it is to make room for a launch; "" if it is not. roomMade are those
	// that make room for it.
	makesRoom string
	roomMade  []roomMade
	// roomNoted is what Redis shows that it waits for, while no node can take it.
	roomNoted string
	// placedAt is when its allocation was first observed.
	placedAt time.Time
	// runningSince, unhealthySince, healthyAgain: as in Member. healthyOnce: it has been healthy.
	runningSince, unhealthySince time.Time
	healthyAgain                 time.Time
	healthyOnce                  bool
	// startNoted: it has counted towards its pool's usual time to ready.
	startNoted bool
	// failingSince is since when, without a break, it runs and a check of its own is
	// critical. It is observed anew after each gap: a time in which nobody watched does not
	// count towards a user's unhealthy_expiration.
	failingSince time.Time
	// seenAt is when this scaler first knew of it.
	seenAt time.Time
	// request is the id of the request whose launch has the session; "" where that is
	// not known.
	request string
	// tagged: its user and terms were read since it was assigned.
	tagged bool

	// claimRead: s.Claim and fate are those of the claim that holds it.
	claimRead bool
	// busy: a step for it is under way. until: it is left alone until then.
	busy  bool
	until time.Time
	// counted: its failure was counted towards its pool's backoff.
	counted                   bool
	touchedAt, endedNoticedAt time.Time

	// pool is the pool of which it is a member; nil for none. changed: that pool's
	// roster has it in its list of changed entries.
	pool    *pool
	changed bool
}

// setFate takes over a session's fate record.
func (e *entry) setFate(f staging.Fate, now time.Time) {
	if e.verdict != f.Verdict || e.fate().Claim != f.Claim || !e.fate().Lease.Equal(f.Lease) {
		e.fateSeenAt = now
	}
	e.verdict, e.record, e.fateAbsent, e.fateUnfinished = f.Verdict, &f, f.Verdict == "", false
	if f.Verdict == "" {
		e.record = nil
	}
}

// undecided is the record of sessions without one. Nothing writes to it.
var undecided staging.Fate

// fate returns its fate record, to be read alone.
func (e *entry) fate() *staging.Fate {
	if e.record == nil {
		return &undecided
	}
	return e.record
}

// seenIn notes the state in which Redis has a session.
func (e *entry) seenIn(state staging.State, now time.Time) {
	switch {
	case state != staging.Claimed:
		e.claimSeenAt = time.Time{}
	case e.claimSeenAt.IsZero():
		e.claimSeenAt = now
	}
}

// fateDelay is how long after its claim a fate may be decided.
const fateDelay = 10 * time.Second

// leaseUntil returns, on this scaler's clock, until when a broker may be working on the
// claim of an assigned fate. The length of the lease is the difference of two times of the
// broker's clock. It is counted from when the claim was first seen, or where that was not,
// the fate.
func (e *entry) leaseUntil() time.Time {
	length := e.fate().Lease.Sub(e.fate().DecidedAt)
	if e.fate().DecidedAt.IsZero() || length <= 0 {
		length = staging.ClaimLease
	}
	from := e.fateSeenAt
	if at := e.claimSeenAt.Add(fateDelay); !e.claimSeenAt.IsZero() && at.Before(from) {
		from = at
	}
	return from.Add(length)
}

// over: nothing of it runs or will run, or Nomad has replaced it. A stopped job without
// a known allocation may still have one, unless it was never placed.
func (e *entry) over() bool {
	return e.dead || e.allocOver || e.replaced || (e.stopped && e.s.AllocID == "" && e.refused != nil)
}

// pooled: it is an unassigned session of a pool, which Decide handles. All others are
// handled by DecideSession.
func (e *entry) pooled() bool {
	return e.s.Origin == staging.Staged && e.s.State.Unassigned() && e.verdict == "" && (e.hasJob || e.unlisted) &&
		!(e.redisOlder && e.lostFate)
}

// unrecorded: it is a pool's session that Nomad has, that has no fate as far as is
// known, and that Redis does not have.
func (e *entry) unrecorded() bool {
	return e.s.Origin == staging.Staged && e.s.State == "" && e.verdict == "" && e.hasJob && !e.stopped && !e.over() && e.quarantine() == ""
}

// failed returns why a session is unusable; nil when it is not known to be.
func (e *entry) failed() *staging.Failure {
	if e.firstLaunchFailure != nil {
		return e.firstLaunchFailure
	}
	return e.failure
}

// joinPool makes it a member of a pool, or with nil of none.
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

// setUserFacts takes over what Redis has of a session's user and terms.
func (v *view) setUserFacts(e *entry, x staging.Session) {
	e.s.User, e.s.Terms, e.s.AssignedAt, e.s.KeepaliveAt = x.User, x.Terms, x.AssignedAt, x.KeepaliveAt
	e.s.VisitedAt, e.s.Unvisited, e.s.IdleWarnedAt, e.s.EndWarnedOf = x.VisitedAt, x.Unvisited, x.IdleWarnedAt, x.EndWarnedOf
	e.s.UnhealthySince = x.UnhealthySince
	e.s.Restarts, e.restartNoted = x.Restarts, !x.RestartedAt.IsZero() && x.RestartFailure == ""
	if e.s.Hooks == nil {
		e.s.Hooks = x.Hooks
	}
}
