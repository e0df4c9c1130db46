package launch

import (
	"context"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/broker/background"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

// Resources are the zones, images, groups and staging configs in Consul.
type Resources interface {
	// Resources returns the copy in memory, Refresh reads a new one.
	Resources() staging.Resources
	Refresh(ctx context.Context) (staging.Resources, error)
	// Keys returns keys that all brokers share; the first call makes them.
	Keys(ctx context.Context, name string) (staging.SigningKeys, error)
}

// Locks are the locked users in Consul.
type Locks interface {
	// UserLocked reports whether a user is locked; an error means that it is not known.
	UserLocked(ctx context.Context, userID string) (bool, error)
}

// Fates are the records in Consul that decide whose a session is.
type Fates interface {
	// CreateFates decides several sessions, all or none. lost are the records that
	// existed before. A *staging.KeyHeldError: another launch holds the Idempotency-Key. An
	// *access.LockedError: the user was locked meanwhile. A *staging.OutdatedError: a resource of
	// the first fate's MadeOf was changed meanwhile.
	CreateFates(ctx context.Context, fates []staging.Fate) (created []staging.Fate, lost map[string]staging.Fate, err error)
	// FinishFates records that the assign hooks have finished, of all or of none.
	FinishFates(ctx context.Context, fates []staging.Fate) error
	// AbandonFate takes a record from its claim, which then cannot finish it. After an error
	// other than a conflict it is not known whether it did.
	AbandonFate(ctx context.Context, f staging.Fate, reason string) error
	// Fate reads one record; staging.ErrNoResource for none. Decided returns which of some
	// sessions have one, and Fates reads all of them: only used while Redis is away or not
	// trusted.
	Fate(ctx context.Context, session string) (staging.Fate, error)
	Decided(ctx context.Context, sessions []string) (map[string]bool, error)
	Fates(ctx context.Context) (map[string]staging.Fate, error)
	// Key reads which launch holds an Idempotency-Key; staging.ErrNoResource for none.
	// ReleaseKey frees it, if the claim holds it.
	Key(ctx context.Context, idempotencyKey string) (staging.KeyHold, error)
	ReleaseKey(ctx context.Context, idempotencyKey, claim string) error
	// Generation reads the generation of staged sessions.
	Generation(ctx context.Context) (staging.Generation, error)
	// Ping checks that Consul answers.
	Ping(ctx context.Context) error
}

// Crossings are the records in Consul of what launches were given by peers.
type Crossings interface {
	// HoldCrossing binds a key to a crossing, in place of the record with hold.Index; 0 for none.
	// A *staging.KeyHeldError: another launch holds the key. After another error it is not
	// known whether it did.
	HoldCrossing(ctx context.Context, idempotencyKey string, hold staging.KeyHold) (staging.KeyHold, error)
	// FinishCrossing records the sessions that a peer gave, and DropCrossing that it gave none; an
	// error also where another broker has asked the peer meanwhile.
	FinishCrossing(ctx context.Context, hold staging.KeyHold, given []staging.RemoteSession) error
	DropCrossing(ctx context.Context, idempotencyKey string, hold staging.KeyHold) error
}

// Peers are the brokers of other regions.
type Peers interface {
	// Reachable returns why a peer is not asked just now; nil where it is.
	Reachable(peer string) error
	// Launch asks a peer for the sessions of a launch, and returns them as they are there. The
	// error is a *PeerRefusal where it is known that it gave none; any other leaves that open.
	Launch(ctx context.Context, peer string, r PeerRequest) ([]Result, error)
}

// Store is the sessions and claims in Redis.
type Store interface {
	// Claim takes n ready sessions from the pools, in their order, or none.
	Claim(ctx context.Context, pools []staging.Config, n int, c staging.Claim) (staging.ClaimResult, error)
	// Unclaim puts a claimed session back of which no fate was recorded, nor will be.
	Unclaim(ctx context.Context, s staging.Session) error
	// Begin records an on-demand session, born with its user and claim.
	Begin(ctx context.Context, s staging.Session, c staging.Claim) (staging.ClaimResult, error)
	Assign(ctx context.Context, s staging.Session) (staging.Session, error)
	Finish(ctx context.Context, id, claim, reason string) error
	// Restore records a session as its fate has it.
	Restore(ctx context.Context, s staging.Session, f staging.Fate) (staging.State, error)
	UserSessions(ctx context.Context, userID string) ([]staging.Session, error)
	// Counts returns how many sessions of pools exist unassigned, and how many are ready.
	Counts(ctx context.Context, pools ...string) (current, ready map[string]int, err error)
	// Trusted reports whether a scaler has renewed its trust in Redis for a zone.
	Trusted(ctx context.Context, zone string) (bool, error)
	// Note keeps an event that is no move of a session.
	Note(ctx context.Context, e staging.Event) error
}

// Keys are the Idempotency-Keys in Redis.
type Keys interface {
	// KeyHolder reads which launch holds a key.
	KeyHolder(ctx context.Context, idempotencyKey string) (staging.KeyHolder, error)
	// Release frees a claim's key; where a session is named, only while the key names it.
	Release(ctx context.Context, idempotencyKey, claim, session string) error
	// RenewKey renews the lease of a key that an unfinished launch's claim holds.
	// KeepKey is the same for a lease of another length.
	RenewKey(ctx context.Context, idempotencyKey, claim string) error
	KeepKey(ctx context.Context, idempotencyKey, claim string, lease time.Duration) error
	// DetachKey takes the sessions from a claim's key: the launch tries others.
	DetachKey(ctx context.Context, idempotencyKey, claim string) error
	// Adopt reserves a key for a session that the user has already, Bind binds it for its
	// whole life.
	Adopt(ctx context.Context, idempotencyKey string, c staging.Claim, session string) (staging.ClaimResult, error)
	Bind(ctx context.Context, idempotencyKey, claim string) error
	// Rebind binds the key that a repeat's claim holds to the earlier launch.
	Rebind(ctx context.Context, idempotencyKey string, repeat staging.Claim, holder staging.KeyHolder) error
}

// Profiles is the leases of persistent profiles in Consul.
type Profiles interface {
	// TakeProfile leases a profile to a session unless another session has it; holder is
	// then that lease, zero where it was freed in the same moment.
	TakeProfile(ctx context.Context, lease staging.ProfileLease) (taken bool, holder staging.ProfileLease, err error)
	// ProfileHolder reads a profile's lease; the zero value for none.
	ProfileHolder(ctx context.Context, path string) (staging.ProfileLease, error)
	// ReleaseProfile frees the lease of a session.
	ReleaseProfile(ctx context.Context, lease staging.ProfileLease) error
}

// Quota keeps the limits of sessions, for all brokers and scalers together.
type Quota interface {
	// Reserve reserves a place for sessions that are about to be made or given, or returns the
	// limit that they would exceed. staging.ErrUncounted: Nomad did not answer; else Consul did
	// not. After an error a place may be held for a while.
	Reserve(ctx context.Context, r staging.Reservation, limits []staging.SessionLimit) (*staging.LimitReached, error)
	// Release gives back the places of a holder.
	Release(ctx context.Context, holder string) error
}

// Sessions reads sessions as their users see them.
type Sessions interface {
	// Session reads one; a *refusal.Error of kind NotFound for none.
	Session(ctx context.Context, id string) (staging.Session, error)
	// SessionAfter reads one once something has happened to it after an index, or when wait
	// is over, and returns the index to wait with next; with index 0 it reads at once.
	SessionAfter(ctx context.Context, id string, index uint64, wait time.Duration) (staging.Session, uint64, error)
}

// Fleet is the sessions' jobs in Nomad.
type Fleet interface {
	Register(ctx context.Context, spec staging.Spec) (evalID string, err error)
	Placement(ctx context.Context, s staging.Session, evalID string) (staging.PlacementFacts, error)
	WaitRunning(ctx context.Context, s staging.Session) (staging.AllocFacts, error)
	WaitOver(ctx context.Context, s staging.Session) (staging.AllocFacts, error)
	// LastLine returns the last line that a task of a session's allocation wrote to its
	// standard error; "" for none.
	LastLine(ctx context.Context, s staging.Session, a staging.AllocFacts, task string) (string, error)
	Stop(ctx context.Context, s staging.Session) error
	// Find reads a session from its job and allocation; staging.ErrNoSession when its job
	// does not exist or is stopped.
	Find(ctx context.Context, s staging.Session) (staging.Session, error)
	// NewestGeneration returns the latest generation of the newest sessions in a zone's
	// namespace.
	NewestGeneration(ctx context.Context, zone staging.Zone) (uint64, error)
	// Ping checks that Nomad answers.
	Ping(ctx context.Context) error
}

// Health is the sessions' checks in Consul's catalog.
type Health interface {
	WaitPassing(ctx context.Context, service, session string) error
	// FailingCheck reads the check for which a session is failing now; zero for none.
	FailingCheck(ctx context.Context, s staging.Session) (staging.FailingCheck, error)
	// Passing reads a service's instances as they are now.
	Passing(ctx context.Context, service string) ([]staging.Health, error)
}

// Hooks runs an image's hooks. After any error of a run, a *staging.HookError or another,
// the hook is not known to have done its work.
type Hooks interface {
	// Ready prepares to run the assign hook in a session, so that the run begins sooner;
	// nothing of a user's is sent. The caller runs or drops what it returns.
	Ready(ctx context.Context, s staging.Session, h staging.Hook) Assignment
	// Run runs a hook for a launch; first_launch at most once a session, whoever calls.
	Run(ctx context.Context, s staging.Session, name staging.HookName, h staging.Hook, l staging.Launch) error
}

// Assignment is an assign hook that is ready to run.
type Assignment interface {
	// Open connects to the session, unless that is done, so that Run begins at once. After an
	// error the session is unused; a staging.ErrExecDenied among them stays until it is mended.
	Open(ctx context.Context) error
	Run(ctx context.Context, l staging.Launch) error
	// Drop gives up the preparation; after a run it does nothing.
	Drop()
}

// Shells are those opened ahead of time in sessions of a pool.
type Shells interface {
	// Armed returns the sessions of a pool in which a shell waits.
	Armed(pool string) []string
}

// Meter counts what launches do.
type Meter interface {
	// Attempt counts a step of a launch by its outcome.
	Attempt(step staging.Step, outcome staging.Outcome)
	// Violation counts a launch with a setting that no staged session can honour.
	Violation(v staging.Violation)
	// WithoutRedis counts a launch that was served while Redis was away.
	WithoutRedis()
	// Refused counts a launch that got no session, by why.
	Refused(why refusal.Kind)
	// HookFailed counts a hook that failed.
	HookFailed(name staging.HookName)
	// OnDemandQueued observes a launch that waited for its turn to make a session, and
	// whether its turn came.
	OnDemandQueued(waited time.Duration, served bool)
	// Launched observes a served launch.
	Launched(origin staging.Origin, t staging.Timings)
}

// Servers are the adapters that launches work with.
type Servers struct {
	Resources Resources
	Locks     Locks
	Fates     Fates
	Store     Store
	Keys      Keys
	Profiles  Profiles
	Quota     Quota
	Fleet     Fleet
	Health    Health
	Hooks     Hooks
	// Shells is nil where none is opened ahead of time.
	Shells Shells
	Meter  Meter
	// Crossings and Peers are nil where no peer is configured.
	Crossings Crossings
	Peers     Peers
}

// Parts are the servers, and what a broker's launches share with its other rooms.
type Parts struct {
	Servers
	Sessions Sessions
	// WakeShells is called after a launch that may have taken sessions of an image with an
	// assign hook: the next shells can be opened. Nil for nothing to call.
	WakeShells func()
	// Background runs what answers do not wait for.
	Background *background.Group
	Log        *logrus.Entry
}
