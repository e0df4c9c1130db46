package e2e

import (
	"cmp"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/bench"
	"github.com/greenroom/greenroom/internal/staging"
	"github.com/greenroom/greenroom/jobspecs"
	"github.com/greenroom/greenroom/scaler/sizing/simulate"
)

// replayTarget is the share of a replayed day's launches that the pool is to serve warm; replaySeed
// draws when they come.
const (
	replayTarget = 0.95
	replaySeed   = 1
)

// TestAReplayedDayIsServedAsSimulated: greenroom bench replays a recorded day in a minute to a pool
// of mock sessions that follows its demand. The simulator, given the same launches and how long the
// sessions took to be ready, says how many are served warm and how many idle for that.
//
// The two decide at other moments of their two seconds, and a busy machine's sessions do not take as
// long as the one wanted before them: of 200 launches that moves some, whose share has a standard
// error of three points.
func TestAReplayedDayIsServedAsSimulated(t *testing.T) {
	real, simulated := replayedDay{launches: 200, lasts: time.Minute, starts: 2 * time.Second}.replay(t)
	points, ratio := real.apart(simulated)
	t.Logf("%d launches: %.1f%% served warm with %.1f idle, %s to ready; the simulator says %.1f%% with %.1f",
		len(real.arrivals), 100*real.ServedWarm, real.MeanIdle, real.refill(), 100*simulated.ServedWarm, simulated.MeanIdle)
	if math.Abs(points) > 8 || math.Abs(ratio-1) > 0.3 {
		t.Errorf("%+.1f points served warm, and %.2f times as many idle as simulated", points, ratio)
	}
	if real.claims != real.report.Staged {
		t.Errorf("the events tell of %d launches that were served warm, greenroom bench of %d", real.claims, real.report.Staged)
	}
}

// replayedDay is dayOfDemand in a shorter time, to sessions that take some time to start.
type replayedDay struct {
	launches      float64
	lasts, starts time.Duration
}

// replayed is what came of a replay, by the servers' own events.
type replayed struct {
	simulate.Reached
	report bench.Report
	// arrivals are when launches came since the report's load began. Some may have been refused,
	// when more were to be made on demand at once than a broker makes: they were not served warm.
	arrivals []time.Duration
	// claims counts the launches that were served warm.
	claims int
	// lead is how long before the load the pool's first session was wanted.
	lead time.Duration
	made []simulate.Made
}

// replay replays the day on servers of its own and in the simulator.
func (day replayedDay) replay(t *testing.T) (replayed, simulate.Reached) {
	t.Helper()
	c, d := startCluster(t, 0)
	startAgent(t, c, "scaler")
	text := dayOfDemand(day.launches)
	file := filepath.Join(t.TempDir(), "day.csv")
	must(t, os.WriteFile(file, []byte(text), 0o600))
	series, err := simulate.ReadSeries(strings.NewReader(text))
	must(t, err)
	drawn, err := simulate.Launches(series, replaySeed)
	must(t, err)
	speed := series.Seconds() / day.lasts.Seconds()

	sizing := staging.Sizing{Mode: staging.SizingDemand, ServedWarm: replayTarget, Min: 1, Max: 60}
	d.ask(t, "PUT", "/v1/images/sized", staging.Image{Name: "sized", Jobspec: jobspecs.DemoMock, Variables: map[string]string{"starts_in": day.starts.String()}}, 201, nil)
	d.ask(t, "PUT", "/v1/staging/sized", staging.Config{Name: "sized", Zone: "east", Image: "sized", Sizing: &sizing}, 201, nil)
	d.untilReady(t, "sized", 1)
	untilAtRest(t)
	var report bench.Report
	benchRun(t, &report, "--address", d.Broker, "--image", "sized", "--zone", "east", "--dwell", "1s",
		"--mode", "replay", "--demand", file, "--speed", fmt.Sprint(speed), "--seed", fmt.Sprint(replaySeed))

	real := replayed{report: report}
	for _, at := range drawn {
		real.arrivals = append(real.arrivals, time.Duration(float64(at)/speed))
	}
	real.read(t, d.events(t), day.lasts)
	simulated, err := simulate.Replay{
		Start: report.Result.Began, Lead: real.lead, Lasts: day.lasts, Every: 2 * time.Second, Made: real.made,
		Options: simulate.Options{Refill: max(real.refill(), time.Second), Target: replayTarget, Min: sizing.Min, Max: sizing.Max},
	}.Run(real.arrivals)
	must(t, err)
	return real, simulated
}

// read reads from the servers' events what came of a replay that lasts so long.
func (r *replayed) read(t *testing.T, events []map[string]any, lasts time.Duration) {
	t.Helper()
	wanted, ready := map[string]time.Duration{}, map[string]bool{}
	idle, last := 0, time.Duration(0)
	pass := func(at time.Duration) {
		if at = min(at, lasts); at > last {
			r.MeanIdle += float64(idle) * (at - last).Seconds() / lasts.Seconds()
			last = at
		}
	}
	for _, e := range events {
		session, kind := e["session"].(string), e["type"]
		if e["pool"] != "sized" || session == "" {
			continue
		}
		ms, err := strconv.ParseInt(strings.Split(e["id"].(string), "-")[0], 10, 64)
		must(t, err)
		at := time.UnixMilli(ms).Sub(r.report.Result.Began)
		switch began, making := wanted[session]; {
		case kind == "pending":
			if r.lead == 0 {
				r.lead = -at
			}
			wanted[session] = at
		case kind == "claimed":
			r.claims++
		case kind == "ready" && making:
			r.made = append(r.made, simulate.Made{At: began, Took: at - began})
			delete(wanted, session)
		}
		if is := kind == "ready"; is != ready[session] {
			pass(at)
			ready[session] = is
			idle += map[bool]int{true: 1, false: -1}[is]
		}
	}
	pass(lasts)
	slices.SortFunc(r.made, func(a, b simulate.Made) int { return cmp.Compare(a.At, b.At) })
	r.ServedWarm = float64(r.claims) / float64(len(r.arrivals))
}

// refill is how long the pool's sessions took on average from wanted to ready.
func (r replayed) refill() time.Duration {
	sum := time.Duration(0)
	for _, m := range r.made {
		sum += m.Took
	}
	return (sum / time.Duration(max(len(r.made), 1))).Round(time.Millisecond)
}

// apart returns by how many points more were served warm than simulated, and how many times as many
// idled.
func (r replayed) apart(simulated simulate.Reached) (points, ratio float64) {
	return 100 * (r.ServedWarm - simulated.ServedWarm), r.MeanIdle / simulated.MeanIdle
}
