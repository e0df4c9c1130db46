package scaler

import (
	"context"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// olderCopy is a Redis that has only some sessions, and a Consul without fates.
type olderCopy struct {
	Registry
	SessionStore
	QuarantineStore
	states map[string]staging.State
}

func (o *olderCopy) Fate(context.Context, string) (staging.Fate, error) {
	return staging.Fate{}, staging.ErrNoResource
}

func (o *olderCopy) Session(_ context.Context, id string) (staging.Session, error) {
	if o.states[id] == "" {
		return staging.Session{}, staging.ErrNoSession
	}
	return staging.Session{ID: id, State: o.states[id]}, nil
}

func (o *olderCopy) Quarantine(_ context.Context, s staging.Session) (staging.State, error) {
	o.states[s.ID] = staging.Quarantined
	return staging.Quarantined, nil
}

// TestBothRestoredFromBackupsGiveNobodysSession: Redis and Consul are restored from backups of
// last night, when gr-used was ready and without a fate. A user has had it since, and gr-new was
// made in its place. It must not be given to somebody else.
func TestBothRestoredFromBackupsGiveNobodysSession(t *testing.T) {
	v := poolView(staging.Image{})
	v.heldSince["z"], v.acting["z"] = noon, true
	v.storeKnown, v.fleetReadOnce = true, true
	v.generation = staging.Generation{Current: 9, RestoredThrough: 8}
	redis := &olderCopy{states: map[string]staging.State{"gr-used": staging.Ready}}
	for id, generation := range map[string]uint64{"gr-used": 3, "gr-new": 8} {
		e := runs(v, id)
		e.s.Generation, e.s.State, e.fateAbsent = generation, redis.states[id], true
		v.updateMembership(e)
	}
	if got := v.trustState().consistent; len(got) > 0 {
		t.Errorf("launches may claim in Redis at once: %v", got)
	}
	s := &Scaler{Parts: Parts{Registry: redis, SessionStore: redis, QuarantineStore: redis, Log: silent()}}
	for _, id := range []string{"gr-new", "gr-used"} {
		e := v.sessions[id]
		if e.pooled() {
			t.Errorf("%s is a member of the pool, to be given to anybody", id)
			continue
		}
		step, _ := DecideSession(v.unpooledOf(e), noon.Add(time.Minute))
		if step == nil || step.Kind != Quarantine {
			t.Fatalf("%s: %+v", id, step)
		}
		step.Session = id
		task := s.newTask(v, e, *step, noon.Add(time.Minute))
		s.applied(v, task, s.apply(t.Context(), task))
		if e.s.State != staging.Quarantined {
			t.Errorf("%s is %s", id, e.s.State)
		}
	}
	v.trustState()
	if got := v.trustState().consistent; len(got) != 1 {
		t.Errorf("Redis is not trusted although all is quarantined: %v", got)
	}
}
