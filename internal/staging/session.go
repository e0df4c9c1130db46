package staging

import "time"

// Origin is how a session was created.
type Origin string

// The origins.
const (
	// Staged sessions were created ahead of time for a pool.
	Staged Origin = "staged"
	// OnDemand sessions were created for their user.
	OnDemand Origin = "on_demand"
)

// User is the user of a session.
type User struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// Session is one Nomad job with one allocation. Its id is the job's id.
type Session struct {
	ID     string `json:"id"`
	State  State  `json:"state"`
	Origin Origin `json:"origin"`
	Zone   string `json:"zone"`
	Image  string `json:"image"`
	// Staging is the staging config whose pool it was created for; "" for an on-demand session.
	Staging string `json:"staging,omitempty"`
	// Revision identifies what it was made from; see func Revision.
	Revision string `json:"revision,omitempty"`
	// Permits are the permissions that it was created with; see Permissions.Permits.
	Permits string `json:"permits,omitempty"`
	// Generation is that in which it was staged; see Generation. 0 for an on-demand session.
	Generation uint64 `json:"generation,omitempty"`
	// Claim is the id of the claim that took it; "" while it is unassigned.
	Claim string `json:"claim,omitempty"`
	// User is nil while the session is unassigned.
	User *User `json:"user,omitempty"`
	// Terms are how long the user may keep it.
	Terms Terms `json:"terms,omitzero"`
	// Hooks are those of the revision that it was made from. If they are no longer known,
	// Hooks is nil and the image's current hooks apply.
	Hooks *ExecConfig `json:"hooks,omitempty"`

	// WaitForRoom is how long it may wait for room, queued in Nomad, if no node can take it;
	// 0 for a session that does not wait.
	WaitForRoom Duration `json:"wait_for_room,omitempty"`

	// Namespace and Region are those of the Nomad job.
	Namespace string `json:"namespace,omitempty"`
	Region    string `json:"region,omitempty"`
	// AllocID and NodeID are Nomad's; "" until the session is placed.
	AllocID string `json:"alloc_id,omitempty"`
	NodeID  string `json:"node_id,omitempty"`
	// Task is the group's main task, in which hooks run.
	Task string `json:"task,omitempty"`
	// Address is the host to connect to. Ports are its ports, by their label in the jobspec.
	Address string         `json:"address,omitempty"`
	Ports   map[string]int `json:"ports,omitempty"`

	// Restarts is how often Nomad had restarted the main task when the session was last
	// prepared: made ready, or assigned, or its assign hook ran again. If Nomad reports more,
	// the main task was restarted since.
	Restarts int `json:"restarts,omitempty"`
	// RestartedAt is since when the session is its user's and not up, because its main task
	// was restarted; zero while it is up. RestartFailure is why its assign hook, which runs
	// again after that, did not succeed; "" before that.
	RestartedAt    time.Time `json:"restarted_at,omitzero"`
	RestartFailure string    `json:"restart_failure,omitempty"`

	// UnhealthySince is since when its user's session does not run with passing checks; zero
	// while it does. RecoveredAt is when it last did again after that.
	UnhealthySince time.Time `json:"unhealthy_since,omitzero"`
	RecoveredAt    time.Time `json:"recovered_at,omitzero"`

	// CreatedAt is when the session was created, before its job was registered. The other
	// times are zero until they happen.
	CreatedAt  time.Time `json:"created_at"`
	ReadyAt    time.Time `json:"ready_at,omitzero"`
	AssignedAt time.Time `json:"assigned_at,omitzero"`
	// KeepaliveAt is the time of the user's last keepalive.
	KeepaliveAt time.Time `json:"keepalive_at,omitzero"`
	// VisitedAt is when its user first used it; zero before that, and where it is not known.
	// Unvisited: its user is known not to have used it yet.
	VisitedAt time.Time `json:"visited_at,omitzero"`
	Unvisited bool      `json:"unvisited,omitempty"`
	// IdleWarnedAt is when its user was last warned that it is about to end as idle.
	IdleWarnedAt time.Time `json:"idle_warned_at,omitzero"`
	// EndWarnedOf is the end by its time limit of which its user was last warned.
	EndWarnedOf time.Time `json:"end_warned_of,omitzero"`
	EndedAt     time.Time `json:"ended_at,omitzero"`
	// ExpiresAt is when an unassigned session is due for replacement; zero means never.
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	// Demoted: its node is being drained, so launches take it only when nothing else of its
	// pool is ready. It is a mark in Redis, not one of the session's facts.
	Demoted bool `json:"-"`
	// Kept: it failed, and its pool's config keeps its job in Nomad. Redis has it apart.
	Kept bool `json:"-"`
	// Damaged is the state that Redis has of a session whose record there cannot be read
	// otherwise, or DamagedState where that cannot be read either; "" for a readable record. It is
	// read as quarantined until a scaler has written the record again.
	Damaged State `json:"-"`
	// Reason is why it is quarantined, retiring, ending or ended, or what it waits for while it
	// waits for room.
	Reason string `json:"reason,omitempty"`
}

