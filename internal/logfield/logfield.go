// Package logfield lists the names of all fields that the broker's and the scaler's
// log lines have, besides logrus's own time, level, msg and error. It promises that a
// thing is called the same in every line of both: who looks for a session or a request
// looks for one field.
package logfield

// What a line is about.
const (
	// Session is a session's id, Staging the pool's staging config.
	Session = "session"
	Staging = "staging"
	// Sessions are the ids of all sessions of a launch for several, with blanks between.
	Sessions = "sessions"
	Zone     = "zone"
	Image    = "image"
	// UserID is the user's id; names are not logged.
	UserID = "user_id"
	// Claim is a launch's hold on a session.
	Claim  = "claim"
	Origin = "origin"
	State  = "state"
	// Reason says why, in words.
	Reason = "reason"
	// RequestID is that of the API's request which asked for it: in the broker's lines,
	// the hook's environment, the claim's event, and the scaler's lines about the session.
	RequestID = "request_id"
)

// A launch's steps, and the scaler's.
const (
	Step    = "step"
	Outcome = "outcome"
	// At is the zone of a step, which may be another than the launch's.
	At      = "at"
	Setting = "setting"
	Where   = "where"
	Event   = "event"
	// Condition is a condition's type.
	Condition = "condition"
)

// A request, in the access log.
const (
	Method     = "method"
	Path       = "path"
	Route      = "route"
	Status     = "status"
	Code       = "code"
	DurationMS = "duration_ms"
	Bytes      = "bytes"
	Remote     = "remote"
	Caller     = "caller"
	Stack      = "stack"
)

// An audit line.
const (
	Audit     = "audit"
	Who       = "who"
	Role      = "role"
	Operation = "operation"
	Target    = "target"
	Before    = "before"
	After     = "after"
)

// The agent itself.
const (
	// Address is what it listens on.
	Address = "address"
	// Server is one that it leans on, Source what it follows there.
	Server = "server"
	Source = "source"
	// Key is one in Consul's KV store.
	Key = "key"
	// Level is the log's own, after it was changed.
	Level = "log_level"
)

// All are all of them.
var All = []string{
	Session, Sessions, Staging, Zone, Image, UserID, Claim, Origin, State, Reason, RequestID,
	Step, Outcome, At, Setting, Where, Event, Condition,
	Method, Path, Route, Status, Code, DurationMS, Bytes, Remote, Caller, Stack,
	Audit, Who, Role, Operation, Target, Before, After,
	Address, Server, Source, Key, Level,
}
