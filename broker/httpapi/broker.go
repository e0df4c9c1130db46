package httpapi

import (
	"context"
	"time"

	"github.com/greenroom/greenroom/broker/admin"
	"github.com/greenroom/greenroom/broker/events"
	"github.com/greenroom/greenroom/broker/gateway"
	"github.com/greenroom/greenroom/broker/launch"
	"github.com/greenroom/greenroom/broker/sessions"
	"github.com/greenroom/greenroom/broker/status"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// Broker is what the edge needs of the broker, one small interface for each group of
// handlers. Their errors are a *refusal.Error or a *staging.InvalidError; any other is
// answered as an internal error.
type Broker struct {
	Launcher Launcher
	Sessions Sessions
	// Links is nil if the broker knows no gateway, Peers if it has no peer.
	Links  Links
	Peers  Peers
	Events Events

	Zones   Resources[staging.Zone]
	Images  Resources[staging.Image]
	Groups  Resources[staging.Group]
	Pools   Pools
	Checker Checker
	Tokens  Tokens
	Secrets Secrets

	Webhooks Webhooks

	UserLocks UserLocks
	Pauses    Pauses

	Installation Installations

	Auditor Auditor
	Monitor Monitor
}

// Launcher launches one session or several, as the request asks.
type Launcher interface {
	Launch(ctx context.Context, r launch.Request) ([]launch.Result, error)
	// Launchable lists what a user may launch, by image.
	Launchable(ctx context.Context, r launch.For) ([]launch.Launchable, error)
}

// Sessions reads and changes sessions.
type Sessions interface {
	Session(ctx context.Context, id string) (staging.Session, error)
	// SessionAfter reads a session once something has happened to it after an index, or
	// when wait is over.
	SessionAfter(ctx context.Context, id string, index uint64, wait time.Duration) (s staging.Session, next uint64, err error)
	// FailingCheck returns the check for which a session is not up or not healthy; zero for
	// none.
	FailingCheck(ctx context.Context, s staging.Session) staging.FailingCheck
	// Log reads the end of a session's log.
	Log(ctx context.Context, id string, r sessions.LogRequest) (staging.LogTail, error)
	List(ctx context.Context, f staging.SessionFilter, after staging.Position, limit int) (staging.SessionPage, error)
	End(ctx context.Context, id string) error
	Keepalive(ctx context.Context, id string) (staging.Session, error)
	// Extend gives a user's session more time than its time limit.
	Extend(ctx context.Context, id string, r staging.ExtendBy) (staging.Session, error)
	Authorize(ctx context.Context, a sessions.Access) (staging.Session, error)
	// Run runs a command in a user's session.
	Run(ctx context.Context, id string, command staging.Hook) error
}

// Links makes links by which users open their sessions through a gateway.
type Links interface {
	// Make returns a link to a port, by its label, and a path; "" for the defaults.
	Make(ctx context.Context, s staging.Session, port, path string) (gateway.Link, error)
}

// Events follows what happens after the event with an id; "" means from now on.
type Events interface {
	Follow(ctx context.Context, after string) (events.Stream, error)
}

// Resources administers the resources of one kind.
type Resources[T any] interface {
	List(ctx context.Context) ([]T, error)
	Get(ctx context.Context, name string) (T, error)
	// Put returns the resource as it is stored: staging.Hidden keeps what was stored.
	Put(ctx context.Context, v T) (stored T, created bool, err error)
	Delete(ctx context.Context, name string) error
}

// Pools administers the staging configs, and returns them with the numbers of their pools.
type Pools interface {
	List(ctx context.Context) ([]status.Pool, error)
	Get(ctx context.Context, name string) (status.Pool, error)
	Put(ctx context.Context, c staging.Config) (p status.Pool, created bool, err error)
	Delete(ctx context.Context, name string) error
	// Recycle replaces the pool's sessions that are older than a duration; 0 is for all. Retry
	// tries a failing pool again at once.
	Recycle(ctx context.Context, name string, olderThan staging.Duration) (status.Pool, error)
	Retry(ctx context.Context, name string) (status.Pool, error)
}

// Pauses pauses and resumes pools.
type Pauses interface {
	List(ctx context.Context) ([]staging.Pause, error)
	// Pause reports whether the target was not paused before.
	Pause(ctx context.Context, target staging.PauseTarget, reason string) (p staging.Pause, made bool, err error)
	Resume(ctx context.Context, target staging.PauseTarget) error
}

// Checker holds a set of resources to the rules, and stores nothing.
type Checker interface {
	Check(ctx context.Context, set admin.Set) error
	// Warnings returns what is accepted in images and may not be meant, a sentence each.
	Warnings(ctx context.Context, images []staging.Image) []string
}

// Tokens administers the API's tokens.
type Tokens interface {
	List(ctx context.Context) ([]admin.TokenInfo, error)
	Create(ctx context.Context, r access.TokenRequest) (t access.Token, secret string, err error)
	Rotate(ctx context.Context, accessor string, r access.Rotation) (t access.Token, secret string, err error)
	Revoke(ctx context.Context, accessor string) error
	Bootstrap(ctx context.Context) (t access.Token, secret string, err error)
	// Used records that a token was used at a time. It must not wait.
	Used(accessor string, at time.Time)
}

// Secrets administers the keys that sign sessions' tokens and logins.
type Secrets interface {
	Rotate(ctx context.Context, overlap staging.Duration) (staging.Rotation, error)
}

// UserLocks locks users out, and lets them in again.
type UserLocks interface {
	List(ctx context.Context) ([]access.UserLock, error)
	Lock(ctx context.Context, r access.UserLockRequest) (admin.LockedUser, error)
	Unlock(ctx context.Context, userID string) error
}

// Installations shows the identity of the installation, and takes over others' jobs.
type Installations interface {
	Get(ctx context.Context) (admin.InstallationInfo, error)
	TakeOver(ctx context.Context, id string) (admin.InstallationInfo, error)
}

// Auditor records calls for auditors.
type Auditor interface {
	// Audit records a call that was denied.
	Audit(ctx context.Context, record staging.Audit)
	// Attempt records a call that is about to change something. After an error the call
	// must be refused.
	Attempt(ctx context.Context, target string) error
	// Used records that the caller's token is in use.
	Used(ctx context.Context)
	// Trace records a change that has no event of its own.
	Trace(ctx context.Context, what, name string, after any)
	// Read records that the caller read what may hold users' secrets.
	Read(ctx context.Context, what, name string)
}

// Monitor reports the state of the servers, the zones and their pools.
type Monitor interface {
	Dependencies(ctx context.Context) []status.Dependency
	Status(ctx context.Context) status.Status
	History(ctx context.Context, name string, since time.Time) (minutes []staging.Minute, now time.Time, err error)
	Forecast(ctx context.Context, name string) ([]staging.Forecast, error)
}