// KeepaliveGap is the longest time without a sign that brokers receive keepalives, after
// which keepalives may have been lost: no session ends for the lack of one from before the
// next sign.
const KeepaliveGap = 5 * time.Second

// KeepaliveUntil returns when an assigned session ends unless a keepalive comes; zero for
// never.
func (s Session) KeepaliveUntil() time.Time {
	if s.Terms.Keepalive == 0 || s.AssignedAt.IsZero() {
		return time.Time{}
	}
	return s.usedAt().Add(s.Terms.Keepalive.Std())
}

// usedAt returns when an assigned session was last used.
func (s Session) usedAt() time.Time {
	if s.KeepaliveAt.After(s.AssignedAt) {
		return s.KeepaliveAt
	}
	return s.AssignedAt
}

// EndsAt returns when an assigned session reaches its time limit, with its extensions; zero for
// never.
func (s Session) EndsAt() time.Time {
	if s.Terms.TimeLimit == 0 || s.AssignedAt.IsZero() {
		return time.Time{}
	}
	return s.AssignedAt.Add(s.Terms.TimeLimit.Std() + s.Terms.Extended.Std())
}

// Health reports whether the session runs with passing checks, and since when that is as it
// is. known is false for a session that is not up yet, and for one whose end has begun.
func (s Session) Health() (healthy bool, since time.Time, known bool) {
	switch s.State {
	case Ready, Claimed, Assigned:
	default:
		return false, time.Time{}, false
	}
	if !s.UnhealthySince.IsZero() {
		return false, s.UnhealthySince, true
	}
	for _, at := range []time.Time{s.RecoveredAt, s.ReadyAt, s.AssignedAt} {
		if !at.IsZero() {
			return true, at, true
		}
	}
	return true, s.CreatedAt, true
}

// Prefixes of the sessions' Consul services. There is one service per pool, so that a
// health watch of one pool never returns instances of another, and one per zone for
// on-demand sessions.
const (
	poolServicePrefix     = "greenroom-pool-"
	onDemandServicePrefix = "greenroom-on-demand-"
)

// SessionsService is the Consul service that shows whose each assigned session is. The node
// that its instances are on has the same name.
const SessionsService = "greenroom-sessions"

// PoolService returns the name of the Consul service of a pool's sessions.
func PoolService(config string) string { return poolServicePrefix + config }

// OnDemandService returns the name of the Consul service of a zone's on-demand sessions.
func OnDemandService(zone string) string { return onDemandServicePrefix + zone }

// Service returns the name of the Consul service that the session is an instance of.
func (s Session) Service() string {
	if s.Origin == OnDemand {
		return OnDemandService(s.Zone)
	}
	return PoolService(s.Staging)
}
