// Package refusal has the broker's refusals: errors with a kind that callers can act
// on, a detail that names the next step, and the cause for the log.
//
// It promises that the text of a Kind never changes: it is the `code` of the API's
// problem documents. Values that are not valid are a *staging.InvalidError instead,
// which names the fields.
package refusal

import (
	"fmt"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// Kind sorts refusals by what a caller can do about them.
type Kind string

// The kinds. Their text is the stable `code` of the API's problem documents.
const (
	// NotFound: the resource or session does not exist (any more).
	NotFound Kind = "not_found"
	// NoLog: the session, or the task, has no log.
	NoLog Kind = "no_log"
	// InUse: a zone or image that a staging config names cannot be deleted.
	InUse Kind = "in_use"
	// SessionBusy: the session is being assigned at this moment.
	SessionBusy Kind = "session_busy"
	// KeyReused: the Idempotency-Key was used for another launch before.
	KeyReused Kind = "idempotency_key_reused"
	// KeyInFlight: a launch with this Idempotency-Key is still under way.
	KeyInFlight Kind = "idempotency_key_in_flight"
	// ImageDisabled: the image is switched off.
	ImageDisabled Kind = "image_disabled"
	// ResourceUnreadable: a zone, image, group or staging config that the call names is
	// stored and cannot be read.
	ResourceUnreadable Kind = "resource_unreadable"
	// StoredByNewer: what the call would change, or needs, was stored by a newer greenroom in a
	// layout that this one does not know.
	StoredByNewer Kind = "stored_by_newer"
	// SessionLimit: there are as many sessions as a limit allows: of the user, of the image or of
	// the zone.
	SessionLimit Kind = "session_limit"
	// ProfileInUse: another session uses the user's persistent profile.
	ProfileInUse Kind = "profile_in_use"
	// NotAssigned: the session is not assigned to a user, or no longer.
	NotAssigned Kind = "session_not_assigned"
	// ExtensionLimit: the session's time limit cannot be extended so far, or at all.
	ExtensionLimit Kind = "extension_limit"
	// CommandFailed: a command that an administrator ran in a session did not end well.
	CommandFailed Kind = "command_failed"
	// Bootstrapped: a token was made before; it may be revoked since.
	Bootstrapped Kind = "already_bootstrapped"
	// Unauthorized: the session does not exist, or the token is not its access token.
	Unauthorized Kind = "unauthorized"
	// Forbidden: the token is right, but the zone does not allow the origin.
	Forbidden Kind = "forbidden"
	// UserLocked: an administrator has locked the user out.
	UserLocked Kind = "user_locked"
	// NoCapacity: nothing was ready and nothing could be placed.
	NoCapacity Kind = "no_capacity"
	// Overloaded: the broker is at a bound of what it does at once.
	Overloaded Kind = "overloaded"
	// Stopping: the broker is about to stop; another one serves the launch.
	Stopping Kind = "stopping"
	// LaunchFailed: a session could not be made or could not start, one of its hooks
	// failed (first_launch, assign or go), or it was ended during the launch.
	LaunchFailed Kind = "launch_failed"
	// ConsulUnavailable, NomadUnavailable, RedisUnavailable: that server did not answer.
	ConsulUnavailable Kind = "consul_unavailable"
	NomadUnavailable  Kind = "nomad_unavailable"
	RedisUnavailable  Kind = "redis_unavailable"
	// PeerUnavailable: the greenroom of another region, which alone knows, does not answer.
	PeerUnavailable Kind = "peer_unavailable"
	// TooLate: the launch came after the time by which it was to begin.
	TooLate Kind = "too_late"
)

// LaunchRefusals are the kinds with which a launch may be refused once it is under way.
var LaunchRefusals = []Kind{
	KeyReused, KeyInFlight, SessionLimit, ProfileInUse, SessionBusy, NotAssigned, NoCapacity, Overloaded, Stopping, LaunchFailed,
	ConsulUnavailable, NomadUnavailable, RedisUnavailable, PeerUnavailable, TooLate, ResourceUnreadable, StoredByNewer, UserLocked,
}

// Error is a refusal with a reason and, in Detail, what the caller can do next.
type Error struct {
	Kind   Kind
	Detail string
	// RetryAfter is a hint for when the same call may go through; 0 for none.
	RetryAfter time.Duration
	// Attempts are the steps that the launch tried.
	Attempts []staging.Attempt
	// Sessions are the ids of the user's sessions that count, for SessionLimit, and that of the
	// session that has the profile, for ProfileInUse.
	Sessions []string
	// Limit is the limit that is reached, for SessionLimit.
	Limit *staging.LimitReached
	// Unhealthy are those of Sessions that are known not to be healthy.
	Unhealthy []string
	// Cause is for the log, not for the caller.
	Cause error
}

// Error implements error.
func (e *Error) Error() string {
	if e.Cause != nil {
		return fmt.Sprintf("%s: %s: %v", e.Kind, e.Detail, e.Cause)
	}
	return fmt.Sprintf("%s: %s", e.Kind, e.Detail)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }
