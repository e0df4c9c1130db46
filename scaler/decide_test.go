package scaler

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/greenroom/greenroom/internal/staging"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// member makes a session that was created so many minutes before noon.
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
func busy(m *Member)                          { m.Busy = true }
func passing(m *Member)                       { m.Passing = true }
func misplaced(m *Member)                     { m.Misplaced = true }
func stale(m *Member)                         { m.Stale = true }
func failing(m *Member)                       { m.Passing = false }

func refused(m *Member) {
	m.Refused = &staging.Failure{Type: staging.CapacityExhausted, Message: "not enough memory"}
}

func toLaunch(m *Member) { m.FirstLaunch = true }

func ailingFor(d time.Duration) func(*Member) {
	return func(m *Member) { m.Passing, m.UnhealthySince = false, noon.Add(-d) }
}

func draining(m *Member) { m.Draining = true }

// unseen is one whose node has been cut off for so long.
func unseen(d time.Duration) func(*Member) {
	return func(m *Member) { m.Running, m.UnhealthySince = false, noon.Add(-d) }
}

func lost(m *Member) {
	m.Over, m.Running, m.EndReason = true, false, "alloc is lost since its node is down"
}

func over(m *Member) {
	m.Over, m.Running, m.Passing = true, false, false
	m.Failure = &staging.Failure{Type: staging.CrashLooping, Message: "exit code 1"}
}

