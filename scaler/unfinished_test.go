package scaler

import (
	"context"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// TestAnUnfinishedFateOfASnapshotEndsNobodysSession: Consul was restored from a snapshot that
// was taken while the session's hook ran, and Redis is lost, at once or later.
func TestAnUnfinishedFateOfASnapshotEndsNobodysSession(t *testing.T) {
	pending := staging.Fate{
		Session: "gr-1", Verdict: staging.VerdictAssigned, Claim: "c", User: &staging.User{ID: "u"}, HookPending: true,
		DecidedAt: noon, Lease: noon.Add(staging.ClaimLease),
	}
	for name, state := range map[string]staging.State{"Redis lost as well": "", "quarantined": staging.Quarantined, "Redis is an older copy": staging.Claimed} {
		v := poolView(staging.Image{})
		v.generation = staging.Generation{Current: 9, RestoredThrough: 8}
		v.redisOlder = state == staging.Claimed
		e := runs(v, "gr-1")
		e.s.Generation, e.s.State = 8, state
		e.setFate(pending, noon)
		v.updateMembership(e)
		step, _ := DecideSession(v.unpooledOf(e), noon.Add(time.Hour))
		if step == nil && state == staging.Quarantined {
			continue
		}
		if step == nil || step.Kind != Quarantine {
			t.Errorf("%s: %+v", name, step)
		}
	}
	v := poolView(staging.Image{})
	e := runs(v, "gr-1")
	e.s.State, e.s.Claim, e.tagged = staging.Assigned, "c", true
	v.resyncFleet(fleetReading{fates: map[string]staging.Fate{"gr-1": pending}, sessions: []staging.Observation{}, began: noon.Add(time.Minute)}, noon.Add(time.Minute))
	e.unlisted = false
	step, _ := DecideSession(v.unpooledOf(e), noon.Add(time.Hour))
	if step == nil || step.Kind != RewriteFate {
		t.Fatalf("Redis has it as its user's, and Consul as unfinished: %+v", step)
	}
	fates := &pendingFates{fate: pending}
	s := &Scaler{Parts: Parts{Registry: fates}}
	r := s.apply(t.Context(), task{step: *step, session: e.s, fate: *e.fate(), from: staging.Assigned})
	if r.err != nil || r.fate == nil || r.fate.HookPending || len(fates.finished) != 1 {
		t.Errorf("%+v, finished %v", r, fates.finished)
	}
}

// TestALostFateIsWrittenAgainAsItEnded: this scaler had read it last while the session's hook
// ran, or while another claim had it, and then Consul lost it.
func TestALostFateIsWrittenAgainAsItEnded(t *testing.T) {
	for claim, key := range map[string]string{"c": "k", "another": ""} {
		fates := &lostFates{}
		s := &Scaler{Parts: Parts{Registry: fates}}
		x := staging.Session{ID: "gr-1", State: staging.Assigned, Claim: "c", User: &staging.User{ID: "u"}, Zone: "east"}
		known := staging.Fate{Session: "gr-1", Verdict: staging.VerdictAssigned, Claim: claim, User: &staging.User{ID: "u"}, IdempotencyKey: "k", HookPending: true}
		r := s.apply(t.Context(), task{step: Step{Kind: RewriteFate}, session: x, fate: known, from: staging.Assigned})
		if f := fates.restored; r.err != nil || f.HookPending || f.Verdict != staging.VerdictAssigned || f.Claim != "c" || f.User.ID != "u" || f.IdempotencyKey != key {
			t.Errorf("known of claim %s: %+v, restored %+v", claim, r, fates.restored)
		}
	}
}

// lostFates has no fate, and keeps the one that is restored.
type lostFates struct {
	Registry
	restored staging.Fate
}

func (*lostFates) Fate(context.Context, string) (staging.Fate, error) {
	return staging.Fate{}, staging.ErrNoResource
}

func (l *lostFates) RestoreFate(_ context.Context, f staging.Fate) (staging.Fate, error) {
	l.restored = f
	return f, nil
}

// pendingFates has one unfinished fate.
type pendingFates struct {
	Registry
	fate     staging.Fate
	finished []staging.Fate
}

func (p *pendingFates) Fate(context.Context, string) (staging.Fate, error) { return p.fate, nil }

func (p *pendingFates) FinishFates(_ context.Context, fates []staging.Fate) error {
	p.finished = append(p.finished, fates...)
	return nil
}
