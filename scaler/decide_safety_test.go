package scaler

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/greenroom/greenroom/internal/staging"
)

// genView draws a pool in any state.
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

// TestDecideIsSafe checks what no plan may ever do.
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
				t.Fatalf("%s for %q, which does not exist or is busy", s.Kind, s.Session)
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
	// In Decide, busy members that are being retired do not count either.
	for _, m := range v.Members {
		if m.Busy {
			n++
		}
	}
	return n
}

// naivePlan returns what a healthy pool needs: the missing sessions are staged and the
// excess is retired, first the newest pending, then the newest starting, then the oldest
// ready.
func naivePlan(v View) (stage int, retire []string) {
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

// TestDecideAgreesWithANaiveVersion on healthy pools.
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
				t.Fatalf("%s of %s, which is healthy", s.Kind, s.Session)
			}
		}
		stage, retire := naivePlan(v)
		if staged != stage || !slices.Equal(retired, retire) {
			t.Fatalf("staged %d, retired %v; naivePlan %d and %v", staged, retired, stage, retire)
		}
	})
}

// TestDecideConverges plays plans against a pool in which every step works,
// from any state. In the end exactly the desired number must be ready.
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
			// The cluster catches up: all placed sessions run and are healthy.
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
