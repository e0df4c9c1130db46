package scaler

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/internal/staging"
)

// timeLimited is a user's session that ends at noon.
func timeLimited() staging.Session {
	return staging.Session{
		State: staging.Assigned, Claim: "c", User: &staging.User{ID: "u"}, AssignedAt: noon.Add(-time.Hour),
		Terms: staging.Terms{TimeLimit: staging.Duration(time.Hour)},
	}
}

// extendedFate is a fate record with a later end than Redis has.
type extendedFate struct {
	Registry
	fate staging.Fate
	err  error
}

func (f extendedFate) Fate(context.Context, string) (staging.Fate, error) { return f.fate, f.err }

// hookParts are hooks and a fleet that write down what they do.
type hookParts struct {
	endStore
	Fleet
	Meter
	err  error
	did  []string
	ends []staging.End
}

func (p *hookParts) Extend(_ context.Context, x staging.Session, _ string) (staging.Session, error) {
	p.did = append(p.did, "extend")
	p.session = x
	return x, nil
}

func (p *hookParts) WarnEnd(_ context.Context, x staging.Session, warning string) (staging.Session, error) {
	p.did = append(p.did, "warn: "+warning)
	x.EndWarnedOf = x.EndsAt()
	return x, nil
}

func (p *hookParts) BeforeEnd(_ context.Context, _ staging.Session, name staging.HookName, _ staging.Hook, end staging.End) error {
	p.did = append(p.did, string(name))
	p.ends = append(p.ends, end)
	return p.err
}
func (p *hookParts) FirstLaunch(context.Context, staging.Session, staging.Hook) error { return nil }
func (p *hookParts) AssignAgain(context.Context, staging.Session, staging.Hook) error { return nil }

func (p *hookParts) Stop(context.Context, staging.Session) error {
	p.did = append(p.did, "stop")
	return nil
}

func (p *hookParts) Note(_ context.Context, e staging.Event) error {
	p.did = append(p.did, "note "+string(e.Hook))
	return nil
}
func (p *hookParts) HookFailed(staging.HookName) {}

func (p *hookParts) scaler(registry Registry) *Scaler {
	log := logrus.New()
	log.SetOutput(io.Discard)
	return &Scaler{Parts: Parts{
		SessionStore: p, AssignedStore: p, EventStore: p, Registry: registry, Fleet: p, Hooks: p, Meter: p, Log: logrus.NewEntry(log),
	}}
}

// TestAnExtensionThatRedisDoesNotHaveHolds: the fate record has it, so that the session neither ends
// nor is its user warned of the end before. While Consul does not answer, it does not end either.
func TestAnExtensionThatRedisDoesNotHaveHolds(t *testing.T) {
	x := timeLimited()
	x.Terms.MaxExtension = staging.Duration(2 * time.Hour)
	later := x.Terms
	later.Extended = staging.Duration(time.Hour)
	fate := staging.Fate{Verdict: staging.VerdictAssigned, Claim: "c", Terms: later}
	for _, kind := range []Kind{ExpireLimit, WarnEnd} {
		p := &hookParts{endStore: endStore{now: noon, session: x}}
		r := p.scaler(extendedFate{fate: fate}).apply(t.Context(), task{step: Step{Kind: kind}})
		if r.err != nil || !slices.Equal(p.did, []string{"extend"}) || len(p.ended) > 0 || r.stored == nil || r.stored.Terms.Extended != later.Extended {
			t.Errorf("%s: did %v, ended %v, %+v", kind, p.did, p.ended, r)
		}
		p = &hookParts{endStore: endStore{now: noon, session: x}}
		if r := p.scaler(extendedFate{err: errors.New("consul is away")}).apply(t.Context(), task{step: Step{Kind: kind}}); r.err == nil || len(p.ended)+len(p.did) > 0 {
			t.Errorf("%s without Consul: did %v, ended %v, %+v", kind, p.did, p.ended, r)
		}
	}
	fate.Claim = "another"
	p := &hookParts{endStore: endStore{now: noon, session: x}}
	if p.scaler(extendedFate{fate: fate}).apply(t.Context(), task{step: Step{Kind: ExpireLimit}}); len(p.ended) != 1 {
		t.Errorf("the fate of another claim keeps the session: %v", p.did)
	}
}

// TestAUserIsWarnedOfTheLimit with what is left and how much it may be extended by, once.
func TestAUserIsWarnedOfTheLimit(t *testing.T) {
	x := timeLimited()
	x.Terms.MaxExtension = staging.Duration(2 * time.Hour)
	p := &hookParts{endStore: endStore{now: noon.Add(-4 * time.Minute), session: x}}
	s := p.scaler(extendedFate{err: staging.ErrNoResource})
	r := s.apply(t.Context(), task{step: Step{Kind: WarnEnd}})
	want := []string{"warn: it ends in 4m0s: its session_time_limit is 1h0m0s, which may be extended by 2h0m0s"}
	if r.err != nil || !slices.Equal(p.did, want) {
		t.Errorf("%q, %v", p.did, r.err)
	}
	if due := endWarningDue(*r.stored); !due.IsZero() {
		t.Errorf("it is warned again at %s", due)
	}
	r.stored.Terms.Extended = staging.Duration(time.Hour)
	if due := endWarningDue(*r.stored); !due.Equal(noon.Add(55 * time.Minute)) {
		t.Errorf("after an extension it is warned at %s", due)
	}
}