// short writes steps as "kind id", which is what most cases are about.
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
		change  func(*View)
		want    []string
		wake    time.Duration // from noon; 0 for never
	}{
		{name: "an empty pool is filled", desired: 2, want: []string{"stage", "stage"}},
		{name: "what is on its way counts", desired: 3, members: []Member{member("a", pending, 0, busy), member("b", starting, 0)}, want: []string{"stage"}, wake: DefaultBounds.PlaceTimeout},
		{
			name: "placed late, when room came: given the same time", desired: 1,
			members: []Member{member("a", pending, 31, func(m *Member) { m.PlacedAt = noon })}, want: []string{}, wake: DefaultBounds.PlaceTimeout,
		},
		{name: "placed, and never begun to run: replaced", desired: 1, members: []Member{member("a", pending, 31)}, want: []string{"retire a", "stage"}},
		{name: "enough is enough", desired: 1, members: []Member{member("a", ready, 1)}, want: []string{}},
		{
			name: "one pass stages a bounded number and comes back", desired: 50,
			want: slices.Repeat([]string{"stage"}, DefaultBounds.StagePerPass), wake: passPause,
		},
		{
			name: "healthy ones are published, others recorded as they start", desired: 3,
			members: []Member{member("a", starting, 2, passing), member("b", pending, 1, func(m *Member) { m.Running = true }), member("c", pending, 0)},
			want:    []string{"record b", "publish a"}, wake: DefaultBounds.PlaceTimeout,
		},
		{name: "a ready one whose checks fail is withdrawn", desired: 1, members: []Member{member("a", ready, 1, failing)}, want: []string{"withdraw a"}},
		{
			name: "without Consul's word nothing is published or withdrawn", desired: 2,
			members: []Member{member("a", ready, 1, failing), member("b", starting, 1, passing)},
			change:  func(v *View) { v.HealthKnown = false }, want: []string{},
		},
		{
			name: "excess: the newest of those not ready first, then the oldest ready", desired: 1,
			members: []Member{member("old", ready, 9), member("new", ready, 1), member("p1", pending, 2), member("p2", pending, 1)},
			want:    []string{"retire p2", "retire p1", "retire old"}, wake: DefaultBounds.PlaceTimeout - 2*time.Minute,
		},
		{name: "an excess under way is not replaced by another", desired: 1, members: []Member{member("old", ready, 9, busy), member("new", ready, 1)}, want: []string{}},
		{name: "desired zero drains", desired: 0, members: []Member{member("a", ready, 1)}, want: []string{"retire a"}},
		{
			name: "a deleted config drains and stages nothing", desired: 3,
			members: []Member{member("a", ready, 1), member("b", pending, 1)},
			change:  func(v *View) { v.Removed = true }, want: []string{"retire b", "retire a"}, wake: DefaultBounds.PlaceTimeout - time.Minute,
		},
		{name: "a missing image stages nothing and keeps what is there", desired: 3, members: []Member{member("a", ready, 1)}, change: func(v *View) { v.NoImage = true }, want: []string{}},
		{name: "what has ended by itself is retired and replaced", desired: 1, members: []Member{member("a", ready, 1, over)}, want: []string{"retire a", "stage"}},
		{
			name: "after a failure there is a pause", desired: 1, members: nil,
			change: func(v *View) {
				v.Backoff = Backoff{Failures: 3, At: noon.Add(-time.Second), Last: &staging.Failure{}}
			},
			want: []string{}, wake: 3 * time.Second,
		},
		{
			name: "after the pause one tries for all", desired: 5,
			change: func(v *View) {
				v.Backoff = Backoff{Failures: 3, At: noon.Add(-time.Minute), Last: &staging.Failure{}}
			},
			want: []string{"stage"},
		},
		{name: "a full zone is probed by the one that waits", desired: 5, members: []Member{member("a", pending, 1, refused)}, want: []string{}},
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
			name: "expired and never ready: goes at once", desired: 1,
			members: []Member{member("a", starting, 60, expiring(-time.Minute))},
			want:    []string{"retire a", "stage"},
		},
		{
			name: "expired in a full zone: makes room for its replacement", desired: 2,
			members: []Member{
				member("a", ready, 60, expiring(-time.Minute)), member("b", ready, 59, expiring(-time.Minute)), member("c", pending, 1, refused, expiring(time.Hour)),
			},
			want: []string{"retire a"}, wake: time.Hour,
		},
		{name: "what is lost with its node is retired and replaced", desired: 1, members: []Member{member("a", ready, 1, lost)}, want: []string{"retire a", "stage"}},
		{
			name: "out of sight: withdrawn, and waited for, though its checks pass", desired: 1,
			members: []Member{member("a", ready, 1, unseen(0))}, want: []string{"withdraw a"}, wake: DefaultBounds.Grace,
		},
		{
			name: "out of sight for too long: replaced", desired: 1,
			members: []Member{member("a", starting, 1, passing, unseen(time.Minute))}, want: []string{"retire a", "stage"},
		},
		{
			name: "a draining node: the replacement comes first", desired: 2,
			members: []Member{member("a", ready, 2, draining), member("b", ready, 1)}, want: []string{"stage"},
		},
		{
			name: "a draining node: gone once the replacement is ready", desired: 2,
			members: []Member{member("a", ready, 3, draining), member("b", ready, 2), member("c", ready, 1)}, want: []string{"retire a"},
		},
		{
			name: "what the config no longer names goes at once", desired: 2,
			members: []Member{member("a", ready, 9, misplaced), member("b", ready, 1)},
			want:    []string{"retire a", "stage"},
		},
		{
			name: "an older revision is replaced, its replacement first", desired: 2,
			members: []Member{member("a", ready, 9, stale), member("b", ready, 1)},
			want:    []string{"stage"},
		},
		{
			name: "an older revision goes once its replacement is ready", desired: 1,
			members: []Member{member("a", ready, 9, stale), member("b", ready, 1)},
			want:    []string{"retire a"},
		},
		{
			name: "a roll: as many beside the old as may be unavailable", desired: 8, members: slices.Repeat([]Member{member("a", ready, 9, stale)}, 8),
			want: []string{"stage", "stage"}, wake: passPause,
		},
		{
			name: "a roll where the config says how many", desired: 8, members: slices.Repeat([]Member{member("a", ready, 9, stale)}, 8),
			change: func(v *View) { v.Config.MaxUnavailable = "3" }, want: []string{"stage", "stage", "stage"}, wake: passPause,
		},
		{
			name: "a roll in a full zone: no more go first than may be unavailable", desired: 4,
			members: []Member{
				member("a", ready, 9, stale), member("b", ready, 8, stale), member("c", ready, 7, stale), member("d", ready, 6, stale), member("e", pending, 0, refused),
			},
			want: []string{"retire a"},
		},
		{
			name: "and no more while that one is missing", desired: 4,
			members: []Member{member("b", ready, 8, stale), member("c", ready, 7, stale), member("d", ready, 6, stale), member("e", pending, 0, refused)},
			want:    []string{},
		},
		{
			name: "a new revision that fails takes no old one down", desired: 2,
			members: []Member{member("a", ready, 9, stale), member("b", ready, 8, stale), member("c", starting, 1, over)},
			change: func(v *View) {
				v.Backoff = Backoff{Failures: 1, At: noon, Last: &staging.Failure{}}
			},
			want: []string{"retire c"}, wake: time.Second,
		},
		{
			name: "a replacement whose checks fail replaces nothing", desired: 1,
			members: []Member{member("a", ready, 9, stale), member("b", ready, 1, failing)}, want: []string{"withdraw b"},
		},
		{
			name: "a disabled image drains and stages nothing", desired: 3, members: []Member{member("a", ready, 1), member("b", ready, 1, stale)},
			change: func(v *View) {
				v.Blocked = &staging.Failure{Type: staging.ImageDisabled, Message: "image x is disabled"}
			},
			want: []string{"retire a", "retire b"},
		},
		{
			name: "first_launch comes before anybody can have it", desired: 2,
			members: []Member{member("a", starting, 2, passing, toLaunch), member("b", starting, 1, toLaunch)}, want: []string{"first_launch a"},
		},
		{
			name: "unhealthy: withdrawn, and given its grace", desired: 1,
			members: []Member{member("a", starting, 9, ailingFor(10*time.Second))}, want: []string{}, wake: 20 * time.Second,
		},
		{
			name: "unhealthy beyond its grace: replaced", desired: 1,
			members: []Member{member("a", starting, 9, ailingFor(30*time.Second))}, want: []string{"retire a", "stage"},
		},
		{
			name: "healthy again within its grace: published", desired: 1,
			members: []Member{member("a", starting, 9, passing)}, want: []string{"publish a"},
		},
		{
			name: "never healthy: not waited for without end", desired: 1,
			members: []Member{member("a", starting, 11, func(m *Member) { m.RunningSince = noon.Add(-10 * time.Minute) })}, want: []string{"retire a", "stage"},
		},
		{
			name: "what Redis has lost and will know again is not made twice", desired: 3, members: []Member{member("a", ready, 1)},
			change: func(v *View) { v.Unrecorded = 2 }, want: []string{},
		},
		{
			name: "a schedule's change wakes the pool", desired: 0, change: func(v *View) { v.DesiredUntil = noon.Add(time.Hour) },
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
			v := View{Desired: c.desired, Members: c.members, HealthKnown: true, Config: staging.Config{Name: "p"}}
			if c.change != nil {
				c.change(&v)
			}
			plan := Decide(v, DefaultBounds, noon)
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

func TestBackoffDoublesUpToFiveMinutes(t *testing.T) {
	for failures, want := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 9: 256 * time.Second, 10: maxBackoff, 1000: maxBackoff} {
		if got := (Backoff{Failures: failures, At: noon}).until().Sub(noon); got != want {
			t.Errorf("after %d failures %s, want %s", failures, got, want)
		}
	}
}

