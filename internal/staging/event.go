package staging

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// EventType names what happened to a session. Most types are the session's new state.
type EventType string

// The events.
const (
	EventPending  = EventType(Pending)
	EventStarting = EventType(Starting)
	EventReady    = EventType(Ready)
	EventClaimed  = EventType(Claimed)
	EventAssigned = EventType(Assigned)
	// EventQuarantined: it may be a user's, and no readable record says whether it is.
	EventQuarantined = EventType(Quarantined)
	EventRetiring    = EventType(Retiring)
	EventEnding      = EventType(Ending)
	EventEnded       = EventType(Ended)
	// EventWithdrawn: its checks fail, or its pool's config now has another image or zone.
	EventWithdrawn = EventType("withdrawn")
	// EventRestarted: its main task was restarted under its user, so it is not up.
	// EventReassigned: after that its assign hook has run again, and it is up.
	EventRestarted  = EventType("restarted")
	EventReassigned = EventType("reassigned")
	// EventUnhealthy: its user's session no longer runs with passing checks.
	// EventRecovered: it does again.
	EventUnhealthy = EventType("unhealthy")
	EventRecovered = EventType("recovered")
	// EventIdleSoon: its user's session has not been used for most of its idle_expiration, and
	// ends unless it is used.
	EventIdleSoon = EventType("idle_soon")
	// EventEndingSoon: its user's session is about to reach its time limit. EventExtended: the
	// limit was extended.
	EventEndingSoon = EventType("ending_soon")
	EventExtended   = EventType("extended")
	// EventWaitingForRoom: no node can take a session that is made on demand. Its job stays
	// queued in Nomad until room comes or its wait_for_room is over.
	EventWaitingForRoom = EventType("waiting_for_room")
	// EventViolation: a launch had a setting that no staged session can honour.
	EventViolation = EventType("violation")
	// EventHookFailed: a hook failed in a session.
	EventHookFailed = EventType("hook_failed")
	// EventPaused, EventResumed: an administrator paused or resumed a pool, the pools of a zone,
	// or all. EventRecycled, EventRetried: one ordered that of a pool.
	EventPaused   = EventType("paused")
	EventResumed  = EventType("resumed")
	EventRecycled = EventType("recycled")
	EventRetried  = EventType("retried")
	// EventFailed: a session of a pool failed before anybody had it.
	EventFailed = EventType("failed")
	// EventSized: the demand of a pool asks for another number of sessions.
	EventSized = EventType("sized")
	// EventAudit: a call was denied, or an administrator changed something.
	EventAudit = EventType("audit")
	// EventConditions: the conditions of a pool changed.
	EventConditions = EventType("conditions")
)

// EventTypes lists all types.
var EventTypes = []EventType{
	EventPending, EventStarting, EventReady, EventWithdrawn, EventClaimed, EventAssigned, EventQuarantined, EventRetiring, EventEnding, EventEnded,
	EventRestarted, EventReassigned, EventUnhealthy, EventRecovered, EventIdleSoon, EventEndingSoon, EventExtended, EventWaitingForRoom, EventViolation, EventHookFailed, EventFailed, EventConditions, EventSized,
	EventPaused, EventResumed, EventRecycled, EventRetried, EventAudit,
}

// State returns the session's new state. ok is false for an event that is not a move.
func (t EventType) State() (s State, ok bool) {
	if t == EventWithdrawn {
		return Starting, true
	}
	if s = State(t); slices.Contains(States, s) {
		return s, true
	}
	return "", false
}

// Event is something that happened to one session, one launch or one pool.
type Event struct {
	// ID is its position in the stream of events; "" before it was stored.
	ID   string    `json:"id,omitempty"`
	Type EventType `json:"type"`
	// At is when it was stored, by Redis's clock.
	At time.Time `json:"at,omitzero"`
	// Session is "" for an event without a session.
	Session string `json:"session,omitempty"`
	// Pool is the staging config's name; "" for an on-demand session.
	Pool string `json:"staging,omitempty"`
	// RequestID is the id of the request that caused it, if known.
	RequestID string `json:"request_id,omitempty"`
	// Reason says why it happened; "" for some types.
	Reason string `json:"reason,omitempty"`

	// Zone is that of the session, launch or pool; "" for an audit record.
	Zone string `json:"zone,omitempty"`
	// User is the id of the user whose session or launch it is; "" for none.
	User string `json:"user_id,omitempty"`

	// The following fields are for violations and failed hooks.
	Image string `json:"image,omitempty"`
	// Setting and Where are those of the violation.
	Setting string `json:"setting,omitempty"`
	Where   string `json:"where,omitempty"`
	// Hook is the hook that failed, Stdout and Stderr the ends of its output.
	Hook   HookName `json:"hook,omitempty"`
	Stdout string   `json:"stdout,omitempty"`
	Stderr string   `json:"stderr,omitempty"`
	// TaskEvents are what Nomad noted of the tasks of a session that failed, of which Stderr has
	// the last lines.
	TaskEvents []string `json:"task_events,omitempty"`

	// Audit is set for EventAudit only.
	Audit Audit `json:"audit,omitzero"`

	// Conditions are the pool's new conditions, for EventConditions only.
	Conditions []Condition `json:"conditions,omitempty"`
}

