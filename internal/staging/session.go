package staging

import "time"

// Origin says how a session came to be.
type Origin string

// The origins.
const (
	// Staged sessions were made ahead of time for a pool.
	Staged Origin = "staged"
	// OnDemand sessions were made for the user who has them.
	OnDemand Origin = "on_demand"
)

// User is who a session is for.
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
	// Staging names the staging config whose pool it was made for; "" for an on-demand session.
	Staging string `json:"staging,omitempty"`
	// Revision is what it was made from, see Revision.
	Revision string `json:"revision,omitempty"`
	// Permits are the permissions that it was made with, see Permissions.Permits.
	Permits string `json:"permits,omitempty"`
	// Claim is the id of the launch that took it; "" while it is nobody's.
	Claim string `json:"claim,omitempty"`
	// User is nil while the session is nobody's.
	User *User `json:"user,omitempty"`
	// Terms are how long its user may keep it.
	Terms Terms `json:"terms,omitzero"`
	// Hooks are those of the revision that it was made from; nil when they are
	// not known any more, and the image's own serve.
	Hooks *ExecConfig `json:"hooks,omitempty"`

	// Namespace and Region are where Nomad has the job.
	Namespace string `json:"namespace,omitempty"`
	Region    string `json:"region,omitempty"`
	// AllocID and NodeID are Nomad's; "" until the session is placed.
	AllocID string `json:"alloc_id,omitempty"`
	NodeID  string `json:"node_id,omitempty"`
	// Task is the group's main task: where hooks run.
	Task string `json:"task,omitempty"`
	// Address is the host to connect to, Ports its ports by their label in the jobspec.
	Address string         `json:"address,omitempty"`
	Ports   map[string]int `json:"ports,omitempty"`

	// CreatedAt is when its job was first wanted; the others are zero until they happen.
	CreatedAt  time.Time `json:"created_at"`
	ReadyAt    time.Time `json:"ready_at,omitzero"`
	AssignedAt time.Time `json:"assigned_at,omitzero"`
	// KeepaliveAt is when its user's last keepalive came.
	KeepaliveAt time.Time `json:"keepalive_at,omitzero"`
	EndedAt     time.Time `json:"ended_at,omitzero"`
	// ExpiresAt is when an unassigned session is due for replacement; zero means never.
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	// Reason says why it is retiring, ending or ended.
	Reason string `json:"reason,omitempty"`
}

// KeepaliveUntil is when an assigned session ends unless a keepalive comes; zero is never.
func (s Session) KeepaliveUntil() time.Time {
	if s.Terms.Keepalive == 0 || s.AssignedAt.IsZero() {
		return time.Time{}
	}
	last := s.AssignedAt
	if s.KeepaliveAt.After(last) {
		last = s.KeepaliveAt
	}
	return last.Add(s.Terms.Keepalive.Std())
}

// EndsAt is when an assigned session ends whatever comes; zero is never.
func (s Session) EndsAt() time.Time {
	if s.Terms.TimeLimit == 0 || s.AssignedAt.IsZero() {
		return time.Time{}
	}
	return s.AssignedAt.Add(s.Terms.TimeLimit.Std())
}

// Service names of the sessions in Consul: one per pool, so that a health
// watch of one pool never returns another's, and one per zone for the
// on-demand sessions.
const (
	poolServicePrefix     = "greenroom-pool-"
	onDemandServicePrefix = "greenroom-on-demand-"
)

// PoolService is the Consul service of a pool's sessions.
func PoolService(config string) string { return poolServicePrefix + config }

// OnDemandService is the Consul service of a zone's on-demand sessions.
func OnDemandService(zone string) string { return onDemandServicePrefix + zone }

// Service is the Consul service that this session is an instance of.
func (s Session) Service() string {
	if s.Origin == OnDemand {
		return OnDemandService(s.Zone)
	}
	return PoolService(s.Staging)
}