// TestFailuresAreForgottenOnceASessionStaysReady: an image that is ready for a moment
// and then fails goes on backing off, and what fails together is one try.
func TestFailuresAreForgottenOnceASessionStaysReady(t *testing.T) {
	why := &staging.Failure{Type: staging.CrashLooping, Message: "exit code 1"}
	var b Backoff
	now := noon
	for n := 1; n <= 5; n++ {
		for range 3 {
			b = b.failed(why, now)
		}
		if b.Failures != n || !b.paused() {
			t.Fatalf("after %d tries: %+v", n, b)
		}
		now = b.until()
		b.ReadyAt = now
		if b.paused() {
			t.Fatal("paused though one is ready")
		}
		now = now.Add(time.Second)
	}
	now = b.ReadyAt.Add(steadyAfter)
	if b = b.failed(why, now); b.Failures != 1 {
		t.Errorf("one was ready for %s, and then failed: %+v", steadyAfter, b)
	}
}

func TestConditionsSayWhyAndSinceWhen(t *testing.T) {
	v := View{
		Config: staging.Config{Zone: "east", Image: "gone"}, NoImage: true, Desired: 2,
		Members: []Member{member("a", staging.Pending, 1, refused), member("b", staging.Pending, 1, refused)},
		Backoff: Backoff{Failures: 2, At: noon, Last: &staging.Failure{Type: staging.CrashLooping, Message: "exit code 1"}},
	}
	v.AssignHook = Backoff{Failures: 3, Last: &staging.Failure{Type: staging.HookFailing, Message: "exit code 7: no desktop"}}
	before := []staging.Condition{{Type: staging.CapacityExhausted, Message: "old words", Since: noon.Add(-time.Hour)}}
	want := []staging.Condition{
		{Type: staging.ImageMissing, Message: `image "gone" does not exist`, Since: noon},
		{Type: staging.HookFailing, Message: "exit code 7: no desktop (3 in a row)", Since: noon},
		{Type: staging.CapacityExhausted, Message: "not enough memory", Since: noon.Add(-time.Hour)},
		{Type: staging.CrashLooping, Message: "exit code 1 (2 in a row)", Since: noon},
	}
	if diff := cmp.Diff(want, since(before, Decide(v, DefaultBounds, noon).Conditions, noon)); diff != "" {
		t.Error(diff)
	}
}