// AuditOutcome is the outcome of an audited call.
type AuditOutcome string

// The outcomes.
const (
	// AuditDenied: the caller was not authenticated, or may not do this.
	AuditDenied AuditOutcome = "denied"
	// AuditChanged: the change was made.
	AuditChanged AuditOutcome = "changed"
	// AuditUnknown: it is not known whether the change was made.
	AuditUnknown AuditOutcome = "unknown"
	// AuditAttempted: the change is about to be made. Another record with the same request
	// id has its outcome, unless nothing was changed.
	AuditAttempted AuditOutcome = "attempted"
	// AuditUsed: the caller's token was used from an address, for the first time in a while.
	AuditUsed AuditOutcome = "used"
	// AuditRead: the caller read what may hold users' secrets, such as a session's log.
	AuditRead AuditOutcome = "read"
)

// Audit is the record of an audited call: the caller, the operation and its outcome. It
// holds no secret: Before and After leave out every field that may be one.
type Audit struct {
	// Who is the caller: "token:ACCESSOR", "user:ID", "anybody" if access control is off, or
	// "nobody" if the caller is not known.
	Who string `json:"who"`
	// Role is the caller's; "" if it is not known.
	Role string `json:"role,omitempty"`
	// Operation is the API's operationId, or a method and path without one.
	Operation string `json:"operation"`
	// Action says in words what a person does with it; "" for none, and in what is stored.
	Action  string       `json:"action,omitempty"`
	Outcome AuditOutcome `json:"outcome"`
	// Target is the object of the call, such as "zone east"; for a denied call its path.
	Target string `json:"target,omitempty"`
	// Before and After are the object in JSON before and after the call; "" if it did not
	// exist.
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
	// Reason says why a call was denied, or why its outcome is not known.
	Reason string `json:"reason,omitempty"`
	// Remote is the address of the caller, RequestID the id of the request.
	Remote    string `json:"remote,omitempty"`
	RequestID string `json:"request_id,omitempty"`
}

// eventID splits an event's id into milliseconds since 1970 and a sequence number within
// the millisecond. ok is false if the text is not an id.
func eventID(id string) (ms, seq uint64, ok bool) {
	a, b, found := strings.Cut(id, "-")
	ms, err := strconv.ParseUint(a, 10, 53)
	seq, err2 := strconv.ParseUint(b, 10, 64)
	return ms, seq, found && err == nil && err2 == nil
}

// ValidEventID reports whether a text has the form of an event's id.
func ValidEventID(id string) bool { _, _, ok := eventID(id); return ok }

// CompareEventIDs returns a negative number if event a is before event b.
func CompareEventIDs(a, b string) int {
	ams, aseq, _ := eventID(a)
	bms, bseq, _ := eventID(b)
	return cmp.Or(cmp.Compare(ams, bms), cmp.Compare(aseq, bseq))
}

// EventTime returns when the event was stored.
func EventTime(id string) time.Time {
	ms, _, _ := eventID(id)
	return time.UnixMilli(int64(ms)).UTC()
}

// EventIDOf is the inverse of EventIndex.
func EventIDOf(index uint64) string {
	return strconv.FormatUint(index/1000, 10) + "-" + strconv.FormatUint(index%1000, 10)
}

// EventIndex returns an event's id as one number, in the same order. A double holds it
// exactly. It leaves room for 1000 events per millisecond, which is more than Redis stores.
func EventIndex(id string) uint64 {
	ms, seq, _ := eventID(id)
	return ms*1000 + min(seq, 999)
}
