package sessions

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/logfield"
	"github.com/greenroom/greenroom/internal/staging"
)

// Store is what this package needs of Redis.
type Store interface {
	Session(ctx context.Context, id string) (staging.Session, error)
	// Page reads a part of the sessions that have not ended, the oldest first, or of those that
	// have, the last one to end first.
	Page(ctx context.Context, f staging.SessionFilter, after staging.Position, limit int) (staging.SessionPage, error)
	Keepalive(ctx context.Context, id string) (staging.Session, error)
	// Extend takes over a later end from the fate record, in s.Terms; a *staging.StateError if the
	// session is not assigned to this claim.
	Extend(ctx context.Context, s staging.Session, reason string) (staging.Session, error)
	// NoteReceiving records that keepalives can be received now, and returns since when
	// they can without a gap.
	NoteReceiving(ctx context.Context) (since time.Time, err error)
	// NoteGateway is the same for a gateway.
	NoteGateway(ctx context.Context) (since time.Time, err error)
	Assign(ctx context.Context, s staging.Session) (staging.Session, error)
	// Finish marks a user's session as ending, Retire an unused one as retiring; a
	// *staging.StateError when it has moved on.
	Finish(ctx context.Context, id, claim, reason string) error
	Retire(ctx context.Context, s staging.Session, reason string) error
	// UserSessions reads the sessions of a user that have not ended.
	UserSessions(ctx context.Context, userID string) ([]staging.Session, error)
}

// Registry is what this package needs of Consul.
type Registry interface {
	Resources() staging.Resources
	Fate(ctx context.Context, session string) (staging.Fate, error)
	// CreateFate decides a session once; won is false when it was decided before, and
	// valid is the record that counts.
	CreateFate(ctx context.Context, f staging.Fate) (won bool, valid staging.Fate, err error)
	// Keys returns keys that all brokers share; the first caller creates them.
	Keys(ctx context.Context, name string) (staging.SigningKeys, error)
	// Fates reads the records of all sessions, for all sessions of a user.
	Fates(ctx context.Context) (map[string]staging.Fate, error)
	// AbandonFate takes a record from its claim, which then cannot finish it.
	AbandonFate(ctx context.Context, f staging.Fate, reason string) error
	// ExtendFate stores a record with a later end, unless it was changed since it was read.
	ExtendFate(ctx context.Context, f staging.Fate) error
	// UserLocked reports whether a user is locked; an error means that it is not known.
	UserLocked(ctx context.Context, userID string) (bool, error)
}

// Fleet is what this package needs of Nomad.
type Fleet interface {
	Stop(ctx context.Context, s staging.Session) error
	// Find reads a session from its job and allocation; staging.ErrNoSession when its job
	// does not exist or is stopped.
	Find(ctx context.Context, s staging.Session) (staging.Session, error)
	// LogTail reads the last lines of a stream of a task's log; staging.ErrNoLog when there
	// is none. With task "" it is the main task's.
	LogTail(ctx context.Context, s staging.Session, task, stream string, lines int) (staging.LogTail, error)
}

// Health is what this package needs of the sessions' checks in Consul.
type Health interface {
	// FailingCheck reads the check for which a session is failing now; zero for none.
	FailingCheck(ctx context.Context, s staging.Session) (staging.FailingCheck, error)
}

// Commands runs commands in sessions.
type Commands interface {
	// Run runs a command in a user's session to its end. An error is a *staging.HookError.
	Run(ctx context.Context, s staging.Session, command staging.Hook) error
}

// Servers are the adapters that sessions are read and changed with.
type Servers struct {
	Store    Store
	Registry Registry
	Fleet    Fleet
	Health   Health
	Commands Commands
	// Meter counts extensions; nil counts none.
	Meter Meter
}

// Meter counts what callers ask for.
type Meter interface {
	// Extended counts an extension that was asked for, and whether it was granted.
	Extended(granted bool)
}

// noMeter counts nothing.
type noMeter struct{}

func (noMeter) Extended(bool) {}

// Changes signal that something has happened to a session.
type Changes interface {
	// Index returns the index of the newest change.
	Index(ctx context.Context) (uint64, error)
	// Await returns when something has happened to a session after an index, or may have,
	// or when wait is over.
	Await(ctx context.Context, session string, index uint64, wait time.Duration)
}

// Auditor records the sessions that callers end: Changed those that an administrator ends,
// with what was ended.
type Auditor interface {
	Changed(ctx context.Context, what, name string, before, after any, err error)
	Trace(ctx context.Context, what, name string, after any)
}

// Sessions reads and changes sessions. It may be used concurrently.
type Sessions struct {
	Servers
	changes Changes
	auditor Auditor
	log     *logrus.Entry
	// records are for while Redis does not answer, missed the keepalives that came then.
	records *records
	missed  missedKeepalives
	// uses are those that Redis is told.
	uses *uses
	// running holds a place for each command that runs in a session.
	running chan struct{}
}

