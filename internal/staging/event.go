package staging

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
)

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
	// EventConditions: what is said of a pool has changed.
	EventConditions = EventType("conditions")
)

// EventTypes are all of them.
var EventTypes = []EventType{
	EventPending, EventStarting, EventReady, EventWithdrawn, EventClaimed, EventAssigned, EventRetiring, EventEnding, EventEnded,
	EventViolation, EventHookFailed, EventConditions, EventAudit,
}

// State is the state that the session came to; ok is false for an event that
// is no move.
func (t EventType) State() (s State, ok bool) {
	if t == EventWithdrawn {
		return Starting, true
	}
	if s = State(t); slices.Contains(States, s) {
		return s, true
	}
	return "", false
}

// Event is one thing that happened: to one session, or to one launch.
type Event struct {
	// ID is its position in the stream of events; "" before it is kept.
	ID   string    `json:"id,omitempty"`
	Type EventType `json:"type"`
	// At is when it was kept, by Redis's clock.
	At time.Time `json:"at,omitzero"`
	// Session is "" for an event of a launch that has none.
	Session string `json:"session,omitempty"`
	// Pool is the staging config's name; "" for an on-demand session.
	Pool string `json:"staging,omitempty"`
	// RequestID is that of the request which led to it, where that is known.
	RequestID string `json:"request_id,omitempty"`
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

	// Conditions are a pool's as they now are, for EventConditions.
	Conditions []Condition `json:"conditions,omitempty"`
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

// eventID splits an event's id: milliseconds since 1970, and a number among those of the
// same millisecond. ok is false for a text that is none.
func eventID(id string) (ms, seq uint64, ok bool) {
	a, b, found := strings.Cut(id, "-")
	ms, err := strconv.ParseUint(a, 10, 53)
	seq, err2 := strconv.ParseUint(b, 10, 64)
	return ms, seq, found && err == nil && err2 == nil
}

// ValidEventID reports whether a text has the form of an event's id.
func ValidEventID(id string) bool { _, _, ok := eventID(id); return ok }

// CompareEventIDs is negative when a is of an event before b's.
func CompareEventIDs(a, b string) int {
	ams, aseq, _ := eventID(a)
	bms, bseq, _ := eventID(b)
	return cmp.Or(cmp.Compare(ams, bms), cmp.Compare(aseq, bseq))
}

// EventTime is when the event of an id was kept.
func EventTime(id string) time.Time {
	ms, _, _ := eventID(id)
	return time.UnixMilli(int64(ms)).UTC()
}

// EventIDOf is the id that an index stands for.
func EventIDOf(index uint64) string {
	return strconv.FormatUint(index/1000, 10) + "-" + strconv.FormatUint(index%1000, 10)
}

// EventIndex is an event's id as one number, in the same order, which a double holds
// exactly: no Redis keeps a thousand events in one millisecond.
func EventIndex(id string) uint64 {
	ms, seq, _ := eventID(id)
	return ms*1000 + min(seq, 999)
}
