package staging

// EventType names what happened to a session. Most are the state it came to.
type EventType string

// The events.
const (
	EventPending  = EventType(Pending)
	EventStarting = EventType(Starting)
	EventReady    = EventType(Ready)
	EventClaimed  = EventType(Claimed)
	EventAssigned = EventType(Assigned)
	EventRetiring = EventType(Retiring)
	EventEnding   = EventType(Ending)
	EventEnded    = EventType(Ended)
	// EventWithdrawn: its checks fail, or its pool's config now asks for another image or zone.
	EventWithdrawn = EventType("withdrawn")
	// EventViolation: a launch had a setting that no staged session can honour.
	EventViolation = EventType("violation")
	// EventHookFailed: a hook failed in a session.
	EventHookFailed = EventType("hook_failed")
	// EventAudit: a call was denied, or an administrator changed something.
	EventAudit = EventType("audit")
)

// State is the state that the session came to; ok is false for an event that
// is no move.
func (t EventType) State() (s State, ok bool) {
	switch t {
	case EventWithdrawn:
		return Starting, true
	case EventViolation, EventHookFailed, EventAudit:
		return "", false
	}
	return State(t), true
}

// Event is one thing that happened: to one session, or to one launch.
type Event struct {
	Type EventType `json:"type"`
	// Session is "" for an event of a launch that has none.
	Session string `json:"session,omitempty"`
	// Pool is the staging config's name; "" for an on-demand session.
	Pool string `json:"staging,omitempty"`
	// Reason says why, for those events that have one.
	Reason string `json:"reason,omitempty"`

	// The rest is for violations and failed hooks.
	Zone  string `json:"zone,omitempty"`
	Image string `json:"image,omitempty"`
	// User is the user's id.
	User string `json:"user_id,omitempty"`
	// Setting and Where are the violation's.
	Setting string `json:"setting,omitempty"`
	Where   string `json:"where,omitempty"`
	// Hook is the one that failed, Stdout and Stderr the ends of what it wrote.
	Hook   HookName `json:"hook,omitempty"`
	Stdout string   `json:"stdout,omitempty"`
	Stderr string   `json:"stderr,omitempty"`

	// Audit is for audit events alone.
	Audit Audit `json:"audit,omitzero"`
}

// AuditOutcome is how a call went that is kept for auditors.
type AuditOutcome string

// The outcomes.
const (
	// AuditDenied: the caller was not let in, or may not do this.
	AuditDenied AuditOutcome = "denied"
	// AuditChanged: it was done.
	AuditChanged AuditOutcome = "changed"
	// AuditUnknown: it was tried, and whether it was done is not known.
	AuditUnknown AuditOutcome = "unknown"
)

// Audit says who did what, or was not let. It holds no secret: what may be one is
// left out of Before and After.
type Audit struct {
	// Who is "token:ACCESSOR", "user:ID", "anybody" where access is not guarded, or
	// "nobody" where the caller is not known.
	Who string `json:"who"`
	// Role is the caller's; "" where it is not known.
	Role string `json:"role,omitempty"`
	// Operation is the API's operationId, or a method and path where there is none.
	Operation string       `json:"operation"`
	Outcome   AuditOutcome `json:"outcome"`
	// Target is what it is about, such as "zone east"; for a denied call its path.
	Target string `json:"target,omitempty"`
	// Before and After are JSON; "" where there was nothing, or is nothing.
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
	// Reason says why a call was denied, or why its outcome is not known.
	Reason string `json:"reason,omitempty"`
	// Remote is the address of the caller, RequestID the request's.
	Remote    string `json:"remote,omitempty"`
	RequestID string `json:"request_id,omitempty"`
}
