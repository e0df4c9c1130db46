package registry

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// TestLocksAreFollowed: a user whom one broker locks or unlocks is locked or unlocked for
// another a moment later, whatever the id. Before the locks were read, nobody is said to be
// unlocked, and a record that cannot be read locks its user.
func TestLocksAreFollowed(t *testing.T) {
	r, client := newRegistry(t)
	other := New(client, t.Name()+"/")
	if other.UserLocks() != nil {
		t.Error("locks before they were read: a locked user would be let in")
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = other.WatchUserLocks(ctx) }()
	defer func() { stop(); <-done }()

	const user = "auth0|../a b/ü"
	lock := access.UserLock{UserID: user, Reason: "stolen", LockedBy: "token:tk-1", LockedAt: time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)}
	made, stands, err := r.LockUser(t.Context(), lock)
	must(t, err)
	if !made || stands != lock || !r.UserLocks().Locked(user) {
		t.Errorf("made %t, %+v", made, stands)
	}
	until(t, func() bool { return other.UserLocks() != nil && other.UserLocks().Locked(user) })
	if other.UserLocks().Locked("auth0|") {
		t.Error("another user is locked, too")
	}
	again := lock
	again.LockedBy = "token:tk-2"
	made, stands, err = other.LockUser(t.Context(), again)
	must(t, err)
	if made || stands.LockedBy != "token:tk-1" {
		t.Errorf("locked twice: made %t, %+v", made, stands)
	}
	must(t, r.NoteSessionsEnded(t.Context(), user))
	until(t, func() bool {
		l := other.UserLocks().All()
		return len(l) == 1 && l[0].SessionsEnded && l[0].Reason == "stolen"
	})

	gone, err := r.UnlockUser(t.Context(), user)
	must(t, err)
	if gone.LockedBy != "token:tk-1" || r.UserLocks().Locked(user) {
		t.Errorf("unlocked %+v", gone)
	}
	until(t, func() bool { return !other.UserLocks().Locked(user) })
	if _, err := r.UnlockUser(t.Context(), user); !errors.Is(err, staging.ErrNoResource) {
		t.Errorf("unlocked twice: %v", err)
	}
	must(t, r.NoteSessionsEnded(t.Context(), user))
	if locked, err := r.UserLocked(t.Context(), user); err != nil || locked {
		t.Errorf("to note the end of the sessions locked the user again: %t, %v", locked, err)
	}

	_, err = client.KV().Put(&api.KVPair{Key: r.userLockKey("damaged"), Value: []byte("{")}, nil)
	must(t, err)
	until(t, func() bool { return other.UserLocks().Locked("damaged") })
	if all := other.UserLocks().All(); len(all) != 1 || !strings.Contains(all[0].Reason, "cannot be read") {
		t.Errorf("%+v", all)
	}
	made, _, err = r.LockUser(t.Context(), access.UserLock{UserID: "damaged"})
	must(t, err)
	if all := r.UserLocks().All(); !made || len(all) != 1 || all[0].UserID != "damaged" {
		t.Errorf("a lock that cannot be read was not replaced: %+v", all)
	}
}

// TestNoSessionIsAssignedToALockedUser: by Consul's own word, also by a broker that has not
// learned of the lock. Other users' fates, and the retirement of sessions, stand.
func TestNoSessionIsAssignedToALockedUser(t *testing.T) {
	r, client := newRegistry(t)
	ctx := t.Context()
	late := New(client, t.Name()+"/")
	before, _, err := late.CreateFates(ctx, several("a", "", "before"))
	must(t, err)
	_, _, err = r.LockUser(ctx, access.UserLock{UserID: "u"})
	must(t, err)
	final := several("f", "", "final")
	final[0].HookPending = false
	for what, fates := range map[string][]staging.Fate{
		"one": several("b", "", "one"), "one with a key": several("c", "k", "two"), "several": several("d", "k2", "x1", "x2"), "without a hook": final,
	} {
		var locked *access.LockedError
		created, lost, err := late.CreateFates(ctx, fates)
		if !errors.As(err, &locked) || locked.UserID != "u" || created != nil || lost != nil {
			t.Errorf("%s: %v, %v, %v", what, created, lost, err)
		}
		if _, err := r.Fate(ctx, fates[0].Session); !errors.Is(err, staging.ErrNoResource) {
			t.Errorf("%s: a record was written: %v", what, err)
		}
		if fates[0].IdempotencyKey == "" {
			continue
		}
		if _, err := r.Key(ctx, fates[0].IdempotencyKey); !errors.Is(err, staging.ErrNoResource) {
			t.Errorf("%s: the key was written: %v", what, err)
		}
	}
	// A session of somebody else's stays lost, and one that is the claim's own already, created.
	if _, lost, err := late.CreateFates(ctx, several("g", "", "before")); err != nil || lost["before"].Claim != "a" {
		t.Errorf("%v, %v", lost, err)
	}
	if again, _, err := late.CreateFates(ctx, several("a", "", "before")); err != nil || len(again) != 1 || again[0].Index != before[0].Index {
		t.Errorf("%v, %v", again, err)
	}
	others := several("h", "", "others")
	others[0].User = &staging.User{ID: "v"}
	retired := []staging.Fate{{Session: "retired", Verdict: staging.VerdictRetired}}
	for _, fates := range [][]staging.Fate{others, retired} {
		if created, _, err := late.CreateFates(ctx, fates); err != nil || len(created) != 1 {
			t.Errorf("%s: %v, %v", fates[0].Session, created, err)
		}
	}
	_, err = r.UnlockUser(ctx, "u")
	must(t, err)
	if created, _, err := late.CreateFates(ctx, several("b", "", "one")); err != nil || len(created) != 1 {
		t.Errorf("after the unlock: %v, %v", created, err)
	}
}

// TestALockAndAnAssignmentCannotBothComeFirst: of the sessions that launches assign while the
// user is being locked, whoever lists the fates after the lock sees all.
func TestALockAndAnAssignmentCannotBothComeFirst(t *testing.T) {
	r, client := newRegistry(t)
	ctx := t.Context()
	const launches = 64
	var mu sync.Mutex
	assigned := map[string]bool{}
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range launches {
		own := New(client, t.Name()+"/")
		wg.Go(func() {
			<-start
			id := "s" + string(rune('A'+i%26)) + string(rune('a'+i/26))
			created, _, err := own.CreateFates(ctx, several("c-"+id, "", id))
			var locked *access.LockedError
			if err != nil && !errors.As(err, &locked) {
				t.Error(err)
			}
			if len(created) == 1 {
				mu.Lock()
				assigned[id] = true
				mu.Unlock()
			}
		})
	}
	close(start)
	_, _, err := r.LockUser(ctx, access.UserLock{UserID: "u"})
	must(t, err)
	seen, err := r.Fates(ctx)
	must(t, err)
	wg.Wait()
	for id := range assigned {
		if _, ok := seen[id]; !ok {
			t.Errorf("session %s was assigned after the lock", id)
		}
	}
	t.Logf("%d of %d launches came first", len(assigned), launches)
}
