package scaler

import (
	"strings"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// TestARolloutThatDoesNotGetOnIsStuck: with the condition that keeps the new revision back, and
// how many ready sessions are of the old one.
func TestARolloutThatDoesNotGetOnIsStuck(t *testing.T) {
	old := []Member{member("a", staging.Ready, 60, stale), member("b", staging.Ready, 60, stale)}
	with := func(m ...Member) []Member { return append(append([]Member{}, old...), m...) }
	fails := func(m *Member) {
		m.RunningSince, m.Check, m.Node = noon.Add(-time.Minute), refusedCheck, "east-1 (n1)"
	}
	created := func(ago time.Duration) func(*Member) { return func(m *Member) { m.CreatedAt = noon.Add(-ago) } }
	failed := func(n int) Backoff {
		return Backoff{Failures: n, Last: &staging.Failure{Type: staging.HookFailing, Message: "exit code 3"}, At: noon}
	}
	for _, c := range []struct {
		name    string
		members []Member
		change  func(*PoolInput)
		want    string
	}{
		{name: "its check fails", members: with(member("new", staging.Starting, 1, fails)), want: "(HealthCheckFailing): ready of it 0, and of an older one, which launches still get, 2"},
		{name: "its check does not fail for long", members: with(member("new", staging.Starting, 1))},
		{name: "some of it are ready", members: with(member("one", staging.Ready, 2), member("new", staging.Starting, 1, fails)), want: "(HealthCheckFailing): ready of it 1, and of an older one, which launches still get, 2"},
		{name: "no node has had room for long", members: with(member("new", staging.Pending, 1, refused)), want: "(CapacityExhausted): ready of it 0, and of an older one, which launches still get, 2"},
		{name: "no node has room just now", members: with(member("new", staging.Pending, 0, refused, created(20*time.Second)))},
		{name: "it failed twice", members: with(), change: func(in *PoolInput) { in.Backoff = failed(2) }, want: "(HookFailing): ready of it 0, and of an older one, which launches still get, 2"},
		{name: "it failed once", members: with(), change: func(in *PoolInput) { in.Backoff = failed(1) }},
		{name: "it failed, and became ready", members: with(), change: func(in *PoolInput) { in.Backoff = failed(2); in.Backoff.ReadyAt = noon }},
		{name: "no rollout", members: []Member{member("a", staging.Ready, 60), member("new", staging.Starting, 1, fails)}},
		{name: "no older one is ready", members: []Member{member("a", staging.Starting, 1, stale), member("new", staging.Starting, 1, fails)}},
		{name: "the pool is drained", members: with(member("new", staging.Starting, 1, fails)), change: func(in *PoolInput) { in.Removed = true }},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := PoolInput{Desired: 2, Members: c.members, HealthKnown: true, Revision: "r2", Config: staging.Config{Name: "p"}}
			if c.change != nil {
				c.change(&in)
			}
			got := ""
			for _, x := range Decide(in, DefaultBounds, noon).Conditions {
				if x.Type == staging.RolloutStuck {
					got = x.Message
				}
			}
			if c.want == "" && got != "" || c.want != "" && !(strings.HasPrefix(got, "sessions of revision r2 do not become ready ") && strings.Contains(got, c.want)) {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

// TestAReportIsWrittenOnceAndInOrder: only when it changed, and never two of a pool at a time.
func TestAReportIsWrittenOnceAndInOrder(t *testing.T) {
	s, v := &Scaler{Parts: Parts{Meter: quiet{}}}, newView()
	p := &pool{config: staging.Config{Name: "p"}}
	v.pools["p"] = p
	before := report{rollout: staging.Rollout{Revision: "r2", Outdated: 2}}
	after := report{rollout: staging.Rollout{Revision: "r2", Outdated: 1}}
	if got := s.report(p, before, noon); len(got) != 1 || got[0].report.rollout != before.rollout {
		t.Fatalf("the first: %+v", got)
	}
	if got := s.report(p, after, noon); len(got) != 0 {
		t.Fatalf("a second while the first is written: %+v", got)
	}
	v.reportWritten("p", nil, noon)
	if !v.dirtyPools["p"] {
		t.Error("the second is forgotten")
	}
	if got := s.report(p, after, noon); len(got) != 1 || got[0].report.rollout != after.rollout {
		t.Fatalf("the second: %+v", got)
	}
	v.reportWritten("p", errNotHeld, noon)
	if got := s.report(p, after, noon); len(got) != 1 || p.wake != noon.Add(retryPause) {
		t.Fatalf("after a failure: %+v", got)
	}
	v.reportWritten("p", nil, noon)
	if got := s.report(p, after, noon); len(got) != 0 {
		t.Fatalf("the same again: %+v", got)
	}
	after.remark = "a hook failed"
	if got := s.report(p, after, noon); len(got) != 1 || got[0].report.remark != after.remark {
		t.Fatalf("with a remark: %+v", got)
	}
}

// TestAPoolThatDrainsSaysWhatLaunchesGet.
func TestAPoolThatDrainsSaysWhatLaunchesGet(t *testing.T) {
	no := false
	zone := staging.Zone{Name: "east", Datacenters: []string{"dc1"}}
	for want, image := range map[string]staging.Image{
		"image i is disabled; set enabled to true to stage it again; launches of it are refused":         {Name: "i", Enabled: &no},
		"image i is restricted to west, and this pool is in zone east; launches of it are refused there": {Name: "i", RestrictToZones: []string{"west"}},
		"no launch can take a staged session of it; launches get sessions made on demand":                {Name: "i", PersistentProfilePath: "/p/{user_id}"},
	} {
		if why := blocked(image, zone); why == nil || !strings.HasSuffix(why.Message, want) {
			t.Errorf("%+v, want %q", why, want)
		}
	}
	on := staging.Image{Name: "i"}
	if why := blocked(on, staging.Zone{Name: "east"}.WithDefaults()); why == nil || !strings.HasSuffix(why.Message, "; launches get sessions made on demand") {
		t.Errorf("%+v", why)
	}
}
