package admin

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// lockServers hold the locks, and note what is done.
type lockServers struct {
	locks  map[string]access.UserLock
	unread bool
	away   error
	left   error
	ended  []string
	noted  []string
	audits []string
}

func (s *lockServers) UserLocks() *access.UserLocks {
	if s.unread {
		return nil
	}
	return access.NewUserLocks(s.locks, 1)
}

func (s *lockServers) RefreshUserLocks(context.Context) (*access.UserLocks, error) {
	return s.UserLocks(), s.away
}

func (s *lockServers) LockUser(_ context.Context, l access.UserLock) (bool, access.UserLock, error) {
	key := access.LockKey(l.UserID)
	if before, had := s.locks[key]; had {
		return false, before, s.away
	}
	if s.away == nil {
		s.locks[key] = l
	}
	return s.away == nil, l, s.away
}

func (s *lockServers) UnlockUser(_ context.Context, id string) (access.UserLock, error) {
	l, had := s.locks[access.LockKey(id)]
	if !had {
		return l, staging.ErrNoResource
	}
	delete(s.locks, access.LockKey(id))
	return l, s.away
}

func (s *lockServers) NoteSessionsEnded(_ context.Context, id string) error {
	s.noted = append(s.noted, id)
	l := s.locks[access.LockKey(id)]
	l.SessionsEnded = true
	s.locks[access.LockKey(id)] = l
	return nil
}

func (s *lockServers) EndUser(_ context.Context, id, reason string) ([]string, error) {
	s.ended = append(s.ended, id+": "+reason)
	return []string{"gr-" + id}, s.left
}

func (s *lockServers) Changed(_ context.Context, what, name string, before, after any, _ error) {
	verb := "locked"
	if after == nil {
		verb = "unlocked"
	}
	s.audits = append(s.audits, what+" "+name+" "+verb)
}

func newLocks() (*UserLocks, *lockServers) {
	s := &lockServers{locks: map[string]access.UserLock{}}
	return &UserLocks{store: s, sessions: s, auditor: s}, s
}

// TestALockEndsSessionsAndIsAudited, and a second lock leaves the first as it is.
func TestALockEndsSessionsAndIsAudited(t *testing.T) {
	u, s := newLocks()
	ctx := access.Call{Caller: access.Caller{Role: access.Admin, Accessor: "tk-1"}}.In(t.Context())
	first, err := u.Lock(ctx, access.UserLockRequest{UserID: "u", Reason: "stolen"})
	if err != nil || !first.Made || first.LockedBy != "token:tk-1" || first.Reason != "stolen" || first.LockedAt.IsZero() || !slices.Equal(first.Ended, []string{"gr-u"}) || first.Ending {
		t.Fatalf("%+v, %v", first, err)
	}
	s.left = errors.New("Nomad is away")
	second, err := u.Lock(t.Context(), access.UserLockRequest{UserID: "u", Reason: "again"})
	if err != nil || second.Made || second.UserLock != first.UserLock || !second.Ending {
		t.Errorf("%+v, %v", second, err)
	}
	if !slices.Equal(s.ended, []string{"u: " + EndedByLock, "u: " + EndedByLock}) {
		t.Errorf("ended %q", s.ended)
	}
	if err := u.Unlock(ctx, "u"); err != nil {
		t.Error(err)
	}
	var refused *refusal.Error
	if err := u.Unlock(ctx, "u"); !errors.As(err, &refused) || refused.Kind != refusal.NotFound {
		t.Errorf("unlocked twice: %v", err)
	}
	if want := []string{"locked user u locked", "locked user u unlocked", "locked user u unlocked"}; !slices.Equal(s.audits, want) {
		t.Errorf("audited %q", s.audits)
	}
	s.away = errors.New("no answer")
	if _, err := u.Lock(ctx, access.UserLockRequest{UserID: "v"}); !errors.As(err, &refused) || refused.Kind != refusal.ConsulUnavailable || len(s.ended) != 2 {
		t.Errorf("without Consul: %v, ended %q", err, s.ended)
	}
	for _, r := range []access.UserLockRequest{{}, {UserID: strings.Repeat("x", 257)}, {UserID: "u\x00"}, {UserID: "u", Reason: "\xff"}} {
		var invalid *staging.InvalidError
		if _, err := u.Lock(ctx, r); !errors.As(err, &invalid) {
			t.Errorf("%+v: %v", r, err)
		}
	}
}

// TestWhatALockLeftIsEnded: by whatever broker, once the call that locked the user has had its
// time, again until nothing is left, and then no more.
func TestWhatALockLeftIsEnded(t *testing.T) {
	u, s := newLocks()
	now := time.Now()
	s.locks[access.LockKey("u")] = access.UserLock{UserID: "u", LockedAt: now}
	s.locks[access.LockKey("done")] = access.UserLock{UserID: "done", LockedAt: now, SessionsEnded: true}
	s.locks["unreadable"] = access.UserLock{}
	due := map[access.UserLock]time.Time{}
	s.unread = true
	u.endLeft(t.Context(), due, now)
	s.unread = false
	u.endLeft(t.Context(), due, now)
	u.endLeft(t.Context(), due, now.Add(endingAfter-time.Second))
	if len(s.ended) != 0 {
		t.Errorf("ended %q before the call that locked the user had its time", s.ended)
	}
	s.left = errors.New("Nomad is away")
	u.endLeft(t.Context(), due, now.Add(2*endingAfter))
	if len(s.ended) != 1 || len(s.noted) != 0 {
		t.Errorf("ended %q, noted %q", s.ended, s.noted)
	}
	s.left = nil
	for range 3 {
		u.endLeft(t.Context(), due, now.Add(3*endingAfter))
	}
	if len(s.ended) != 2 || !slices.Equal(s.noted, []string{"u"}) || len(due) != 0 {
		t.Errorf("ended %q, noted %q, %d are due", s.ended, s.noted, len(due))
	}
}
