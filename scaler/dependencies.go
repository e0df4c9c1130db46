package scaler

import (
	"context"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// Registry is Consul's KV store: the resources and the fate records.
type Registry interface {
	// Watch calls emit with the current resources and again at every change, until
	// it fails.
	Watch(ctx context.Context, emit func(staging.Resources)) error
	// Fate returns one fate record; staging.ErrNoResource for none. Fates returns all of
	// them by session id. One that cannot be read has staging.VerdictUnreadable.
	Fate(ctx context.Context, session string) (staging.Fate, error)
	Fates(ctx context.Context) (map[string]staging.Fate, error)
	// Generation reads the generation of staged sessions, and NextGeneration begins one,
	// later than known, before sessions are made. Restored notes that Consul was restored
	// from a snapshot after sessions up to the generation highest were made.
	Generation(ctx context.Context) (staging.Generation, error)
	NextGeneration(ctx context.Context, known uint64) (staging.Generation, error)
	Restored(ctx context.Context, highest uint64) (staging.Generation, error)
	// CreateFate writes a session's fate unless it has one. It returns the session's
	// fate and whether this call decided it. After an error the outcome is unknown.
	CreateFate(ctx context.Context, f staging.Fate) (won bool, existing staging.Fate, err error)
	// RestoreFate writes a fate again that Consul has lost, and returns the session's fate.
	RestoreFate(ctx context.Context, f staging.Fate) (existing staging.Fate, err error)
	// FinishFates notes that the claims of fates are finished, unless they were changed.
	FinishFates(ctx context.Context, fates []staging.Fate) error
	// AbandonFate takes the session from a claim that is unfinished after its lease:
	// a broker that returns late can no longer finish it. It fails when the claim was
	// finished meanwhile.
	AbandonFate(ctx context.Context, f staging.Fate, reason string) error
	DeleteFate(ctx context.Context, session string) error
}

// Brokers is the brokers as Consul shows them.
type Brokers interface {
	// Brokers returns the brokers that Consul has, by id, and whether each is alive.
	Brokers(ctx context.Context) (map[string]bool, error)
}

// SessionStore holds the sessions in Redis. Each method that changes a session is
// one atomic transition. A transition that the session's state does not allow fails
// with a *staging.StateError, which names that state.
type SessionStore interface {
	// Record stores a pending or starting session and returns the state that it has
	// afterwards; a later state is kept. It stores no on-demand session that Redis
	// does not have, because the user is not known here: then the state is "".
	Record(ctx context.Context, s staging.Session) (staging.State, error)
	// Retire starts the end of an unassigned session: it cannot be claimed afterwards.
	Retire(ctx context.Context, s staging.Session, reason string) error
	// Assign completes an assignment and returns the session with the time of it. It
	// may be repeated.
	Assign(ctx context.Context, s staging.Session) (staging.Session, error)
	// Restore rewrites a user's session from its fate record and returns the state that
	// it has afterwards.
	Restore(ctx context.Context, s staging.Session, f staging.Fate) (staging.State, error)
	// Ended notes that nothing of a session runs any more.
	Ended(ctx context.Context, s staging.Session, reason string) error
	// Session reads one session; staging.ErrNoSession when Redis does not have it.
	Session(ctx context.Context, id string) (staging.Session, error)
	// Sessions reads all sessions.
	Sessions(ctx context.Context) ([]staging.Session, error)
}

// AssignedStore holds the sessions that have a user in Redis. Its methods are transitions, too.
type AssignedStore interface {
	// Restarted notes that a user's session is not up, because its main task was restarted.
	// Reassigned notes that its assign hook has run again, for the start that s.Restarts
	// counts; with a failure the session is not up. Both may be repeated.
	Restarted(ctx context.Context, s staging.Session, reason string) error
	Reassigned(ctx context.Context, s staging.Session, failure, reason string) error
	// NoteHealth notes whether a user's session runs with passing checks. It may be repeated.
	NoteHealth(ctx context.Context, s staging.Session, healthy bool, reason string) error
	// Finish starts the end of a user's session. An empty claim matches any claim.
	Finish(ctx context.Context, id, claim, reason string) error
	// ExpireKeepalive ends a session whose keepalive has expired, unless a keepalive
	// arrived in time or may have been lost, and returns the session as it then is.
	ExpireKeepalive(ctx context.Context, s staging.Session) (staging.Session, error)
	// ExpireIdle is the same for a session that is not used. It warns the user first.
	ExpireIdle(ctx context.Context, s staging.Session) (staging.Session, error)
	// ExpireUnvisited is the same for a session that its user has not used yet.
	ExpireUnvisited(ctx context.Context, s staging.Session) (staging.Session, error)
	// ExpireLimit is the same for a session that has reached its time limit, unless it was
	// extended meanwhile.
	ExpireLimit(ctx context.Context, s staging.Session, reason string) (staging.Session, error)
	// WarnEnd warns the user that the time limit is near, once for each such end.
	WarnEnd(ctx context.Context, s staging.Session, warning string) (staging.Session, error)
	// Extend takes over a later time limit from the fate record, in s.Terms.
	Extend(ctx context.Context, s staging.Session, reason string) (staging.Session, error)
}

// RoomStore notes in Redis what launches wait for.
type RoomStore interface {
	// NoteRoom notes what an on-demand session that is not placed waits for. It may be
	// repeated.
	NoteRoom(ctx context.Context, s staging.Session, reason string) error
}

// QuarantineStore changes records in Redis that do not tell whose a session is.
type QuarantineStore interface {
	// Quarantine stores a session as quarantined, unless it is a user's or over, and returns
	// the state that it has afterwards.
	Quarantine(ctx context.Context, s staging.Session) (staging.State, error)
	// Discard deletes the record of a session that cannot be read.
	Discard(ctx context.Context, s staging.Session) error
}

// QueueStore holds the pools' ready queues in Redis, from which launches claim sessions.
// Its methods are transitions, too.
type QueueStore interface {
	// Publish makes a session claimable, Withdraw makes it unclaimable again.
	Publish(ctx context.Context, s staging.Session) error
	Withdraw(ctx context.Context, s staging.Session) error
	// Reorder puts a ready session behind those that are not demoted if it is Demoted,
	// else back to its place by age, and returns its state, which does not change.
	Reorder(ctx context.Context, s staging.Session) (staging.State, error)
}

// TrustStore holds the markers in Redis that say whether claims may use it.
type TrustStore interface {
	// Elsewhere reports whether a zone's last marker was placed on another server than the one
	// that answers: a replica took over, or Redis started again. It may lack the newest writes.
	Elsewhere(ctx context.Context, zone string) (bool, error)
	// PlaceMarker writes a zone's marker without renewing the zone's trust, which ends
	// on another server than the last marker's.
	PlaceMarker(ctx context.Context, zone, marker string) error
	// RenewTrust replaces a zone's marker and makes Redis trusted there for
	// staging.TrustTTL. renewed is false when the marker before is no longer there, or is
	// older than the renewal allows.
	RenewTrust(ctx context.Context, zone string, r staging.TrustRenewal) (renewed bool, err error)
	// RestartKeepalives starts every session's keepalive period again.
	RestartKeepalives(ctx context.Context) error
	// Epoch returns an id that changes when Redis's data was wiped.
	Epoch(ctx context.Context) (string, error)
}

// EventStore holds the event stream and the pools' conditions and rollouts in Redis.
type EventStore interface {
	// Note adds an event that is no transition of a session.
	Note(ctx context.Context, e staging.Event) error
	// WriteReport replaces what is reported of a pool.
	WriteReport(ctx context.Context, r staging.PoolReport) error
	// Usual returns the usual times to ready that are stored, by pool.
	Usual(ctx context.Context) (map[string]time.Duration, error)
	// Now is the time by Redis's clock.
	Now(ctx context.Context) (time.Time, error)
	// LastEvent returns the position of the newest event.
	LastEvent(ctx context.Context) (position string, err error)
	// Events returns the events after a position, and the position of the last of
	// them. It waits up to block for the first.
	Events(ctx context.Context, after string, block time.Duration) (events []staging.Event, position string, err error)
}

// Fleet is Nomad: the jobs of the sessions.
type Fleet interface {
	Register(ctx context.Context, spec staging.Spec) (evalID string, err error)
	Stop(ctx context.Context, s staging.Session) error
	Purge(ctx context.Context, s staging.Session) error
	// Exists reports whether Nomad has a session's job. Only an answer that it does not
	// exist is false; staging.ErrJobDenied means that the token may not read it.
	Exists(ctx context.Context, s staging.Session) (bool, error)
	// LastWords reads the last lines that a task of a session's allocation wrote to its standard
	// error, shortened, and what Nomad noted of its tasks; without a task only that. What could be
	// read is returned beside an error.
	LastWords(ctx context.Context, s staging.Session, a staging.AllocFacts, task string) (staging.LastWords, error)
	// Remains reads what Nomad has of a session.
	Remains(ctx context.Context, s staging.Session) (staging.Remains, error)
	// List lists everything, except the sessions that the token may not list.
	List(ctx context.Context) ([]staging.Observation, error)
	// Watch emits what happens, until it fails, events may be missing, or follow fails.
	// follow is called once, as soon as nothing can be missed any more. It lists everything,
	// as List does, as often as it likes. Events wait for the first list, and for no other.
	Watch(ctx context.Context, emit func(staging.Observation), follow func(ctx context.Context, list listFunc) error) error
}

// listFunc lists everything that Nomad has.
type listFunc = func(ctx context.Context) ([]staging.Observation, error)

// Health is Consul's catalog of health checks.
type Health interface {
	// Watch calls emit with a service's current instances and again at every change,
	// until it fails.
	Watch(ctx context.Context, service string, emit func([]staging.Health)) error
}

// Hooks runs hooks in sessions. However often and from wherever a method is called, the
// hook runs at most once for each start of the session's main task, which s.Restarts counts;
// one that comes before an end, at most once for that end.
// The error may be a *staging.HookError.
type Hooks interface {
	// FirstLaunch runs a session's first_launch hook.
	FirstLaunch(ctx context.Context, s staging.Session, h staging.Hook) error
	// AssignAgain runs the assign hook again after a restart.
	AssignAgain(ctx context.Context, s staging.Session, h staging.Hook) error
	// BeforeEnd runs a pre_end or pre_stop hook of a user's session.
	BeforeEnd(ctx context.Context, s staging.Session, name staging.HookName, h staging.Hook, end staging.End) error
}

// Locks are the zone locks: one per zone, so that several scalers share the zones
// and take over from each other.
type Locks interface {
	// Want sets the zones whose locks this scaler tries to hold from now on.
	Want(zones []string)
	// Held reports whether a zone's lock is certainly held now.
	Held(zone string) bool
}

// Meter records metrics.
type Meter interface {
	// Step counts a step that was applied, by kind and by whether it failed.
	Step(k Kind, failed bool)
	// Pool sets a pool's numbers as the scaler sees them, and how full it is.
	Pool(name string, s staging.PoolStatus, fill staging.Fill)
	// PoolGone removes a pool that has been drained, or that another scaler now handles.
	PoolGone(name string)
	// Conditions sets a pool's conditions.
	Conditions(name string, cs []staging.Condition)
	// Quarantined sets the number of quarantined sessions.
	Quarantined(n int)
	// UnreadableFates sets how many fate records cannot be read.
	UnreadableFates(n int)
	// UnreadableResources sets how many stored resources cannot be read, by kind.
	UnreadableResources(kinds map[staging.ResourceKind]int)
	// HookFailed counts a hook that failed.
	HookFailed(name staging.HookName)
	// Denied sets, by zone, how many sessions Nomad does not let the scaler see. Zones
	// without such sessions are not in it. It must not keep the map.
	Denied(sessions map[string]int)
	// WaitingForRoom sets, by zone, how many launches wait for room where this scaler acts.
	// It must not keep the map.
	WaitingForRoom(launches map[string]int)
	// Zones sets the wanted zone locks, and the zones in which this scaler acts. Both
	// include the lock for sessions without a known zone. It must not keep the maps.
	Zones(there, acting map[string]bool)
}

// Board shows pool statuses in Consul. Its methods record the newest value and
// never block.
type Board interface {
	// Show sets a pool's status. The caller does not change its conditions afterwards.
	Show(pool string, s staging.PoolStatus)
	// Gone removes a pool that has been drained, or that another scaler now handles.
	Gone(pool string)
	// Holds sets the zones in which this scaler acts, and whether its sources are in
	// sync: while they are not, statuses in Consul are not renewed and expire. It must
	// not keep the map.
	Holds(zones map[string]bool, inSync bool)
}

// Catalog shows in Consul whose each assigned session is. Its methods record the newest
// value and never block.
type Catalog interface {
	// Show sets what is shown of an assigned session.
	Show(a staging.Assignment)
	// Keep leaves what is shown of a session as it is: the session may be assigned, and
	// its user is not known yet.
	Keep(session, zone string)
	// Gone removes what is shown of a session that is not assigned any more.
	Gone(session string)
	// Holds sets the zones in which this scaler acts, all zones that exist or have
	// sessions, and whether its sources are in sync. What is shown in a zone of this
	// scaler and was in no call of Show or Keep is removed. It must not keep the maps.
	Holds(acting, wanted map[string]bool, inSync bool)
}

// noCatalog shows nothing.
type noCatalog struct{}

func (noCatalog) Show(staging.Assignment)            {}
func (noCatalog) Keep(_, _ string)                   {}
func (noCatalog) Gone(string)                        {}
func (noCatalog) Holds(_, _ map[string]bool, _ bool) {}

// noBoard shows nothing.
type noBoard struct{}

func (noBoard) Show(string, staging.PoolStatus) {}
func (noBoard) Gone(string)                     {}
func (noBoard) Holds(map[string]bool, bool)     {}
