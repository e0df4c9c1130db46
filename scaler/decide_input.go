package scaler

import (
	"time"

	"github.com/greenroom/greenroom/internal/staging"
	"github.com/greenroom/greenroom/scaler/sizing"
)

// PoolInput is all that Decide knows of one pool.
type PoolInput struct {
	Config staging.Config
	// Removed: the config was deleted, so the pool is to be drained.
	Removed bool
	// NoZone, NoImage: the config names a resource that does not exist.
	NoZone, NoImage bool
	// Unreadable says which of the config, its zone and its image is stored and cannot be
	// read; "" when all can. Unknown: of one of them no readable value is known, so nothing
	// is staged or retired. UnknownImage: of the image.
	Unreadable            string
	Unknown, UnknownImage bool
	// Blocked is why the pool stages nothing and is drained; nil when it is not.
	Blocked *staging.Failure
	// Paused is why sessions are neither made nor retired; nil where they are.
	Paused *staging.Pause
	// Recycle is the last order to replace the pool's sessions; nil for none.
	Recycle *staging.Recycle
	// Denied is why some sessions of the zone are not known; nil when there are none.
	Denied *staging.Failure
	// Desired is the number of ready sessions wanted now, DesiredReason says why where it may
	// differ from the config's own, and DesiredUntil is when it changes; zero for never.
	Desired       int
	DesiredReason string
	DesiredUntil  time.Time
	// Keep is above how many the ready ones are retired; less than Desired counts as Desired.
	Keep int
	// Limit is the limit of sessions that keeps the pool from growing, nil for none, and
	// LimitUntil until when it is not tried again. Taken counts the pool's sessions that are no
	// longer unassigned, where its config has a max_sessions.
	Limit      *staging.LimitReached
	LimitUntil time.Time
	Taken      int
	// HeldBack is why the pool stages nothing now: launches wait for room in its zone, until
	// HeldUntil at most. "" where none does.
	HeldBack  string
	HeldUntil time.Time
	// Lacking is how many more the pool's demand asks for than its zone has room for.
	Lacking int
	// Revision is that of a session that is made now; "" when it is not known.
	Revision string
	// HealthKnown: Consul's health checks of the pool are current. Without them
	// nothing is published or withdrawn, and no session counts as unhealthy.
	HealthKnown bool
	// Patience is the image's: how long its sessions are waited for.
	Patience staging.Patience
	// UsualStart is how long sessions of the pool usually take from their placement on a node
	// until they are ready; 0 while that is not known.
	UsualStart time.Duration
	Members    []Member
	// Spread is how the members are spread over the nodes. Elsewhere are the nodes of the pool's
	// other sessions, for a pool with distinct_hosts.
	Spread    Spread
	Elsewhere Elsewhere
	// Unrecorded counts the pool's sessions that Nomad has and Redis does not have
	// (any more). They become members again soon, so they count as existing.
	Unrecorded int
	// Quarantined counts the pool's quarantined sessions, which QuarantinedAre names. They
	// are no members and do not count as existing.
	Quarantined    int
	QuarantinedAre string
	Backoff        Backoff
	// LastWords says what the program of the last session that crashed wrote last; "" where that
	// is not known.
	LastWords string
	// FailingNodes are the nodes that new sessions avoid, because the image fails there
	// and runs on others.
	FailingNodes []FailingNode
	// AssignHook counts the assign hook's consecutive failures.
	AssignHook Backoff
}