// TestAPreEndHookRunsForTheEndThatComes, not for one that was extended, not after it, and not again;
// one that could not be started is tried again.
func TestAPreEndHookRunsForTheEndThatComes(t *testing.T) {
	x := timeLimited()
	for name, c := range map[string]struct {
		now  time.Time
		end  time.Time
		err  error
		runs int
		done bool
	}{
		"near":            {noon.Add(-time.Minute), noon, nil, 1, true},
		"far":             {noon.Add(-30 * time.Minute), noon, nil, 0, false},
		"over":            {noon, noon, nil, 0, false},
		"extended since":  {noon.Add(-time.Minute), noon.Add(-time.Second), nil, 0, false},
		"failed":          {noon.Add(-time.Minute), noon, &staging.HookError{Hook: staging.HookPreEnd, Cause: errors.New("exit code 3")}, 1, true},
		"could not start": {noon.Add(-time.Minute), noon, &staging.HookError{Hook: staging.HookPreEnd, Untouched: true, Cause: errors.New("no node")}, 1, false},
	} {
		p := &hookParts{endStore: endStore{now: c.now, session: x}, err: c.err}
		r := p.scaler(nil).apply(t.Context(), task{step: Step{Kind: PreEnd}, end: staging.End{At: c.end}})
		if len(p.ends) != c.runs || r.preEndRan.IsZero() == c.done || slices.Contains(p.did, "stop") {
			t.Errorf("%s: %v, %+v", name, p.did, r)
		}
		if c.runs == 1 && (p.ends[0].Variables()["GREENROOM_END_REASON"] != "session_time_limit" || p.ends[0].Variables()["GREENROOM_ENDS_AT"] != noon.Format(time.RFC3339)) {
			t.Errorf("%s: %v", name, p.ends[0].Variables())
		}
	}
}

// TestAPreStopHookKeepsNothingAlive: whatever comes of it, the session is stopped after it.
func TestAPreStopHookKeepsNothingAlive(t *testing.T) {
	x := timeLimited()
	x.State, x.Reason = staging.Ending, "ended by request"
	for name, err := range map[string]error{
		"":                nil,
		"failed":          &staging.HookError{Hook: staging.HookPreStop, Cause: errors.New("exit code 3")},
		"could not start": &staging.HookError{Hook: staging.HookPreStop, Untouched: true, Cause: errors.New("no node")},
	} {
		want := []string{"pre_stop", "stop"}
		if err != nil {
			want = []string{"pre_stop", "note pre_stop", "stop"}
		}
		p := &hookParts{endStore: endStore{session: x}, err: err}
		r := p.scaler(nil).apply(t.Context(), task{step: Step{Kind: PreStop}})
		if !slices.Equal(p.did, want) || r.err != nil || !r.preStopRan || p.ends[0].Variables()["GREENROOM_END_REASON"] != "ended by request" {
			t.Errorf("%q: did %v, %+v", name, p.did, r)
		}
	}
}

// TestAnEndWaitsForItsPreStopHook and is not stopped beside it; a session whose program is gone has
// none.
func TestAnEndWaitsForItsPreStopHook(t *testing.T) {
	x := Unpooled{State: staging.Ending, Origin: staging.Staged, HasJob: true, Running: true, Fate: staging.VerdictAssigned, PreStop: true, TouchedAt: noon}
	if step, _ := DecideSession(x, noon.Add(time.Hour)); step == nil || step.Kind != PreStop {
		t.Errorf("%+v", step)
	}
	x.PreStop = false
	if step, _ := DecideSession(x, noon.Add(time.Hour)); step == nil || step.Kind != Stop {
		t.Errorf("after the hook: %+v", step)
	}
	v := newView()
	v.resources.Images = map[string]staging.Image{"i": {ExecConfig: staging.ExecConfig{PreStop: &staging.Hook{Cmd: []string{"x"}}}}}
	for want, e := range map[bool]*entry{
		true:  {s: staging.Session{Image: "i", State: staging.Ending}, running: true},
		false: {s: staging.Session{Image: "i", State: staging.Ending}},
	} {
		if got := v.preStopHook(e) != nil; got != want {
			t.Errorf("running %v: has a hook %v", e.running, got)
		}
	}
	for _, early := range []staging.State{staging.Claimed, staging.Retiring, staging.Ready} {
		if v.preStopHook(&entry{s: staging.Session{Image: "i", State: early}, running: true}) != nil {
			t.Errorf("a session that is %s has a pre_stop hook", early)
		}
	}
}

// TestAnEndIsAnnounced by an event, then by the hook, before it comes.
func TestAnEndIsAnnounced(t *testing.T) {
	x := Unpooled{
		State: staging.Assigned, Origin: staging.Staged, HasJob: true, Running: true, Passing: true, Fate: staging.VerdictAssigned, Tagged: true, TouchedAt: noon,
		EndsAt: noon.Add(time.Hour), EndWarningDue: noon.Add(55 * time.Minute), PreEndDue: noon.Add(55 * time.Minute),
	}
	if step, wake := DecideSession(x, noon); step != nil || !wake.Equal(noon.Add(55*time.Minute)) {
		t.Errorf("long before: %+v, again at %s", step, wake)
	}
	near := noon.Add(56 * time.Minute)
	if step, _ := DecideSession(x, near); step == nil || step.Kind != WarnEnd {
		t.Errorf("near: %+v", step)
	}
	x.EndWarningDue = time.Time{}
	if step, _ := DecideSession(x, near); step == nil || step.Kind != PreEnd {
		t.Errorf("after the warning: %+v", step)
	}
	x.PreEndDue = time.Time{}
	if step, wake := DecideSession(x, near); step != nil || !wake.Equal(x.EndsAt) {
		t.Errorf("after the hook: %+v, again at %s", step, wake)
	}
	if step, _ := DecideSession(x, x.EndsAt); step == nil || step.Kind != ExpireLimit {
		t.Errorf("at the limit: %+v", step)
	}
}
