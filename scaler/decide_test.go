package scaler

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/greenroom/greenroom/internal/staging"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// member returns a session that was created the given minutes before noon.
func member(id string, state staging.State, minutes int, change ...func(*Member)) Member {
	m := Member{ID: id, State: state, CreatedAt: noon.Add(-time.Duration(minutes) * time.Minute)}
	m.Running = state != staging.Pending
	m.Passing = state == staging.Ready
	for _, c := range change {
		c(&m)
	}
	return m
}

func expiring(in time.Duration) func(*Member) { return func(m *Member) { m.ExpiresAt = noon.Add(in) } }

func busy(m *Member) { m.Busy = true }

func passing(m *Member) { m.Passing = true }

func misplaced(m *Member) { m.Misplaced = true }

func stale(m *Member) { m.Stale = true }

func failing(m *Member) { m.Passing = false }

func refused(m *Member) {
	m.Refused = &staging.Failure{Type: staging.CapacityExhausted, Message: "not enough memory"}
}

func beforeFirstLaunch(m *Member) { m.FirstLaunch = true }

func unhealthyFor(d time.Duration) func(*Member) {
	return func(m *Member) { m.Passing, m.UnhealthySince = false, noon.Add(-d) }
}

func draining(m *Member) { m.Draining = true }
func demoted(m *Member)  { m.Demoted = true }

// disconnectedFor: its node has been disconnected for d.
func disconnectedFor(d time.Duration) func(*Member) {
	return func(m *Member) { m.Running, m.UnhealthySince = false, noon.Add(-d) }
}

func lost(m *Member) {
	m.Over, m.Running, m.EndReason = true, false, "alloc is lost since its node is down"
}

func over(m *Member) {
	m.Over, m.Running, m.Passing = true, false, false
	m.Failure = &staging.Failure{Type: staging.CrashLooping, Message: "exit code 1"}
}

// short returns the steps as "kind id", which is all that most cases compare.
func short(steps []Step) []string {
	out := []string{}
	for _, s := range steps {
		out = append(out, strings.TrimSpace(string(s.Kind)+" "+s.Session))
	}
	return out
}