// Member is what Decide knows of one unassigned session of a pool. The fields that
// Decide reads of every member come first, for the cache.
type Member struct {
	// State is pending, starting or ready.
	State staging.State
	// Running: its allocation runs. Passing: its checks pass.
	Running, Passing bool
	// Over: its allocation has ended.
	Over bool
	// Draining: its node is being drained. Demoted: it is behind the others of its pool
	// in the ready queue.
	Draining, Demoted bool
	// FirstLaunch: its first_launch hook is not known to have run.
	FirstLaunch bool
	// Restarted: its main task was restarted since it was last published.
	Restarted bool
	// Misplaced: its zone, image or permissions are not those that the config now
	// names, so no launch may get it.
	// Stale: it was made from an older revision of its image, zone or permissions.
	Misplaced, Stale bool
	// Busy: a step for it is under way, or it is left alone for a moment. Unknown: a list
	// of Nomad lacks it and it may run all the same. It counts as existing and gets no step.
	Busy, Unknown bool
	// MakesRoom is why it makes room for a launch; "" if it does not.
	MakesRoom string
	// Failure: why it ended or cannot start. Refused: why no node accepts it.
	Failure, Refused *staging.Failure
	ExpiresAt        time.Time

	ID        string
	CreatedAt time.Time
	// PlacedAt is when a node was found for it; zero before that.
	PlacedAt time.Time
	// RunningSince is when it began to run. UnhealthySince is when it stopped being
	// healthy, because its checks failed or Nomad lost contact with its node; zero
	// while it is healthy, and before it first was.
	RunningSince, UnhealthySince time.Time
	// HealthyAgain is when it was healthy again in what is, as far as is known, the same start
	// of its main task; zero if it was never unhealthy in that.
	HealthyAgain time.Time
	// Check is a check of its own that fails; zero for none. Node is where it runs.
	Check staging.FailingCheck
	Node  string
	// NodeID is its node; "" until it is placed. Value is the node's of the property by which the
	// pool is spread, or the only one that it may be placed at.
	NodeID, Value string
	// Unfit: no node takes it where the pool's spread wants it. Refused is nil then.
	Unfit bool
	// Excludes counts the nodes that it must not run on (distinct_hosts). ExceptNodes are these;
	// nil if another scaler made it.
	Excludes    int
	ExceptNodes []string
	// EndReason is Nomad's reason for the end of an allocation that did not fail.
	EndReason string
}

// healthy: it runs and its checks pass.
func (m *Member) healthy() bool { return m.Running && m.Passing }

// settling: it is healthy again so lately that Nomad may have restarted its main task and not
// told yet.
func (m *Member) settling(now time.Time) bool {
	return m.State != staging.Ready && m.healthy() && now.Before(m.HealthyAgain.Add(restartToldWithin))
}

// poolInput returns Decide's input for a pool. Its members are the pool's own slice, valid
// until the pool's roster changes.
func (v *view) poolInput(p *pool, now time.Time) PoolInput {
	in := PoolInput{
		Unreadable: p.target.unreadable, Unknown: p.target.unknown, UnknownImage: p.target.unknownImage,
		Config: p.config, Removed: p.removed, NoZone: p.target.noZone, NoImage: p.target.noImage, Blocked: p.target.blocked, Denied: v.deniedIn(p.config.Zone),
		HealthKnown: p.healthKnown, Backoff: p.backoff, AssignHook: p.assignHook,
		Revision: p.target.revision, Patience: p.target.patience, UsualStart: p.usualStart, LastWords: p.lastWords,
		Unrecorded: len(p.unrecorded), FailingNodes: v.failingNodes(p.config.Image, now),
	}
	if pause, paused := v.resources.PauseOf(p.config); paused {
		in.Paused = &pause
	}
	in.Recycle = v.resources.Orders[p.config.Name].Recycle
	in.HeldBack, in.HeldUntil = v.heldBack(p.config.Zone, now)
	in.Quarantined, in.QuarantinedAre = v.quarantinedIn(p.config.Name)
	wanted := sizing.Wanted(p.config, p.size, now)
	in.Desired, in.Keep, in.DesiredUntil, in.DesiredReason = wanted.Sessions, wanted.Keep, wanted.Until, wanted.Reason
	if p.config.FollowsDemand() && p.size != nil {
		in.Lacking = p.size.Lacking
	}
	in.Spread, in.Elsewhere = v.spreadOf(p, in.FailingNodes, now), p.elsewhereOf()
	in.Limit, in.LimitUntil, in.Taken = p.limited.reached, p.limited.until, v.takenOf(p)
	in.Members = p.members.members(now, func(e *entry) Member { return v.memberOf(p, e, now) })
	return in
}

