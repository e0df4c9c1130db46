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
)

// Event is one thing that happened to one session.
type Event struct {
	Type    EventType
	Session string
	// Pool is the staging config's name; "" for an on-demand session.
	Pool string
	// Reason says why, for those events that have one.
	Reason string
}