// genView draws a pool in any standing.
func genView(t *rapid.T) View {
	v := View{
		Desired:     rapid.IntRange(0, 12).Draw(t, "desired"),
		HealthKnown: rapid.Bool().Draw(t, "healthKnown"),
		Removed:     rapid.IntRange(0, 9).Draw(t, "removed") == 0,
		NoImage:     rapid.IntRange(0, 9).Draw(t, "noImage") == 0,
		Config:      staging.Config{MaxUnavailable: rapid.SampledFrom([]string{"", "1", "50%"}).Draw(t, "maxUnavailable")},
		Backoff:     Backoff{Failures: rapid.IntRange(0, 3).Draw(t, "failures"), At: noon, Last: &staging.Failure{Type: staging.CrashLooping}},
	}
	for i := range rapid.IntRange(0, 15).Draw(t, "members") {
		m := member(fmt.Sprint("m", i), rapid.SampledFrom([]staging.State{staging.Pending, staging.Starting, staging.Ready}).Draw(t, "state"),
			rapid.IntRange(0, 100).Draw(t, "age"))
		m.Running, m.Passing, m.Busy = rapid.Bool().Draw(t, "running"), rapid.Bool().Draw(t, "passing"), rapid.Bool().Draw(t, "busy")
		m.ExpiresAt = noon.Add(time.Duration(rapid.IntRange(-50, 50).Draw(t, "expires")) * time.Minute)
		m.Stale = rapid.IntRange(0, 2).Draw(t, "stale") == 0
		m.FirstLaunch = m.State != staging.Ready && rapid.IntRange(0, 4).Draw(t, "firstLaunch") == 0
		m.Draining = rapid.IntRange(0, 5).Draw(t, "draining") == 0
		if !m.healthy() && rapid.Bool().Draw(t, "ailing") {
			m.UnhealthySince = noon.Add(-time.Duration(rapid.IntRange(0, 60).Draw(t, "unhealthy")) * time.Second)
		}
		if rapid.IntRange(0, 4).Draw(t, "over") == 0 {
			over(&m)
		} else if m.State == staging.Pending && rapid.Bool().Draw(t, "refused") {
			refused(&m)
		}
		v.Members = append(v.Members, m)
	}
	return v
}

// TestDecideIsSafe states what no plan may ever do.
func TestDecideIsSafe(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := genView(t)
		if rapid.IntRange(0, 9).Draw(t, "blocked") == 0 {
			v.Blocked = &staging.Failure{Type: staging.ImageDisabled, Message: "disabled"}
		}
		plan := Decide(v, DefaultBounds, noon)
		byID := map[string]Member{}
		for _, m := range v.Members {
			byID[m.ID] = m
		}
		staged, steps := 0, map[string]int{}
		readyLeft := 0
		for _, m := range v.Members {
			if m.State == staging.Ready && m.Running && m.Passing && !m.Over {
				readyLeft++
			}
		}
		readyBefore := readyLeft
		for _, s := range plan.Steps {
			if s.Kind == Stage {
				staged++
				continue
			}
			m, known := byID[s.Session]
			if !known || m.Busy {
				t.Fatalf("%s for %q, which is not there or busy", s.Kind, s.Session)
			}
			if steps[s.Session]++; steps[s.Session] > 1 {
				t.Fatalf("two steps for %s", s.Session)
			}
			switch s.Kind {
			case Publish:
				if !m.Running || !m.Passing || m.Over || !v.HealthKnown || m.FirstLaunch {
					t.Fatalf("published %+v", m)
				}
			case Withdraw:
				if m.State != staging.Ready || !v.HealthKnown {
					t.Fatalf("withdrew %+v", m)
				}
			case Retire:
				if m.State == staging.Ready && m.Running && m.Passing && !m.Over {
					readyLeft--
				}
			}
		}
		floor := min(readyBefore, v.Desired-v.Config.Unavailable(v.Desired))
		if v.Removed || v.Blocked != nil {
			floor = 0
		}
		if v.HealthKnown && readyLeft < floor {
			t.Fatalf("%d were ready, %d are left, %d desired with %q unavailable: %v", readyBefore, readyLeft, v.Desired, v.Config.MaxUnavailable, plan.Steps)
		}
		if staged > 0 && len(v.Members)+staged > v.Desired+v.Config.Unavailable(v.Desired)+overOrRetired(v, plan) {
			t.Fatalf("%d members, %d staged, %d desired", len(v.Members), staged, v.Desired)
		}
		if (v.Removed || v.NoImage || v.Blocked != nil) && staged > 0 {
			t.Fatal("staged without an image or a config")
		}
	})
}

