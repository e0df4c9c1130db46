package scaler

import (
	"context"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// restoredIn is a Redis that lost a session, which then is restored.
type restoredIn struct {
	SessionStore
	EventStore
}

func (restoredIn) Now(context.Context) (time.Time, error) { return noon.Add(3 * time.Hour), nil }

func (restoredIn) Restore(_ context.Context, s staging.Session, _ staging.Fate) (staging.State, error) {
	return s.State, nil
}

// TestAUsersSessionOnDemandOutlivesALossOfRedis although its checks fail, or are not known:
// it was given long ago, and does not start.
func TestAUsersSessionOnDemandOutlivesALossOfRedis(t *testing.T) {
	for _, healthKnown := range []bool{true, false} {
		v := poolView(staging.Image{})
		v.observe(staging.Observation{
			Session: "gr-1", Index: 1, Job: &staging.JobFacts{Session: staging.Session{ID: "gr-1", Origin: staging.OnDemand, Zone: "z", Image: "i"}},
			Alloc: &staging.AllocFacts{ID: "a-gr-1", Running: true},
		}, noon)
		v.onDemand["z"] = &pool{health: map[string]staging.Health{}}
		if healthKnown {
			v.setHealth(v.onDemand["z"], []staging.Health{{Session: "gr-1", AllocID: "a-gr-1", Failing: true}}, noon)
		}
		e := v.sessions["gr-1"]
		e.setFate(staging.Fate{Session: "gr-1", Verdict: staging.VerdictAssigned, User: &staging.User{ID: "u"}, Claim: "c", DecidedAt: noon}, noon)
		e.s.State = "" // Redis was wiped
		now := noon.Add(3 * time.Hour)
		step, _ := DecideSession(v.unpooledOf(e), now)
		if step == nil || step.Kind != Restore {
			t.Fatalf("%+v", step)
		}
		step.Session = "gr-1"
		store := restoredIn{}
		log := silent()
		s := &Scaler{Parts: Parts{SessionStore: store, EventStore: store, Log: log}}
		task := s.newTask(v, e, *step, now)
		s.applied(v, task, s.apply(t.Context(), task))
		if step, _ := DecideSession(v.unpooledOf(e), now.Add(time.Second)); step != nil && step.Kind == End {
			t.Errorf("health known %t: the session of a user is ended: %s", healthKnown, step.Reason)
		}
	}
}