// New returns the sessions of the servers.
func New(on Servers, changes Changes, auditor Auditor, log *logrus.Entry) *Sessions {
	if on.Meter == nil {
		on.Meter = noMeter{}
	}
	return &Sessions{Servers: on, changes: changes, auditor: auditor, log: log, records: newRecords(on.Registry, on.Fleet), uses: newUses(), running: make(chan struct{}, commandsAtOnce)}
}

// Session reads one session, also one that ended not long ago. A session is assigned from
// the answer of its launch on, also before Redis has it. While Redis does not answer, those
// that have a user can be read, from their fate records and jobs.
func (s *Sessions) Session(ctx context.Context, id string) (staging.Session, error) {
	found, err := s.inRedis(ctx, id)
	var e *refusal.Error
	if found.Damaged != "" || errors.As(err, &e) && e.Kind == refusal.RedisUnavailable {
		if r, failed := s.records.of(ctx, id); failed == nil && r.located {
			return r.session, nil
		}
	}
	return found, err
}

// FailingCheck returns the check that keeps a session from being up, or for which a user's is
// not healthy; zero for none, and where Consul does not answer.
func (s *Sessions) FailingCheck(ctx context.Context, of staging.Session) staging.FailingCheck {
	if healthy, _, known := of.Health(); of.State != staging.Starting && (healthy || !known) {
		return staging.FailingCheck{}
	}
	ctx, cancel := context.WithTimeout(ctx, deadline.Consul)
	defer cancel()
	check, err := s.Health.FailingCheck(ctx, of)
	if err != nil {
		s.log.WithError(err).WithField(logfield.Session, of.ID).Debug("cannot read a session's checks; it is shown without them")
	}
	return check
}

// inRedis reads one session from Redis, with its true state.
func (s *Sessions) inRedis(ctx context.Context, id string) (staging.Session, error) {
	redis, cancel := context.WithTimeout(ctx, deadline.Redis)
	defer cancel()
	found, err := s.Store.Session(redis, id)
	if errors.Is(err, staging.ErrNoSession) {
		return found, notFound(id, err)
	}
	if err != nil {
		return found, refusal.NoRedis(err)
	}
	return s.withFate(ctx, found), nil
}

// withFate returns a session that Redis shows as claimed with its true state: assigned
// where its fate record is finished. Redis gets that in the background, after the answer.
func (s *Sessions) withFate(ctx context.Context, found staging.Session) staging.Session {
	if found.State != staging.Claimed {
		return found
	}
	ctx, cancel := context.WithTimeout(ctx, deadline.Consul)
	defer cancel()
	f, err := s.Registry.Fate(ctx, found.ID)
	if err == nil && f.Verdict == staging.VerdictAssigned && f.Claim == found.Claim && !f.HookPending {
		found.State, found.AssignedAt = staging.Assigned, f.DecidedAt
	}
	return found
}

func notFound(id string, err error) *refusal.Error {
	return &refusal.Error{Kind: refusal.NotFound, Detail: fmt.Sprintf("there is no session %q, or it ended a while ago", id), Cause: err}
}

// List reads up to limit of the sessions that match the filter, from after a position on:
// those that have not ended, the oldest first, or, if the filter selects them, those that have,
// the last one to end first. One page reads a bounded number of sessions, so
// that a page may be short although more follow.
func (s *Sessions) List(ctx context.Context, f staging.SessionFilter, after staging.Position, limit int) (staging.SessionPage, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline.Redis)
	defer cancel()
	f.Outdated = s.Registry.Resources().Outdated
	page, err := s.Store.Page(ctx, f, after, limit)
	if err != nil {
		return page, refusal.NoRedis(err)
	}
	return page, nil
}

// maxWait bounds a wait for a change; the API allows no longer wait.
const maxWait = 10 * time.Minute

// SessionAfter reads a session once something has happened to it after an index, or when
// wait is over, and returns the index to wait with next. With index 0 it reads at once, and
// also with one so old that what happened since is no longer known. A session that has
// ended does not change any more and is not waited for.
//
// A change is a move of the session or a noted event about it, not a keepalive.
func (s *Sessions) SessionAfter(ctx context.Context, id string, index uint64, wait time.Duration) (staging.Session, uint64, error) {
	if index > 0 && wait > 0 {
		// A session that does not exist is reported without waiting.
		found, err := s.Session(ctx, id)
		if err != nil {
			return found, 0, err
		}
		if found.State != staging.Ended {
			s.changes.Await(ctx, id, index, min(wait, maxWait))
		}
	}
	// The index is read first: a change between the two reads then comes after it, and
	// ends the next wait.
	next, err := s.changes.Index(context.WithoutCancel(ctx))
	if err != nil && index > 0 && wait > 0 {
		// A caller that waits again and again must not be answered at once each time.
		return staging.Session{}, 0, refusal.NoRedis(err)
	}
	found, err := s.Session(context.WithoutCancel(ctx), id)
	// Index 0 would not wait.
	return found, max(1, next), err
}
