package scaler

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/greenroom/greenroom/internal/staging"
)

// genPoolInput draws a pool in any state.
func genPoolInput(t *rapid.T) PoolInput {
	in := PoolInput{
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
		m.Unknown = rapid.IntRange(0, 9).Draw(t, "unknown") == 0
		m.Busy = m.Busy || m.Unknown
		m.ExpiresAt = noon.Add(time.Duration(rapid.IntRange(-50, 50).Draw(t, "expires")) * time.Minute)
		m.Stale = rapid.IntRange(0, 2).Draw(t, "stale") == 0
		m.FirstLaunch = m.State != staging.Ready && rapid.IntRange(0, 4).Draw(t, "firstLaunch") == 0
		m.Draining = rapid.IntRange(0, 5).Draw(t, "draining") == 0
		m.Demoted = rapid.IntRange(0, 5).Draw(t, "demoted") == 0
		if !m.healthy() && rapid.Bool().Draw(t, "ailing") {
			m.UnhealthySince = noon.Add(-time.Duration(rapid.IntRange(0, 60).Draw(t, "unhealthy")) * time.Second)
		}
		if rapid.IntRange(0, 4).Draw(t, "over") == 0 {
			over(&m)
		} else if m.State == staging.Pending && rapid.Bool().Draw(t, "refused") {
			refused(&m)
		}
		in.Members = append(in.Members, m)
	}
	return in
}

// TestDecideIsSafe checks what no plan may ever do.
func TestDecideIsSafe(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := genPoolInput(t)
		if rapid.IntRange(0, 9).Draw(t, "blocked") == 0 {
			in.Blocked = &staging.Failure{Type: staging.ImageDisabled, Message: "disabled"}
		}
		plan := Decide(in, DefaultBounds, noon)
		byID := map[string]Member{}
		for _, m := range in.Members {
			byID[m.ID] = m
		}
		staged, steps := 0, map[string]int{}
		readyLeft := 0
		for _, m := range in.Members {
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
				t.Fatalf("%s for %q, which does not exist or is busy", s.Kind, s.Session)
			}
			if steps[s.Session]++; steps[s.Session] > 1 {
				t.Fatalf("two steps for %s", s.Session)
			}
			switch s.Kind {
			case Publish:
				if !m.Running || !m.Passing || m.Over || !in.HealthKnown || m.FirstLaunch {
					t.Fatalf("published %+v", m)
				}
			case Withdraw:
				if m.State != staging.Ready || !in.HealthKnown {
					t.Fatalf("withdrew %+v", m)
				}
			case Demote, Promote:
				if m.State != staging.Ready || m.Draining == m.Demoted || m.Draining != (s.Kind == Demote) {
					t.Fatalf("%s of %+v", s.Kind, m)
				}
			case Retire:
				if m.State == staging.Ready && m.Running && m.Passing && !m.Over {
					readyLeft--
				}
			}
		}
		floor := min(readyBefore, in.Desired-in.Config.Unavailable(in.Desired))
		if in.Removed || in.Blocked != nil {
			floor = 0
		}
		if in.HealthKnown && readyLeft < floor {
			t.Fatalf("%d were ready, %d are left, %d desired with %q unavailable: %v", readyBefore, readyLeft, in.Desired, in.Config.MaxUnavailable, plan.Steps)
		}
		if staged > 0 && len(in.Members)+staged > in.Desired+in.Config.Unavailable(in.Desired)+overOrRetired(in, plan) {
			t.Fatalf("%d members, %d staged, %d desired", len(in.Members), staged, in.Desired)
		}
		if (in.Removed || in.NoImage || in.Blocked != nil) && staged > 0 {
			t.Fatal("staged without an image or a config")
		}
	})
}

