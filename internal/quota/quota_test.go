package quota_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/greenroom/greenroom/internal/quota"
	"github.com/greenroom/greenroom/internal/staging"
)

// servers are Consul's record and Nomad's sessions in memory.
type servers struct {
	mu      sync.Mutex
	record  staging.Reservations
	fates   map[string]staging.Fate
	running []staging.SessionUse
	// conflicts counts the writes that came too late.
	conflicts int
	down      error
}

func (s *servers) Reservations(context.Context) (staging.Reservations, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.record
	all.Held = append([]staging.Reservation{}, all.Held...)
	return all, nil
}

func (s *servers) StoreReservations(_ context.Context, all staging.Reservations) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if all.Index != s.record.Index {
		s.conflicts++
		return false, nil
	}
	all.Index++
	s.record = all
	return true, nil
}

func (s *servers) Fates(context.Context) (map[string]staging.Fate, error) { return s.fates, nil }

func (s *servers) Running(context.Context) ([]staging.SessionUse, error) {
	for range 10 {
		runtime.Gosched() // others act between the reading of the record and its change
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]staging.SessionUse{}, s.running...), s.down
}

func (s *servers) make(u staging.SessionUse) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = append(s.running, u)
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var ofImage = []staging.SessionLimit{{Setting: "max_sessions", Kind: staging.KindImage, Name: "desk", Max: 10}}

// TestManyProcessesMakeNoMoreThanTheLimitAllows: each reserves, makes its session and gives its
// place back, in several processes at once.
func TestManyProcessesMakeNoMoreThanTheLimitAllows(t *testing.T) {
	conflicts := 0
	for range 20 {
		s := &servers{}
		var wg sync.WaitGroup
		for process := range 3 {
			q := quota.New(s, s)
			for i := range 20 {
				wg.Go(func() {
					use := staging.SessionUse{Session: fmt.Sprintf("gr-%d-%d", process, i), Image: "desk"}
					reached, err := q.Reserve(t.Context(), staging.Reservation{Holder: use.Session, SessionUse: use, Count: 1}, ofImage)
					if err != nil {
						t.Error(err)
					}
					if reached == nil {
						s.make(use)
					}
					if err := q.Release(t.Context(), use.Session); err != nil {
						t.Error(err)
					}
				})
			}
		}
		wg.Wait()
		if len(s.running) != 10 || len(s.record.Held) != 0 {
			t.Errorf("%d sessions were made, and %d places are held", len(s.running), len(s.record.Held))
		}
		conflicts += s.conflicts
	}
	if conflicts == 0 {
		t.Error("no process came between another's reading and writing: this showed nothing")
	}
}

// TestAPlaceCountsUntilItIsGivenBack, and counts once beside the session that was made for it.
func TestAPlaceCountsUntilItIsGivenBack(t *testing.T) {
	s := &servers{}
	q := quota.New(s, s)
	one := []staging.SessionLimit{{Setting: "max_sessions", Kind: staging.KindZone, Name: "east", Max: 2}}
	reserve := func(id string) *staging.LimitReached {
		t.Helper()
		use := staging.SessionUse{Session: id, Zone: "east"}
		reached, err := q.Reserve(t.Context(), staging.Reservation{Holder: id, SessionUse: use, Count: 1}, one)
		if err != nil {
			t.Fatal(err)
		}
		return reached
	}
	if reached := reserve("gr-a"); reached != nil {
		t.Fatal(reached)
	}
	s.make(staging.SessionUse{Session: "gr-a", Zone: "east"})
	if reached := reserve("gr-b"); reached != nil {
		t.Fatalf("the place and its session counted twice: %+v", reached)
	}
	if reached := reserve("gr-c"); reached == nil || reached.InUse != 2 || reached.Name != "east" {
		t.Fatalf("a third of two: %+v", reached)
	}
	if err := q.Release(t.Context(), "gr-b"); err != nil {
		t.Fatal(err)
	}
	if reached := reserve("gr-c"); reached != nil {
		t.Errorf("a place that was given back counts: %+v", reached)
	}
}

// TestAUsersSessionsAreCountedByTheirFates, and a launch's own not at all.
func TestAUsersSessionsAreCountedByTheirFates(t *testing.T) {
	user := &staging.User{ID: "u"}
	s := &servers{
		running: []staging.SessionUse{{Session: "gr-1", Image: "desk"}, {Session: "gr-2", Image: "desk"}, {Session: "gr-3", Image: "other"}},
		fates: map[string]staging.Fate{
			"gr-1": {Verdict: staging.VerdictAssigned, User: user, Claim: "c1"}, "gr-3": {Verdict: staging.VerdictAssigned, User: user, Claim: "c3"},
			"gr-gone": {Verdict: staging.VerdictAssigned, User: user, Claim: "c4"},
		},
	}
	q := quota.New(s, s)
	limit := func(kind staging.ResourceKind, most int) []staging.SessionLimit {
		return []staging.SessionLimit{{Setting: "max_sessions_per_user", Kind: kind, Name: "desk", Max: most, UserID: "u"}}
	}
	for _, c := range []struct {
		limits []staging.SessionLimit
		claim  string
		inUse  int // 0: it is not reached
	}{
		{limit(staging.KindImage, 1), "new", 1},
		{limit(staging.KindImage, 1), "c1", 0},
		{limit(staging.KindImage, 2), "new", 0},
		{limit(staging.KindGroup, 2), "new", 2},
		{limit("", 3), "new", 0},
	} {
		r := staging.Reservation{Holder: c.claim, SessionUse: staging.SessionUse{Image: "desk", Claim: c.claim, UserID: "u"}, Count: 1, Given: true}
		reached, err := q.Reserve(t.Context(), r, c.limits)
		if err != nil || (reached == nil) != (c.inUse == 0) || reached != nil && reached.InUse != c.inUse {
			t.Errorf("%+v: %+v, %v", c, reached, err)
		}
		if err := q.Release(t.Context(), c.claim); err != nil {
			t.Error(err)
		}
	}
}

// TestAUserFarFromTheLimitNeedsNoListOfNomad: a user's fates are no fewer than the sessions.
func TestAUserFarFromTheLimitNeedsNoListOfNomad(t *testing.T) {
	user := &staging.User{ID: "u"}
	s := &servers{down: errors.New("no answer"), fates: map[string]staging.Fate{"gr-1": {Verdict: staging.VerdictAssigned, User: user, Claim: "c1"}}}
	q := quota.New(s, s)
	reserve := func(claim string) error {
		r := staging.Reservation{Holder: claim, SessionUse: staging.SessionUse{Image: "desk", Claim: claim, UserID: "u"}, Count: 1, Given: true}
		_, err := q.Reserve(t.Context(), r, []staging.SessionLimit{{Setting: "max_sessions_per_user", Kind: staging.KindImage, Name: "desk", Max: 2, UserID: "u"}})
		return err
	}
	if err := reserve("c2"); err != nil {
		t.Error(err)
	}
	if err := reserve("c3"); !errors.Is(err, staging.ErrUncounted) {
		t.Errorf("at the limit: %v", err)
	}
}

// TestWhatCannotBeCountedIsNotGiven.
func TestWhatCannotBeCountedIsNotGiven(t *testing.T) {
	s := &servers{down: errors.New("no answer")}
	reached, err := quota.New(s, s).Reserve(t.Context(), staging.Reservation{Holder: "gr-1", Count: 1}, ofImage)
	if reached != nil || !errors.Is(err, staging.ErrUncounted) || len(s.record.Held) != 0 {
		t.Errorf("%+v, %v, %d held", reached, err, len(s.record.Held))
	}
}
