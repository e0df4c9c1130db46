// Package logfield lists the names of all fields in the log lines of the broker and the
// scaler, besides logrus's own time, level, msg and error. It promises that a thing has
// the same field in every line of both: one search finds all lines about a session or a
// request.
package logfield

// The subject of a line.
const (
	// Session is a session's id, Staging the name of the pool's staging config.
	Session = "session"
	Staging = "staging"
	// Sessions are the ids of all sessions of a launch, separated by blanks.
	Sessions = "sessions"
	Zone     = "zone"
	Image    = "image"
	// Peer is the name of the greenroom of another region.
	Peer = "peer"
	// Webhook is a webhook's name, DeadLetters a number of its dead letters.
	Webhook     = "webhook"
	DeadLetters = "dead_letters"
	// UserID is the user's id. Users' names are never logged.
	UserID = "user_id"
	// Groups are the names of a user's groups, separated by commas.
	Groups = "groups"
	// Claim is the id of a launch's claim on a session.
	Claim  = "claim"
	Origin = "origin"
	State  = "state"
	// Reason is the reason as text.
	Reason = "reason"
	// RequestID is the id of the API request that caused the line. The hook's environment
	// and the claim's event have it, too.
	RequestID = "request_id"
	// TraceID is the id of the trace, where traces are exported.
	TraceID = "trace_id"
)

// Steps of a launch or of the scaler.
const (
	Step    = "step"
	Outcome = "outcome"
	// At is the zone of a step, which may differ from the launch's.
	At      = "at"
	Setting = "setting"
	Where   = "where"
	Event   = "event"
	// Condition is a condition's type.
	Condition = "condition"
)

// A request in the access log.
const (
	Method     = "method"
	Path       = "path"
	Route      = "route"
	Status     = "status"
	Code       = "code"
	DurationMS = "duration_ms"
	Bytes      = "bytes"
	Remote     = "remote"
	// Refused is how many calls of an address were refused.
	Refused = "refused"
	Caller  = "caller"
	Stack   = "stack"
)

// An audit event.
const (
	Audit     = "audit"
	Who       = "who"
	Role      = "role"
	Operation = "operation"
	Target    = "target"
	Before    = "before"
	After     = "after"
	// The record's place in its chain, see internal/audittrail.
	AuditChain    = "audit_chain"
	AuditSeq      = "audit_seq"
	AuditAt       = "audit_at"
	AuditPrevious = "audit_previous"
	AuditHash     = "audit_hash"
)

// The agent itself.
const (
	// Address is the address that the agent listens on.
	Address = "address"
	// Server is a server that the agent depends on, Source what it watches there.
	Server = "server"
	Source = "source"
	// Key is a key in Consul's KV store.
	Key = "key"
	// Absent is how many known sessions a list lacks.
	Absent = "absent"
	// Installation is the id of the installation that the agent belongs to.
	Installation = "installation"
	// Version and Commit say which greenroom the agent is.
	Version = "version"
	Commit  = "commit"
	// Level is the new log level, after a change.
	Level = "log_level"
)

// All lists all fields. A test checks that log lines have no others.
var All = []string{
	Session, Sessions, Staging, Zone, Image, Webhook, DeadLetters, UserID, Groups, Claim, Origin, State, Reason, RequestID, TraceID,
	Step, Outcome, At, Setting, Where, Event, Condition,
	Method, Path, Route, Status, Code, DurationMS, Bytes, Remote, Refused, Caller, Stack,
	Audit, Who, Role, Operation, Target, Before, After, AuditChain, AuditSeq, AuditAt, AuditPrevious, AuditHash,
	Address, Server, Source, Key, Absent, Installation, Version, Commit, Level,
}