func overOrRetired(v View, p Plan) int {
	n := 0
	for _, m := range v.Members {
		if m.Over || m.Failure != nil {
			n++
		}
	}
	for _, s := range p.Steps {
		if s.Kind == Retire {
			n++
		}
	}
	// Busy members on their way out count as out in Decide, too.
	for _, m := range v.Members {
		if m.Busy {
			n++
		}
	}
	return n
}

// naively is what a pool needs when nothing is the matter with it: what is missing is
// made, what is too much goes: of those that wait for a node the newest first, then of
// those that start, then the oldest that are ready.
func naively(v View) (stage int, retire []string) {
	if missing := v.Desired - len(v.Members); missing > 0 {
		return min(missing, DefaultBounds.StagePerPass), nil
	}
	order := slices.Clone(v.Members)
	slices.SortFunc(order, func(a, b Member) int {
		switch aReady, bReady := a.State == staging.Ready, b.State == staging.Ready; {
		case aReady && bReady:
			return a.CreatedAt.Compare(b.CreatedAt)
		case aReady:
			return 1
		case bReady:
			return -1
		}
		if aPending, bPending := a.State == staging.Pending, b.State == staging.Pending; aPending != bPending {
			return map[bool]int{true: -1, false: 1}[aPending]
		}
		return b.CreatedAt.Compare(a.CreatedAt)
	})
	for _, m := range order[:len(order)-v.Desired] {
		retire = append(retire, m.ID)
	}
	return 0, retire
}

// TestDecideAgreesWithANaiveVersion on pools with which nothing is the matter.
func TestDecideAgreesWithANaiveVersion(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := View{Desired: rapid.IntRange(0, 30).Draw(t, "desired"), HealthKnown: true}
		for i := range rapid.IntRange(0, 30).Draw(t, "members") {
			state := rapid.SampledFrom([]staging.State{staging.Pending, staging.Starting, staging.Ready}).Draw(t, "state")
			v.Members = append(v.Members, member(fmt.Sprint("m", i), state, i))
		}
		var retired []string
		staged := 0
		for _, s := range Decide(v, DefaultBounds, noon).Steps {
			switch s.Kind {
			case Stage:
				staged++
			case Retire:
				retired = append(retired, s.Session)
			default:
				t.Fatalf("%s of %s, with which nothing is the matter", s.Kind, s.Session)
			}
		}
		stage, retire := naively(v)
		if staged != stage || !slices.Equal(retired, retire) {
			t.Fatalf("staged %d, retired %v; naively %d and %v", staged, retired, stage, retire)
		}
	})
}

// TestDecideConverges plays plans against a pool in which every step works,
// from any standing, and wants exactly the desired number ready in the end.
func TestDecideConverges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := genView(t)
		v.HealthKnown, v.Removed, v.NoImage = true, false, false
		for i := range v.Members {
			v.Members[i].Busy, v.Members[i].Refused = false, nil
		}
		now, made := noon, 0
		for range 60 {
			plan := Decide(v, DefaultBounds, now)
			if len(plan.Steps) == 0 && plan.Wake.IsZero() {
				break
			}
			for _, s := range plan.Steps {
				i := slices.IndexFunc(v.Members, func(m Member) bool { return m.ID == s.Session })
				switch s.Kind {
				case Stage:
					made++
					v.Members = append(v.Members, Member{ID: fmt.Sprint("new", made), State: staging.Pending, CreatedAt: now, ExpiresAt: now.Add(24 * time.Hour)})
				case Retire:
					v.Members = slices.Delete(v.Members, i, i+1)
				case Publish:
					v.Members[i].State, v.Backoff = staging.Ready, Backoff{}
				case FirstLaunch:
					v.Members[i].FirstLaunch = false
				case Withdraw, Record:
					v.Members[i].State = staging.Starting
				}
			}
			// The cluster catches up: whatever was placed runs and is healthy.
			for i := range v.Members {
				if !v.Members[i].Over {
					v.Members[i].Running, v.Members[i].Passing, v.Members[i].UnhealthySince = true, true, time.Time{}
				}
			}
			now = now.Add(10 * time.Second)
		}
		ready := 0
		for _, m := range v.Members {
			if m.State == staging.Ready && !m.Over {
				ready++
			}
		}
		if ready != v.Desired || len(v.Members) != v.Desired {
			t.Fatalf("ended with %d members, %d ready; %d desired", len(v.Members), ready, v.Desired)
		}
	})
}