func overOrRetired(in PoolInput, p Plan) int {
	n := 0
	for _, m := range in.Members {
		if m.Over || m.Failure != nil {
			n++
		}
	}
	for _, s := range p.Steps {
		if s.Kind == Retire {
			n++
		}
	}
	// In Decide, busy members that are being retired do not count either.
	for _, m := range in.Members {
		if m.Busy {
			n++
		}
	}
	return n
}

// naivePlan returns what a healthy pool needs: the missing sessions are staged and the
// excess is retired, first the newest pending, then the newest starting, then the oldest
// ready.
func naivePlan(in PoolInput) (stage int, retire []string) {
	if missing := in.Desired - len(in.Members); missing > 0 {
		return min(missing, DefaultBounds.StagePerPass), nil
	}
	order := slices.Clone(in.Members)
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
	for _, m := range order[:len(order)-in.Desired] {
		retire = append(retire, m.ID)
	}
	return 0, retire
}

// TestDecideAgreesWithANaiveVersion on healthy pools.
func TestDecideAgreesWithANaiveVersion(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := PoolInput{Desired: rapid.IntRange(0, 30).Draw(t, "desired"), HealthKnown: true}
		for i := range rapid.IntRange(0, 30).Draw(t, "members") {
			state := rapid.SampledFrom([]staging.State{staging.Pending, staging.Starting, staging.Ready}).Draw(t, "state")
			in.Members = append(in.Members, member(fmt.Sprint("m", i), state, i))
		}
		var retired []string
		staged := 0
		for _, s := range Decide(in, DefaultBounds, noon).Steps {
			switch s.Kind {
			case Stage:
				staged++
			case Retire:
				retired = append(retired, s.Session)
			default:
				t.Fatalf("%s of %s, which is healthy", s.Kind, s.Session)
			}
		}
		stage, retire := naivePlan(in)
		if staged != stage || !slices.Equal(retired, retire) {
			t.Fatalf("staged %d, retired %v; naivePlan %d and %v", staged, retired, stage, retire)
		}
	})
}

// TestDecideConverges plays plans against a pool in which every step works,
// from any state. In the end exactly the desired number must be ready.
func TestDecideConverges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := genPoolInput(t)
		in.HealthKnown, in.Removed, in.NoImage = true, false, false
		for i := range in.Members {
			in.Members[i].Busy, in.Members[i].Unknown, in.Members[i].Refused = false, false, nil
		}
		now, made := noon, 0
		for range 60 {
			plan := Decide(in, DefaultBounds, now)
			if len(plan.Steps) == 0 && plan.Wake.IsZero() {
				break
			}
			for _, s := range plan.Steps {
				i := slices.IndexFunc(in.Members, func(m Member) bool { return m.ID == s.Session })
				switch s.Kind {
				case Stage:
					made++
					in.Members = append(in.Members, Member{ID: fmt.Sprint("new", made), State: staging.Pending, CreatedAt: now, ExpiresAt: now.Add(24 * time.Hour)})
				case Retire:
					in.Members = slices.Delete(in.Members, i, i+1)
				case Publish:
					in.Members[i].State, in.Backoff = staging.Ready, Backoff{}
				case FirstLaunch:
					in.Members[i].FirstLaunch = false
				case Withdraw, Record:
					in.Members[i].State = staging.Starting
				case Demote, Promote:
					in.Members[i].Demoted = s.Kind == Demote
				}
			}
			// The cluster catches up: all placed sessions run and are healthy.
			for i := range in.Members {
				if !in.Members[i].Over {
					in.Members[i].Running, in.Members[i].Passing, in.Members[i].UnhealthySince = true, true, time.Time{}
				}
			}
			now = now.Add(10 * time.Second)
		}
		ready := 0
		for _, m := range in.Members {
			if m.State == staging.Ready && !m.Over {
				ready++
			}
		}
		if ready != in.Desired || len(in.Members) != in.Desired {
			t.Fatalf("ended with %d members, %d ready; %d desired", len(in.Members), ready, in.Desired)
		}
	})
}