func TestDecide(t *testing.T) {
	ready, starting, pending := staging.Ready, staging.Starting, staging.Pending
	cases := []struct {
		name    string
		desired int
		members []Member
		change  func(*PoolInput)
		want    []string
		wake    time.Duration // from noon; 0 for never
	}{
		{name: "an empty pool is filled", desired: 2, want: []string{"stage", "stage"}},
		{name: "sessions that are not ready yet count", desired: 3, members: []Member{member("a", pending, 0, busy), member("b", starting, 0)}, want: []string{"stage"}, wake: DefaultBounds.PlaceTimeout},
		{
			name: "placed late, when there was capacity: gets the same time", desired: 1,
			members: []Member{member("a", pending, 31, func(m *Member) { m.PlacedAt = noon })}, want: []string{}, wake: DefaultBounds.PlaceTimeout,
		},
		{name: "placed and never started to run: replaced", desired: 1, members: []Member{member("a", pending, 31)}, want: []string{"retire a", "stage"}},
		{name: "a pool at its desired size needs nothing", desired: 1, members: []Member{member("a", ready, 1)}, want: []string{}},
		{
			name: "one pass stages a bounded number and wakes for the rest", desired: 50,
			want: slices.Repeat([]string{"stage"}, DefaultBounds.StagePerPass), wake: passPause,
		},
		{
			name: "healthy sessions are published, others recorded as they start", desired: 3,
			members: []Member{member("a", starting, 2, passing), member("b", pending, 1, func(m *Member) { m.Running = true }), member("c", pending, 0)},
			want:    []string{"record b", "publish a"}, wake: DefaultBounds.PlaceTimeout,
		},
		{name: "a ready session whose checks fail is withdrawn", desired: 1, members: []Member{member("a", ready, 1, failing)}, want: []string{"withdraw a"}},
		{
			name: "ready sessions on a draining node go behind the others at once, and back when the drain is cancelled", desired: 5,
			members: []Member{
				member("drained", ready, 3, draining), member("done", ready, 2, draining, demoted), member("back", ready, 1, demoted),
				member("busy", ready, 1, draining, busy), member("sick", ready, 0, demoted, failing),
			},
			want: []string{"withdraw sick", "demote drained", "promote back", "stage"}, wake: passPause,
		},
		{
			name: "without known health nothing is published or withdrawn", desired: 2,
			members: []Member{member("a", ready, 1, failing), member("b", starting, 1, passing)},
			change:  func(in *PoolInput) { in.HealthKnown = false }, want: []string{},
		},
		{
			name: "excess: the newest that are not ready first, then the oldest ready", desired: 1,
			members: []Member{member("old", ready, 9), member("new", ready, 1), member("p1", pending, 2), member("p2", pending, 1)},
			want:    []string{"retire p2", "retire p1", "retire old"}, wake: DefaultBounds.PlaceTimeout - 2*time.Minute,
		},
		{name: "what is to be kept is no excess", desired: 1, change: func(in *PoolInput) { in.Keep = 3 }, members: []Member{member("a", ready, 9), member("b", ready, 5), member("c", ready, 1)}, want: []string{}},
		{name: "what is more than to be kept is, and no more", desired: 1, change: func(in *PoolInput) { in.Keep = 2 }, members: []Member{member("old", ready, 9), member("b", ready, 5), member("c", ready, 1)}, want: []string{"retire old"}},
		{name: "an excess session that is being retired is not replaced by another", desired: 1, members: []Member{member("old", ready, 9, busy), member("new", ready, 1)}, want: []string{}},
		{name: "desired zero drains", desired: 0, members: []Member{member("a", ready, 1)}, want: []string{"retire a"}},
		{
			name: "a deleted config drains and stages nothing", desired: 3,
			members: []Member{member("a", ready, 1), member("b", pending, 1)},
			change:  func(in *PoolInput) { in.Removed = true }, want: []string{"retire b", "retire a"}, wake: DefaultBounds.PlaceTimeout - time.Minute,
		},
		{name: "a missing image stages nothing and keeps what exists", desired: 3, members: []Member{member("a", ready, 1)}, change: func(in *PoolInput) { in.NoImage = true }, want: []string{}},
		{name: "a session that ended by itself is retired and replaced", desired: 1, members: []Member{member("a", ready, 1, over)}, want: []string{"retire a", "stage"}},
		{
			name: "after a failure there is a pause", desired: 1, members: nil,
			change: func(in *PoolInput) {
				in.Backoff = Backoff{Failures: 3, At: noon.Add(-time.Second), Last: &staging.Failure{}}
			},
			want: []string{}, wake: 3 * time.Second,
		},
		{
			name: "after the pause one session is tried for all", desired: 5,
			change: func(in *PoolInput) {
				in.Backoff = Backoff{Failures: 3, At: noon.Add(-time.Minute), Last: &staging.Failure{}}
			},
			want: []string{"stage"},
		},
		{name: "a full zone is probed by the session that waits", desired: 5, members: []Member{member("a", pending, 1, refused)}, want: []string{}},
		{
			name: "expired: the replacement comes first", desired: 2,
			members: []Member{member("a", ready, 60, expiring(-time.Minute)), member("b", ready, 1, expiring(time.Hour))},
			want:    []string{"stage"}, wake: time.Hour,
		},
		{
			name: "expired: retired once the replacement is ready", desired: 2,
			members: []Member{member("a", ready, 60, expiring(-time.Minute)), member("b", ready, 1, expiring(time.Hour)), member("c", ready, 0, expiring(time.Hour))},
			want:    []string{"retire a"}, wake: time.Hour,
		},
		{
			name: "expired and never ready: retired at once", desired: 1,
			members: []Member{member("a", starting, 60, expiring(-time.Minute))},
			want:    []string{"retire a", "stage"},
		},
		{
			name: "expired in a full zone: retired to make room for its replacement", desired: 2,
			members: []Member{
				member("a", ready, 60, expiring(-time.Minute)), member("b", ready, 59, expiring(-time.Minute)), member("c", pending, 1, refused, expiring(time.Hour)),
			},
			want: []string{"retire a"}, wake: time.Hour,
		},
		{name: "a session lost with its node is retired and replaced", desired: 1, members: []Member{member("a", ready, 1, lost)}, want: []string{"retire a", "stage"}},
		{
			name: "disconnected: withdrawn and waited for, although its checks pass", desired: 1,
			members: []Member{member("a", ready, 1, disconnectedFor(0))}, want: []string{"withdraw a"}, wake: DefaultBounds.Grace,
		},
		{
			name: "disconnected for too long: replaced", desired: 1,
			members: []Member{member("a", starting, 1, passing, disconnectedFor(time.Minute))}, want: []string{"retire a", "stage"},
		},
		{
			name: "a draining node: the replacement comes first", desired: 2,
			members: []Member{member("a", ready, 2, draining), member("b", ready, 1)}, want: []string{"demote a", "stage"},
		},
		{
			name: "a draining node: retired once the replacement is ready", desired: 2,
			members: []Member{member("a", ready, 3, draining), member("b", ready, 2), member("c", ready, 1)}, want: []string{"retire a"},
		},
		{
			name: "misplaced: retired at once", desired: 2,
			members: []Member{member("a", ready, 9, misplaced), member("b", ready, 1)},
			want:    []string{"retire a", "stage"},
		},
		{
			name: "an older revision is replaced, its replacement first", desired: 2,
			members: []Member{member("a", ready, 9, stale), member("b", ready, 1)},
			want:    []string{"stage"},
		},
		{
			name: "an older revision is retired once its replacement is ready", desired: 1,
			members: []Member{member("a", ready, 9, stale), member("b", ready, 1)},
			want:    []string{"retire a"},
		},
		{
			name: "a roll: as many beside the old ones as may be unavailable", desired: 8, members: slices.Repeat([]Member{member("a", ready, 9, stale)}, 8),
			want: []string{"stage", "stage"}, wake: passPause,
		},
		{
			name: "a roll with max_unavailable in the config", desired: 8, members: slices.Repeat([]Member{member("a", ready, 9, stale)}, 8),
			change: func(in *PoolInput) { in.Config.MaxUnavailable = "3" }, want: []string{"stage", "stage", "stage"}, wake: passPause,
		},
		{
			name: "a roll in a full zone: no more are retired first than may be unavailable", desired: 4,
			members: []Member{
				member("a", ready, 9, stale), member("b", ready, 8, stale), member("c", ready, 7, stale), member("d", ready, 6, stale), member("e", pending, 0, refused),
			},
			want: []string{"retire a"},
		},
		{
			name: "a limit of sessions that was reached: one is tried, as a probe", desired: 5, members: []Member{member("a", ready, 1)},
			change: func(in *PoolInput) { in.Limit = &staging.LimitReached{} }, want: []string{"stage"}, wake: passPause,
		},
		{
			name: "a limit of sessions that was reached just now: none is tried before its time", desired: 5, members: []Member{member("a", ready, 1)},
			change: func(in *PoolInput) { in.Limit, in.LimitUntil = &staging.LimitReached{}, noon.Add(time.Second) }, want: []string{}, wake: time.Second,
		},
		{
			name: "a roll at a limit of sessions: as many go first as may be unavailable", desired: 4,
			members: []Member{member("a", ready, 9, stale), member("b", ready, 8, stale), member("c", ready, 7, stale), member("d", ready, 6, stale)},
			change:  func(in *PoolInput) { in.Limit, in.LimitUntil = &staging.LimitReached{}, noon.Add(time.Second) }, want: []string{"retire a"}, wake: time.Second,
		},
		{
			name: "a roll at a limit of sessions that leaves fewer than are desired", desired: 6, members: []Member{member("a", ready, 9, stale)},
			change: func(in *PoolInput) { in.Limit, in.LimitUntil = &staging.LimitReached{}, noon.Add(time.Second) }, want: []string{"retire a"}, wake: time.Second,
		},
		{
			name: "the config's own limit counts what users have", desired: 5, members: []Member{member("a", ready, 1)},
			change: func(in *PoolInput) { in.Config.MaxSessions, in.Taken = 4, 1 }, want: []string{"stage", "stage"},
		},
		{
			name: "a config's limit that was lowered ends what is unassigned and too much", desired: 3,
			members: []Member{member("a", ready, 2), member("b", ready, 1)},
			change:  func(in *PoolInput) { in.Config.MaxSessions, in.Taken = 2, 1 }, want: []string{"retire a"},
		},
		{
			name: "a config's limit that users alone reach ends all that is unassigned", desired: 3, members: []Member{member("a", ready, 2)},
			change: func(in *PoolInput) { in.Config.MaxSessions, in.Taken = 2, 5 }, want: []string{"retire a"},
		},
		{
			name: "a roll at the config's own limit: as many go first as may be unavailable", desired: 2,
			members: []Member{member("a", ready, 9, stale), member("b", ready, 8, stale)},
			change:  func(in *PoolInput) { in.Config.MaxSessions = 2 }, want: []string{"retire a", "stage"}, wake: passPause,
		},
		{
			name: "a roll in a full zone: no more while that one is missing", desired: 4,
			members: []Member{member("b", ready, 8, stale), member("c", ready, 7, stale), member("d", ready, 6, stale), member("e", pending, 0, refused)},
			want:    []string{},
		},
		{
			name: "a new revision that fails retires no old session", desired: 2,
			members: []Member{member("a", ready, 9, stale), member("b", ready, 8, stale), member("c", starting, 1, over)},
			change: func(in *PoolInput) {
				in.Backoff = Backoff{Failures: 1, At: noon, Last: &staging.Failure{}}
			},
			want: []string{"retire c"}, wake: time.Second,
		},
		{
			name: "a replacement whose checks fail replaces nothing", desired: 1,
			members: []Member{member("a", ready, 9, stale), member("b", ready, 1, failing)}, want: []string{"withdraw b"},
		},
		{
			name: "a disabled image drains and stages nothing", desired: 3, members: []Member{member("a", ready, 1), member("b", ready, 1, stale)},
			change: func(in *PoolInput) {
				in.Blocked = &staging.Failure{Type: staging.ImageDisabled, Message: "image x is disabled"}
			},
			want: []string{"retire a", "retire b"},
		},
		{
			name: "first_launch comes before publish", desired: 2,
			members: []Member{member("a", starting, 2, passing, beforeFirstLaunch), member("b", starting, 1, beforeFirstLaunch)}, want: []string{"first_launch a"},
		},
		{
			name: "unhealthy: waited for during its grace", desired: 1,
			members: []Member{member("a", starting, 9, unhealthyFor(10*time.Second))}, want: []string{}, wake: 20 * time.Second,
		},
		{
			name: "unhealthy beyond its grace: replaced", desired: 1,
			members: []Member{member("a", starting, 9, unhealthyFor(30*time.Second))}, want: []string{"retire a", "stage"},
		},
		{
			name: "healthy again within its grace: published", desired: 1,
			members: []Member{member("a", starting, 9, passing)}, want: []string{"publish a"},
		},
		{
			name: "never healthy: replaced after the start timeout", desired: 1,
			members: []Member{member("a", starting, 11, func(m *Member) { m.RunningSince = noon.Add(-10 * time.Minute) })}, want: []string{"retire a", "stage"},
		},
		{
			name: "unrecorded sessions count: they are not made twice", desired: 3, members: []Member{member("a", ready, 1)},
			change: func(in *PoolInput) { in.Unrecorded = 2 }, want: []string{},
		},
		{
			name: "the next change of the schedule wakes the pool", desired: 0, change: func(in *PoolInput) { in.DesiredUntil = noon.Add(time.Hour) },
			want: []string{}, wake: time.Hour,
		},
		{
			name: "all expired and desired lowered: only what is wanted is kept", desired: 1,
			members: []Member{member("a", ready, 62, expiring(-time.Minute)), member("b", ready, 61, expiring(-time.Minute)), member("c", ready, 60, expiring(-time.Minute))},
			want:    []string{"retire a", "retire b", "stage"},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			in := PoolInput{Desired: c.desired, Members: c.members, HealthKnown: true, Config: staging.Config{Name: "p"}}
			if c.change != nil {
				c.change(&in)
			}
			plan := Decide(in, DefaultBounds, noon)
			if diff := cmp.Diff(c.want, short(plan.Steps)); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
			var wake time.Duration
			if !plan.Wake.IsZero() {
				wake = plan.Wake.Sub(noon)
			}
			if wake != c.wake {
				t.Errorf("wakes after %s, want %s", wake, c.wake)
			}
			for _, s := range plan.Steps {
				if s.Reason == "" {
					t.Errorf("step %s %s has no reason", s.Kind, s.Session)
				}
			}
		})
	}
}