// memberOf derives Decide's input for one member. The pool's roster caches it until the
// entry, its node, its pool or the resources change, or until a pause of the entry is
// over. All code that changes one of those must note that in the roster.
func (v *view) memberOf(p *pool, e *entry, now time.Time) Member {
	value := v.valueAt(p, e.s.NodeID)
	if e.s.NodeID == "" {
		value = e.placement.Only
	}
	unfit := e.narrowed && e.refused != nil
	refused := e.refused
	if unfit {
		refused = nil
	}
	return Member{
		NodeID: e.s.NodeID, Value: value, Unfit: unfit, Excludes: e.excludes, ExceptNodes: e.placement.ExceptNodes,
		ID: e.s.ID, State: e.s.State, CreatedAt: e.s.CreatedAt, ExpiresAt: p.config.ExpiresAt(e.s.ID, e.s.CreatedAt),
		Running: e.running, Passing: e.passing, Over: e.over(), Failure: e.failed(), Refused: refused,
		PlacedAt: e.placedAt, EndReason: e.reason, Draining: v.nodes[e.s.NodeID].draining, Demoted: e.s.Demoted,
		FirstLaunch: v.firstLaunchHook(e) != nil, RunningSince: e.runningSince, UnhealthySince: e.unhealthySince, HealthyAgain: e.healthyAgain,
		Misplaced: e.s.Zone != p.config.Zone || e.s.Image != p.config.Image || e.s.Permits != p.target.permits,
		Stale:     !p.target.noZone && !p.target.noImage && e.s.Revision != p.target.revision,
		Restarted: e.restarted(), Check: v.failingCheck(e), Node: v.nodeName(e),
		MakesRoom: e.makesRoom,
		Busy:      e.busy || e.unlisted || now.Before(e.until),
		Unknown:   e.unlisted,
	}
}

// unpooledOf returns DecideSession's input for a session.
func (v *view) unpooledOf(e *entry) Unpooled {
	_, preEndDue := v.beforeEnd(e)
	return Unpooled{
		State: e.s.State, Origin: e.s.Origin, Foreign: e.foreign, Fate: e.verdict, HasJob: e.hasJob, Missing: e.missing, Unknown: e.unlisted, Stopped: e.stopped,
		Over: e.over(), Running: e.running, Passing: e.passing, WasUp: e.healthyOnce, Failure: e.failed(), Reason: e.reason,
		RoomUntil: e.roomUntil(), WaitForRoom: e.s.WaitForRoom, RoomNoted: e.roomNoted, PlacedAt: e.placedAt,
		Refused: e.refused, RunningSince: e.runningSince, Check: v.failingCheck(e), Patience: v.resources.Images[e.s.Image].Patience,
		Quarantine: e.quarantine(), Damage: e.damage, Damaged: e.damaged != "", FateLost: e.fateLost(),
		FirstLaunch: v.firstLaunchHook(e) != nil, HookUnknown: e.s.Hooks == nil && v.resources.Unknown(staging.KindImage, e.s.Image), Tagged: e.tagged,
		Terms: e.s.Terms, EndsAt: e.s.EndsAt(), KeepaliveUntil: e.s.KeepaliveUntil(), IdleDue: e.s.IdleDue(), UnvisitedEndsAt: e.s.UnvisitedEndsAt(),
		EndWarningDue: endWarningDue(v.withHooks(e)), PreEndDue: preEndDue, PreStop: !e.preStopRan && v.preStopHook(e) != nil,
		Restarted: e.restarted(), RestartNoted: e.restartNoted,
		ClaimRead: e.claimRead, BrokerGone: v.brokers.gone(e.claim(), e.touchedAt),
		Given:       e.s.User != nil || e.s.Claim != "" || e.verdict == staging.VerdictAssigned,
		HealthKnown: v.healthKnown(e) && !e.staleHealth, UnhealthyNoted: !e.s.UnhealthySince.IsZero(), UnhealthyUntil: v.unhealthyUntil(e),
		HasProfile: v.profiles[e.s.ID], Kept: v.kept(e), HookPending: e.fate().HookPending, Lease: e.leaseUntil(), TouchedAt: e.touchedAt, EndedNoticedAt: e.endedNoticedAt,
	}
}
