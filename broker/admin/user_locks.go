package admin

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// EndedByLock is the reason of a session whose user was locked.
const EndedByLock = "its user was locked"

// UserLockStore keeps the locked users in Consul.
type UserLockStore interface {
	// UserLocks returns the copy in memory, nil while it was not read yet; RefreshUserLocks
	// reads all of them.
	UserLocks() *access.UserLocks
	RefreshUserLocks(ctx context.Context) (*access.UserLocks, error)
	// LockUser returns the lock that stands; made is false where the user was locked before.
	LockUser(ctx context.Context, l access.UserLock) (made bool, stands access.UserLock, err error)
	// UnlockUser returns the lock that it deleted; staging.ErrNoResource for none.
	UnlockUser(ctx context.Context, userID string) (access.UserLock, error)
	// NoteSessionsEnded records in a lock that the user's sessions have ended.
	NoteSessionsEnded(ctx context.Context, userID string) error
}

// UserSessions ends the sessions of users.
type UserSessions interface {
	// EndUser ends all sessions of a user, and returns their ids. After an error some may not
	// have ended.
	EndUser(ctx context.Context, userID, reason string) (ended []string, err error)
}

// UserLocks locks users out. It may be used concurrently.
type UserLocks struct {
	store    UserLockStore
	sessions UserSessions
	auditor  Auditor
}

// endTimeout bounds how long one call ends the sessions of a user. KeepEnding goes on.
const endTimeout = time.Minute

// List returns the locked users, the latest last.
func (u *UserLocks) List(ctx context.Context) ([]access.UserLock, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline.Consul)
	defer cancel()
	locks, err := u.store.RefreshUserLocks(ctx)
	if err != nil {
		return nil, refusal.NoConsul(err)
	}
	return locks.All(), nil
}

// LockedUser is what locking a user did.
type LockedUser struct {
	access.UserLock
	// Made is false where the user was locked before; that lock stands.
	Made bool
	// Ended are the ids of the sessions that ended. Ending: some may not have ended yet, and
	// the brokers go on ending them.
	Ended  []string
	Ending bool
}

// Lock locks a user and ends all of the user's sessions. From then on no launch gives the user
// a session at any broker. Logins and access checks are refused here at once, and at other
// brokers a moment later.
func (u *UserLocks) Lock(ctx context.Context, r access.UserLockRequest) (LockedUser, error) {
	if err := r.Validate(); err != nil {
		return LockedUser{}, err
	}
	lock := access.UserLock{
		UserID: r.UserID, Reason: r.Reason, LockedBy: access.CallOf(ctx).Caller.Who(), LockedAt: time.Now().UTC().Truncate(time.Millisecond),
	}
	write, cancel := context.WithTimeout(ctx, deadline.Consul)
	defer cancel()
	made, stands, err := u.store.LockUser(write, lock)
	if made || err != nil {
		u.changed(ctx, r.UserID, nil, lock, err)
	}
	if err != nil {
		return LockedUser{}, refusal.NoConsul(err)
	}
	end, cancelEnd := context.WithTimeout(ctx, endTimeout)
	defer cancelEnd()
	ended, err := u.sessions.EndUser(end, r.UserID, EndedByLock)
	return LockedUser{UserLock: stands, Made: made, Ended: ended, Ending: err != nil}, nil
}

// Unlock lets a user in again. The sessions that ended do not come back.
func (u *UserLocks) Unlock(ctx context.Context, userID string) error {
	write, cancel := context.WithTimeout(ctx, deadline.Consul)
	defer cancel()
	lock, err := u.store.UnlockUser(write, userID)
	u.changed(ctx, userID, lock, nil, err)
	if errors.Is(err, staging.ErrNoResource) {
		return &refusal.Error{Kind: refusal.NotFound, Detail: fmt.Sprintf("user %q is not locked; GET /v1/locked-users lists those that are", userID), Cause: err}
	}
	if err != nil {
		return refusal.NoConsul(err)
	}
	return nil
}

// changed records a change of a lock for auditors.
func (u *UserLocks) changed(ctx context.Context, userID string, before, after any, err error) {
	u.auditor.Changed(ctx, "locked user", userID, before, after, err)
}

const (
	// endingEvery is how often locks are looked at whose sessions may not have ended, and
	// endingAfter how long after a lock was first seen: the call that locked the user ends
	// them first.
	endingEvery = 5 * time.Second
	endingAfter = 10 * time.Second
)

// KeepEnding ends, until ctx is done, sessions of locked users that are left: the call that
// locked the user may have failed, and its broker may have died.
func (u *UserLocks) KeepEnding(ctx context.Context) {
	tick := time.NewTicker(endingEvery)
	defer tick.Stop()
	due := map[access.UserLock]time.Time{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		u.endLeft(ctx, due, time.Now())
	}
}

// endLeft ends the sessions of the locks that are due, and notes when others will be. Brokers
// take turns by chance: one of them is enough.
func (u *UserLocks) endLeft(ctx context.Context, due map[access.UserLock]time.Time, now time.Time) {
	locks := u.store.UserLocks()
	if locks == nil {
		return
	}
	left := map[access.UserLock]bool{}
	for _, l := range locks.All() {
		if l.UserID == "" || l.SessionsEnded {
			continue
		}
		left[l] = true
		at, seen := due[l]
		if !seen {
			due[l] = now.Add(endingAfter + rand.N(endingAfter))
		}
		if !seen || now.Before(at) {
			continue
		}
		end, cancel := context.WithTimeout(access.Call{Operation: "lockUser"}.In(ctx), endTimeout)
		if _, err := u.sessions.EndUser(end, l.UserID, EndedByLock); err == nil {
			// After an error it is due again at the next tick.
			_ = u.store.NoteSessionsEnded(end, l.UserID)
		}
		cancel()
	}
	for l := range due {
		if !left[l] {
			delete(due, l)
		}
	}
}
