package scaler

import (
	"fmt"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// BenchmarkDecideSteady is a pool of 100 in its desired state, which is the usual case.
func BenchmarkDecideSteady(b *testing.B) {
	in := PoolInput{Config: staging.Config{Name: "p"}, Desired: 100, HealthKnown: true}
	for n := range 100 {
		in.Members = append(in.Members, member(fmt.Sprintf("gr-%03d", n), staging.Ready, 100-n, expiring(time.Hour)))
	}
	benchDecide(b, in, 0)
}

// BenchmarkDecideGrowing is an empty pool that wants 100: one pass's worth of steps.
func BenchmarkDecideGrowing(b *testing.B) {
	benchDecide(b, PoolInput{Config: staging.Config{Name: "p"}, Desired: 100, HealthKnown: true}, DefaultBounds.StagePerPass)
}

// BenchmarkDecideExcess is a pool of 100 that wants 90: the members must be sorted.
func BenchmarkDecideExcess(b *testing.B) {
	in := PoolInput{Config: staging.Config{Name: "p"}, Desired: 90, HealthKnown: true}
	for n := range 100 {
		in.Members = append(in.Members, member(fmt.Sprintf("gr-%03d", n), staging.Ready, n))
	}
	benchDecide(b, in, 10)
}

func benchDecide(b *testing.B, in PoolInput, steps int) {
	b.ReportAllocs()
	for b.Loop() {
		if plan := Decide(in, DefaultBounds, noon); len(plan.Steps) != steps {
			b.Fatalf("%d steps, wanted %d", len(plan.Steps), steps)
		}
	}
}

// BenchmarkDecideSession is a user's session within its terms: no step, and a time to
// decide again.
func BenchmarkDecideSession(b *testing.B) {
	x := Unpooled{
		State: staging.Assigned, Origin: staging.Staged, Fate: staging.VerdictAssigned, HasJob: true, Running: true, Passing: true,
		Tagged: true, EndsAt: noon.Add(time.Hour), KeepaliveUntil: noon.Add(time.Minute), TouchedAt: noon,
	}
	b.ReportAllocs()
	for b.Loop() {
		if step, wake := DecideSession(x, noon); step != nil || wake.IsZero() {
			b.Fatal(step, wake)
		}
	}
}

// BenchmarkEvent is an event from its arrival to its steps, with 1,000 pools of 100
// sessions: claims, ends and replacements.
func BenchmarkEvent(b *testing.B) {
	c := newFullCluster(1000)
	c.resync()
	b.ReportAllocs()
	events, turn := 0, 0
	for b.Loop() {
		if events == 0 { // a turn is several events
			events = c.turnover(turn)
			turn++
		}
		events--
	}
}
