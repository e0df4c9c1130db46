package scaler

import (
	"strings"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

var refusedCheck = staging.FailingCheck{Name: "port answers", Output: "dial tcp 127.0.0.1:23456: connect: connection refused"}

// TestAFailingCheckIsAConditionLongBeforeItsSessionIsGivenUp: with the check, its output and
// the node, after 30 s or twice the pool's usual time to ready.
func TestAFailingCheckIsAConditionLongBeforeItsSessionIsGivenUp(t *testing.T) {
	fails := func(d time.Duration) func(*Member) {
		return func(m *Member) { m.RunningSince, m.Check, m.Node = noon.Add(-d), refusedCheck, "east-1 (n1)" }
	}
	const says = `check "port answers" of session a on node east-1 (n1) fails: dial tcp 127.0.0.1:23456: connect: connection refused`
	for _, c := range []struct {
		name    string
		members []Member
		change  func(*PoolInput)
		want    string
		wake    time.Duration
	}{
		{name: "at first it is waited for", members: []Member{member("a", staging.Starting, 1, fails(10*time.Second))}, wake: 20 * time.Second},
		{name: "after 30 s it is a condition", members: []Member{member("a", staging.Starting, 1, fails(30*time.Second))}, want: says, wake: 570 * time.Second},
		{
			name: "the oldest is shown", members: []Member{member("0", staging.Starting, 1, fails(time.Minute)), member("a", staging.Starting, 2, fails(time.Minute))},
			want: says, wake: 540 * time.Second,
		},
		{
			name: "a pool that usually starts slowly: later", members: []Member{member("a", staging.Starting, 1, fails(time.Minute))},
			change: func(in *PoolInput) { in.UsualStart = 100 * time.Second }, wake: 140 * time.Second,
		},
		{
			name: "never after half of the patience", members: []Member{member("a", staging.Starting, 1, fails(10*time.Second))},
			change: func(in *PoolInput) { in.Patience.Start = staging.Duration(20 * time.Second) }, want: says, wake: 10 * time.Second,
		},
		{name: "no check is known to fail", members: []Member{member("a", staging.Starting, 1, fails(time.Minute), func(m *Member) { m.Check = staging.FailingCheck{} })}, wake: 540 * time.Second},
		{name: "Consul does not answer", members: []Member{member("a", staging.Starting, 1, fails(time.Minute))}, change: func(in *PoolInput) { in.HealthKnown = false }},
		{
			name: "its checks passed before", want: says, wake: 10 * time.Second,
			members: []Member{member("a", staging.Starting, 60, fails(time.Hour), func(m *Member) { m.UnhealthySince = noon.Add(-20 * time.Second) })},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := PoolInput{Desired: len(c.members), Members: c.members, HealthKnown: true, Config: staging.Config{Name: "p"}}
			if c.change != nil {
				c.change(&in)
			}
			plan := Decide(in, DefaultBounds, noon)
			got := ""
			for _, x := range plan.Conditions {
				if x.Type == staging.HealthCheckFailing {
					got = x.Message
				}
			}
			if got != c.want {
				t.Errorf("condition %q, want %q", got, c.want)
			}
			var wake time.Duration
			if !plan.Wake.IsZero() {
				wake = plan.Wake.Sub(noon)
			}
			if wake != c.wake || len(plan.Steps) != 0 {
				t.Errorf("wakes after %s, want %s; steps %v", wake, c.wake, plan.Steps)
			}
		})
	}
}

// TestPatienceIsTheImages: it is waited for as long as the image says, and the reason has what
// the check said. A session on demand alike.
func TestPatienceIsTheImages(t *testing.T) {
	patience := staging.Patience{Start: staging.Duration(time.Minute), Placement: staging.Duration(2 * time.Minute), Unhealthy: staging.Duration(5 * time.Second)}
	since := noon.Add(-time.Minute)
	for _, c := range []struct {
		m    Member
		want string
	}{
		{Member{Running: true, RunningSince: since, Check: refusedCheck}, "its checks have not passed for 1m0s: check \"port answers\" fails: dial tcp 127.0.0.1:23456"},
		{Member{CreatedAt: noon.Add(-2 * time.Minute)}, "has not started to run for 2m0s"},
		{Member{Running: true, RunningSince: since, UnhealthySince: noon.Add(-5 * time.Second)}, "have not recovered for 5s"},
	} {
		c.m.ID, c.m.State = "a", staging.Starting
		plan := Decide(PoolInput{Desired: 1, Members: []Member{c.m}, HealthKnown: true, Patience: patience}, DefaultBounds, noon)
		if len(plan.Steps) == 0 || plan.Steps[0].Kind != Retire || !strings.Contains(plan.Steps[0].Reason, c.want) || !strings.Contains(plan.Steps[0].Failure.Message, c.want) {
			t.Errorf("%+v, want it retired: %s", plan.Steps, c.want)
		}
	}
	x := Unpooled{HasJob: true, Origin: staging.OnDemand, State: staging.Starting, Fate: staging.VerdictAssigned, HealthKnown: true, Patience: patience, Check: refusedCheck, TouchedAt: since}
	x.Running, x.RunningSince = true, since
	if step, _ := DecideSession(x, noon); step == nil || step.Kind != End || !strings.Contains(step.Reason, "for 1m0s: check \"port answers\" fails: dial tcp") {
		t.Errorf("on demand: %+v", step)
	}
	x.RunningSince = since.Add(time.Second)
	if step, wake := DecideSession(x, noon); step != nil || !wake.Equal(noon.Add(time.Second)) {
		t.Errorf("on demand, before that: %+v until %s", step, wake)
	}
}

// TestTheViewKnowsTheFailingCheckAndTheUsualStart of a pool's sessions.
func TestTheViewKnowsTheFailingCheckAndTheUsualStart(t *testing.T) {
	v := poolView(staging.Image{Patience: staging.Patience{Start: staging.Duration(time.Minute)}})
	p := v.pools["p"]
	named(v, "n1")
	e := runs(v, "gr-1")
	e.s.NodeID = "n1"
	e.seenAt = noon.Add(-time.Second)
	v.setHealth(p, []staging.Health{{Session: "gr-1", AllocID: "a-gr-1", Failing: true, Check: refusedCheck}}, noon)
	in := v.poolInput(p, noon)
	if m := in.Members[0]; m.Check != refusedCheck || m.Node != "name-n1 (n1)" || in.Patience.Start == 0 || in.UsualStart != 0 || v.unpooledOf(e).Check != refusedCheck {
		t.Errorf("%+v", in)
	}
	v.setHealth(p, []staging.Health{{Session: "gr-1", AllocID: "a-gr-1", Passing: true}}, noon.Add(8*time.Second))
	v.noteStart(e, noon.Add(8*time.Second))
	if in := v.poolInput(p, noon); in.Members[0].Check != (staging.FailingCheck{}) || in.UsualStart != 8*time.Second {
		t.Errorf("%+v", in)
	}
	v.noteStart(e, noon.Add(time.Hour)) // it is ready again
	late := runs(v, "gr-2")             // it ran before this scaler knew of it
	v.setHealth(p, []staging.Health{{Session: "gr-2", AllocID: "a-gr-2", Passing: true}}, noon.Add(time.Minute))
	v.noteStart(late, noon.Add(time.Minute))
	if !late.healthyOnce || p.usualStart != 8*time.Second {
		t.Errorf("usually %s", p.usualStart)
	}
}