func TestSettle(t *testing.T) {
	running := Unpooled{HasJob: true, Running: true, Passing: true, TouchedAt: noon}
	with := func(change func(*Unpooled)) Unpooled {
		x := running
		change(&x)
		return x
	}
	old := noon.Add(-time.Hour)
	cases := []struct {
		name string
		x    Unpooled
		want Kind // "" for nothing
		wake time.Duration
	}{
		{"an assigned session may end within moments", with(func(x *Unpooled) { x.State, x.Fate = staging.Assigned, staging.VerdictAssigned }), "", tagAfter},
		{"one that goes on is shown in Consul", with(func(x *Unpooled) {
			x.State, x.Fate, x.TouchedAt = staging.Assigned, staging.VerdictAssigned, noon.Add(-tagAfter)
		}), Tag, 0},
		{"and then left in peace", with(func(x *Unpooled) { x.State, x.Fate, x.Tagged = staging.Assigned, staging.VerdictAssigned, true }), "", 0},
		{
			"an assigned session is looked at again when the first of its terms is over",
			with(func(x *Unpooled) {
				x.State, x.Tagged, x.EndsAt, x.KeepaliveUntil = staging.Assigned, true, noon.Add(time.Hour), noon.Add(time.Minute)
			}), "", time.Minute,
		},
		{"a time limit that is over ends it, shown or not", with(func(x *Unpooled) { x.State, x.EndsAt = staging.Assigned, noon }), End, 0},
		{"a keepalive that did not come is for Redis to judge", with(func(x *Unpooled) { x.State, x.KeepaliveUntil = staging.Assigned, noon }), ExpireKeepalive, 0},
		{
			"on demand, the first_launch hook comes before its user",
			with(func(x *Unpooled) { x.State, x.Origin, x.FirstLaunch = staging.Starting, staging.OnDemand, true }), FirstLaunch, 0,
		},
		{"an assigned session that ended by itself is ended", with(func(x *Unpooled) { x.State, x.Over = staging.Assigned, true }), End, 0},
		{"an assigned session whose job is gone is ended", with(func(x *Unpooled) { x.State, x.HasJob, x.Missing = staging.Assigned, false, true }), End, 0},
		{"an assigned session whose job was not heard of yet is left in peace", with(func(x *Unpooled) { x.State, x.HasJob = staging.Assigned, false }), "", orphanTimeout},
		{"an on-demand session that is up is admitted", with(func(x *Unpooled) { x.State, x.Origin = staging.Starting, staging.OnDemand }), Assign, 0},
		{"an on-demand session that starts is recorded", with(func(x *Unpooled) { x.State, x.Origin, x.Passing = staging.Pending, staging.OnDemand, false }), Record, 0},
		{
			"an on-demand session that cannot start is ended",
			with(func(x *Unpooled) {
				x.State, x.Origin, x.Running, x.Failure = staging.Pending, staging.OnDemand, false, &staging.Failure{Message: "no image"}
			}), End, 0,
		},
		{
			"on demand and no node takes it: ended after a while",
			with(func(x *Unpooled) {
				x.State, x.Origin, x.Running, x.TouchedAt = staging.Pending, staging.OnDemand, false, old
				x.Refused = &staging.Failure{Message: "no room"}
			}), End, 0,
		},
		{
			"on demand and its checks never pass: ended after a while",
			with(func(x *Unpooled) {
				x.State, x.Origin, x.Passing, x.RunningSince = staging.Starting, staging.OnDemand, false, old
			}), End, 0,
		},
		{
			"on demand and still starting: looked at again",
			with(func(x *Unpooled) {
				x.State, x.Origin, x.Passing, x.RunningSince = staging.Starting, staging.OnDemand, false, noon
			}), "", DefaultBounds.StartTimeout,
		},
		{"a retiring session gets time to stop", with(func(x *Unpooled) { x.State = staging.Retiring }), "", stopTimeout},
		{"a retirement that hangs begins anew, its fate first", with(func(x *Unpooled) { x.State, x.TouchedAt = staging.Retiring, old }), Retire, 0},
		{"an ending session that runs on is stopped", with(func(x *Unpooled) { x.State, x.TouchedAt = staging.Ending, old }), Stop, 0},
		{"an ending session that was stopped is waited for", with(func(x *Unpooled) { x.State, x.Stopped, x.TouchedAt = staging.Ending, true, old }), "", 0},
		{"of an ending session nothing runs: buried", with(func(x *Unpooled) { x.State, x.Over = staging.Ending, true }), MarkEnded, 0},
		{"an ended one is kept for its logs", with(func(x *Unpooled) { x.State, x.EndedNoticedAt = staging.Ended, noon }), "", purgeDelay},
		{"an end that was only read of just now is kept as long", with(func(x *Unpooled) { x.State = staging.Ended }), "", purgeDelay},
		{"and then purged", with(func(x *Unpooled) { x.State, x.EndedNoticedAt = staging.Ended, old }), Purge, 0},
		{"Redis lost it, its fate says whose it is", with(func(x *Unpooled) { x.Fate, x.Origin = staging.VerdictAssigned, staging.Staged }), Restore, 0},
		{"Redis was rolled back to before the claim", with(func(x *Unpooled) { x.State, x.Fate, x.Origin = staging.Ready, staging.VerdictAssigned, staging.Staged }), Restore, 0},
		{"Redis retires what Consul has assigned", with(func(x *Unpooled) {
			x.State, x.Fate, x.Origin = staging.Retiring, staging.VerdictAssigned, staging.Staged
		}), Restore, 0},
		{
			"Redis was rolled back to before the claim of one that is over",
			with(func(x *Unpooled) {
				x.State, x.Fate, x.Origin, x.Over = staging.Ready, staging.VerdictAssigned, staging.Staged, true
			}), MarkEnded, 0,
		},
		{"Redis lost it, nobody has it", with(func(x *Unpooled) { x.Origin = staging.Staged }), Record, 0},
		{"Redis lost its retirement", with(func(x *Unpooled) { x.State, x.Fate, x.Origin = staging.Ready, staging.VerdictRetired, staging.Staged }), Retire, 0},
		{"a claim under way is left in peace", with(func(x *Unpooled) { x.State, x.Origin = staging.Claimed, staging.Staged }), "", staging.ClaimLease},
		{"a claim that its fate says is finished is admitted", with(func(x *Unpooled) { x.State, x.Fate = staging.Claimed, staging.VerdictAssigned }), Assign, 0},
		{
			"a claim whose hook is unfinished keeps its lease", with(func(x *Unpooled) {
				x.State, x.Fate, x.HookPending, x.Lease = staging.Claimed, staging.VerdictAssigned, true, noon.Add(time.Second)
			}), "", time.Second,
		},
		{
			"and is ended after it", with(func(x *Unpooled) {
				x.State, x.Fate, x.HookPending, x.Lease = staging.Claimed, staging.VerdictAssigned, true, noon.Add(-time.Second)
			}), End, 0,
		},
		{"a claim without a fate is ended after its lease", with(func(x *Unpooled) { x.State, x.TouchedAt = staging.Claimed, old }), End, 0},
		{"a record whose job was never made is buried after a while", with(func(x *Unpooled) { x.State, x.HasJob, x.TouchedAt = staging.Pending, false, old }), MarkEnded, 0},
		{"a record whose job is being made is not", with(func(x *Unpooled) { x.State, x.HasJob = staging.Pending, false }), "", orphanTimeout},
		{"on demand, without record and fate: ended after a while", with(func(x *Unpooled) { x.Origin, x.TouchedAt = staging.OnDemand, old }), End, 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			step, wake := DecideSession(c.x, noon)
			got := Kind("")
			if step != nil {
				got = step.Kind
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if c.wake != 0 && wake.Sub(noon) != c.wake {
				t.Errorf("wakes after %s, want %s", wake.Sub(noon), c.wake)
			}
		})
	}
}
