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
)

// State is the state that the session came to; ok is false for an event that
// is no move.
func (t EventType) State() (s State, ok bool) {
	switch t {
	case EventWithdrawn:
		return Starting, true
	case EventViolation, EventHookFailed:
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
}