// TestAPoolOfWhichNothingIsKnownIsLeftAlone: nothing is staged or retired while its config,
// zone or image cannot be read; only the ready queue follows the health checks.
func TestAPoolOfWhichNothingIsKnownIsLeftAlone(t *testing.T) {
	members := []Member{
		{ID: "misplaced", State: staging.Ready, Running: true, Passing: true, Misplaced: true, Stale: true},
		{ID: "failed", State: staging.Ready, Over: true, Failure: &staging.Failure{Type: staging.CrashLooping}},
		{ID: "up", State: staging.Starting, Running: true, Passing: true},
	}
	in := PoolInput{Unknown: true, Unreadable: "why", NoZone: true, HealthKnown: true, Members: members, Blocked: &staging.Failure{}}
	want := map[string]Kind{"failed": Withdraw, "up": Publish}
	for range 2 {
		plan := Decide(in, DefaultBounds, time.Now())
		got := map[string]Kind{}
		for _, s := range plan.Steps {
			got[s.Session] = s.Kind
		}
		if !maps.Equal(got, want) || plan.Conditions[0].Type != staging.ConfigUnreadable {
			t.Errorf("%v %+v", got, plan.Conditions)
		}
		in.UnknownImage = true // it may have a first_launch hook
		delete(want, "up")
	}
}
