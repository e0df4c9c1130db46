package scaler

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// endStore is the time of Redis's clock, and what it ends.
type endStore struct {
	SessionStore
	AssignedStore
	EventStore
	now     time.Time
	session staging.Session
	ended   []string
}

func (s *endStore) Now(context.Context) (time.Time, error) { return s.now, nil }

func (s *endStore) Session(_ context.Context, id string) (staging.Session, error) {
	x := s.session
	x.ID = id
	return x, nil
}

func (s *endStore) ExpireLimit(_ context.Context, x staging.Session, _ string) (staging.Session, error) {
	if !s.now.Before(x.EndsAt()) {
		s.ended = append(s.ended, x.ID)
		x.State = staging.Ending
	}
	return x, nil
}

func (s *endStore) Finish(_ context.Context, id, _, _ string) error {
	s.ended = append(s.ended, id)
	return nil
}

// stopFleet stops every job.
type stopFleet struct{ Fleet }

func (stopFleet) Stop(context.Context, staging.Session) error { return nil }

// finishedFates has fates that cannot be abandoned, since their claims are finished.
type finishedFates struct{ Registry }

func (finishedFates) AbandonFate(context.Context, staging.Fate, string) error {
	return errors.New("conflict")
}

func (finishedFates) Fate(_ context.Context, id string) (staging.Fate, error) {
	return staging.Fate{Session: id, Verdict: staging.VerdictAssigned, Claim: "c"}, nil
}

// TestATimeLimitEndsByRedissClock: a scaler whose clock is ahead ends no session early.
func TestATimeLimitEndsByRedissClock(t *testing.T) {
	step, _ := DecideSession(Unpooled{
		State: staging.Assigned, Origin: staging.Staged, HasJob: true, Fate: staging.VerdictAssigned, EndsAt: noon, Tagged: true,
	}, noon.Add(time.Hour))
	if step == nil || step.Kind != ExpireLimit {
		t.Fatalf("%+v", step)
	}
	for redis, want := range map[time.Duration]int{-time.Second: 0, 0: 1, time.Minute: 1} {
		store := &endStore{now: noon.Add(redis), session: timeLimited()}
		s := &Scaler{Parts: Parts{SessionStore: store, AssignedStore: store, EventStore: store, Fleet: stopFleet{}}}
		r := s.apply(t.Context(), task{step: *step, from: staging.Assigned, session: staging.Session{ID: "gr-1"}})
		if r.err != nil || len(store.ended) != want {
			t.Errorf("Redis is %s past the limit: ended %v, %+v", redis, store.ended, r)
		}
	}
}

// TestAClaimThatWasFinishedMeanwhileIsLearned: its session is its user's, though its broker
// looked dead.
func TestAClaimThatWasFinishedMeanwhileIsLearned(t *testing.T) {
	store := &endStore{}
	s := &Scaler{Parts: Parts{SessionStore: store, AssignedStore: store, Registry: finishedFates{}, Fleet: stopFleet{}}}
	r := s.apply(t.Context(), task{
		step: Step{Kind: End, Reason: "the broker that claimed it is gone"}, from: staging.Claimed, session: staging.Session{ID: "gr-1"},
		fate: staging.Fate{Session: "gr-1", Verdict: staging.VerdictAssigned, Claim: "c", HookPending: true},
	})
	if len(store.ended) > 0 || r.err == nil || r.fate == nil || r.fate.HookPending {
		t.Errorf("ended %v; %+v", store.ended, r)
	}
}
