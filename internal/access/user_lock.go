package access

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/greenroom/greenroom/internal/staging"
)

// UserLock keeps a user out: no launch, no login and no access to a session.
type UserLock struct {
	// UserID is the user's id; "" in a record that cannot be read.
	UserID string `json:"user_id"`
	// Reason is why; "" if nobody said.
	Reason string `json:"reason,omitempty"`
	// LockedBy is who locked the user, as Caller.Who returns it.
	LockedBy string    `json:"locked_by"`
	LockedAt time.Time `json:"locked_at"`
	// SessionsEnded is set once the user's sessions of before have ended.
	SessionsEnded bool `json:"sessions_ended,omitempty"`
	// Index is Consul's index of the record, for compare-and-set.
	Index uint64 `json:"-"`
}

// MaxLockReason is the most bytes of a reason.
const MaxLockReason = 1024

// UserLockRequest is a request to lock a user.
type UserLockRequest struct{ UserID, Reason string }

// Validate returns a *staging.InvalidError, or nil.
func (r UserLockRequest) Validate() error {
	invalid := &staging.InvalidError{What: "locked user"}
	add := func(field, format string, args ...any) {
		invalid.Fields = append(invalid.Fields, staging.FieldError{Field: field, Message: fmt.Sprintf(format, args...)})
	}
	switch {
	case r.UserID == "":
		add("user_id", "must be the user's id")
	case len(r.UserID) > staging.MaxUserIDLength:
		add("user_id", "must be at most %d bytes, is %d", staging.MaxUserIDLength, len(r.UserID))
	case !utf8.ValidString(r.UserID) || strings.ContainsRune(r.UserID, 0):
		add("user_id", "must be UTF-8 without NUL")
	}
	switch {
	case len(r.Reason) > MaxLockReason:
		add("reason", "must be at most %d bytes, is %d", MaxLockReason, len(r.Reason))
	case !utf8.ValidString(r.Reason) || strings.ContainsRune(r.Reason, 0):
		add("reason", "must be UTF-8 without NUL")
	}
	if len(invalid.Fields) > 0 {
		return invalid
	}
	return nil
}

// LockKey returns the name of a user's lock in Consul, where an id may not be a key.
func LockKey(userID string) string {
	sum := sha256.Sum256([]byte(userID))
	return hex.EncodeToString(sum[:])
}

// UserLocks is an immutable snapshot of all locked users.
type UserLocks struct {
	byKey map[string]UserLock
	// Index is Consul's index of the snapshot.
	Index uint64
}

// NewUserLocks returns a snapshot of locks by their LockKey. A record that cannot be read
// locks its user, too: it is in the map without a UserID.
func NewUserLocks(byKey map[string]UserLock, index uint64) *UserLocks {
	return &UserLocks{byKey: byKey, Index: index}
}

// Locked reports whether a user is locked.
func (l *UserLocks) Locked(userID string) bool {
	if len(l.byKey) == 0 {
		return false
	}
	_, locked := l.byKey[LockKey(userID)]
	return locked
}

// All returns the locks, the newest last.
func (l *UserLocks) All() []UserLock {
	return slices.SortedFunc(maps.Values(l.byKey), func(a, b UserLock) int {
		if c := a.LockedAt.Compare(b.LockedAt); c != 0 {
			return c
		}
		return strings.Compare(a.UserID, b.UserID)
	})
}

// LockedError means that a user is locked.
type LockedError struct{ UserID string }

// Error implements error. The reason is for administrators alone.
func (e *LockedError) Error() string {
	return fmt.Sprintf("user %s is locked: ask an administrator to unlock the user", e.UserID)
}
