package registry

import (
	"context"
	"fmt"
	"strings"

	"github.com/hashicorp/consul/api"

	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

func (r *Registry) userLocksPrefix() string { return r.prefix + "locked-users/" }

func (r *Registry) userLockKey(userID string) string {
	return r.userLocksPrefix() + access.LockKey(userID)
}

// UserLocks returns the cache, which WatchUserLocks and every write refresh. It is nil until
// the locks were read once.
func (r *Registry) UserLocks() *access.UserLocks { return r.userLocks.Load() }

// UserLocked reports whether a user is locked, by the cache. Where the locks were not read
// yet, it reads them; an error means that it is not known.
func (r *Registry) UserLocked(ctx context.Context, userID string) (bool, error) {
	locks := r.userLocks.Load()
	if locks == nil {
		var err error
		if locks, err = r.RefreshUserLocks(ctx); err != nil {
			return false, err
		}
	}
	return locks.Locked(userID), nil
}

// RefreshUserLocks reads all locks from Consul and updates the cache.
func (r *Registry) RefreshUserLocks(ctx context.Context) (*access.UserLocks, error) {
	return r.readUserLocks(query(ctx))
}

func (r *Registry) readUserLocks(q *api.QueryOptions) (*access.UserLocks, error) {
	pairs, meta, err := list(r.kv, r.userLocksPrefix(), q)
	if err != nil {
		return nil, err
	}
	all := map[string]access.UserLock{}
	for _, p := range pairs {
		if !isFolder(p) {
			all[strings.TrimPrefix(p.Key, r.userLocksPrefix())] = decodeUserLock(p)
		}
	}
	read := access.NewUserLocks(all, meta.LastIndex)
	// A slow read must not undo a fast one: a locked user would be let in again.
	keepNewest(&r.userLocks, read, func(l *access.UserLocks) uint64 { return l.Index })
	return read, nil
}

// decodeUserLock returns what is stored under a key. A record that cannot be read locks the
// user of its key all the same, and says so in its reason.
func decodeUserLock(p *api.KVPair) access.UserLock {
	var l access.UserLock
	err := decode(p.Value, &l)
	if n := newer(p); n != nil {
		return access.UserLock{Reason: n.Error(), Index: p.ModifyIndex}
	}
	if err != nil || !strings.HasSuffix(p.Key, "/"+access.LockKey(l.UserID)) {
		return access.UserLock{Reason: p.Key + " in Consul cannot be read: lock the user again, or delete the key", Index: p.ModifyIndex}
	}
	l.Index = p.ModifyIndex
	return l
}

// WatchUserLocks keeps the cache of the locks up to date until ctx is done. It returns the
// first error; the caller decides when to call it again.
func (r *Registry) WatchUserLocks(ctx context.Context) error {
	return follow(ctx, func(q *api.QueryOptions) (uint64, func(), func(), error) {
		locks, err := r.readUserLocks(q)
		if err != nil {
			return 0, nil, nil, err
		}
		return locks.Index, func() { r.userLocks.Store(locks) }, func() {}, nil
	})
}

// LockUser stores a lock unless the user is locked already, and returns the lock that stands.
// No assignment of a session to the user is recorded after it, see CreateFates. A lock that
// cannot be read is replaced.
func (r *Registry) LockUser(ctx context.Context, l access.UserLock) (made bool, stands access.UserLock, err error) {
	b, err := encode(l)
	if err != nil {
		return false, l, fmt.Errorf("encode the lock of user %s: %w", l.UserID, err)
	}
	key := r.userLockKey(l.UserID)
	for range casTries {
		old, _, err := r.kv.Get(key, query(ctx))
		if err != nil {
			return false, l, callError(err, "read %s", key)
		}
		pair := &api.KVPair{Key: key, Value: b}
		if old != nil {
			if stands = decodeUserLock(old); stands.UserID != "" {
				return false, stands, nil
			}
			if newer(old) != nil {
				stands.UserID = l.UserID // by the key
				return false, stands, nil
			}
			pair.ModifyIndex = old.ModifyIndex
		}
		made, _, err = r.kv.CAS(pair, write(ctx))
		if err != nil {
			return false, l, callError(err, "create %s", key)
		}
		if made {
			r.refreshUserLockCache(ctx)
			return true, l, nil
		}
	}
	return false, l, ErrConflict
}

// NoteSessionsEnded records in a lock that the user's sessions have ended. A lock that was
// changed or removed meanwhile stays as it is.
func (r *Registry) NoteSessionsEnded(ctx context.Context, userID string) error {
	key := r.userLockKey(userID)
	old, _, err := r.kv.Get(key, query(ctx))
	if err != nil || old == nil {
		return callError(err, "read %s", key)
	}
	l := decodeUserLock(old)
	if l.UserID == "" || l.SessionsEnded {
		return nil
	}
	l.SessionsEnded = true
	b, err := encode(l)
	if err != nil {
		return fmt.Errorf("encode the lock of user %s: %w", userID, err)
	}
	_, _, err = r.kv.CAS(&api.KVPair{Key: key, Value: b, ModifyIndex: old.ModifyIndex}, write(ctx))
	r.refreshUserLockCache(ctx)
	return callError(err, "write %s", key)
}

// UnlockUser deletes a lock and returns it. It returns staging.ErrNoResource if there is none.
func (r *Registry) UnlockUser(ctx context.Context, userID string) (access.UserLock, error) {
	key := r.userLockKey(userID)
	old, _, err := r.kv.Get(key, query(ctx))
	if err != nil {
		return access.UserLock{}, callError(err, "read %s", key)
	}
	if old == nil {
		return access.UserLock{}, fmt.Errorf("%w: the lock of user %s", staging.ErrNoResource, userID)
	}
	if err := newer(old); err != nil {
		return access.UserLock{}, err
	}
	if _, err := r.kv.Delete(key, write(ctx)); err != nil {
		return access.UserLock{}, callError(err, "delete %s", key)
	}
	r.refreshUserLockCache(ctx)
	return decodeUserLock(old), nil
}

// refreshUserLockCache is refreshCache for the locks.
func (r *Registry) refreshUserLockCache(ctx context.Context) { _, _ = r.RefreshUserLocks(ctx) }
