package e2e

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/benchreport"
)

// dayOfDemand is a working day by slots of ten minutes: quiet nights, two peaks, and a surge in
// the afternoon. sum is about how many launches it has.
func dayOfDemand(sum float64) string {
	rate := func(hour float64) float64 {
		peak := func(at, width float64) float64 { return math.Exp(-math.Pow((hour-at)/width, 2)) }
		surge := 0.0
		if hour >= 15.5 && hour < 16 {
			surge = 2
		}
		return 0.1 + peak(10, 2) + 0.8*peak(14.5, 2.5) + surge
	}
	total := 0.0
	for slot := range 144 {
		total += rate(float64(slot) / 6)
	}
	var text strings.Builder
	text.WriteString("time,count\n")
	for slot := range 144 {
		fmt.Fprintf(&text, "%d,%.3f\n", 1_767_225_600+600*slot, rate(float64(slot)/6)*sum/total)
	}
	return text.String()
}

// TestMeasureSizing measures row 16: a day's launches, replayed in four minutes to a pool that
// follows its demand, beside the simulator's answer for the same launches.
func TestMeasureSizing(t *testing.T) {
	keep := measure(t)
	day := replayedDay{launches: 700, lasts: 4 * time.Minute, starts: 3 * time.Second}
	real, simulated := day.replay(t)
	points, ratio := real.apart(simulated)
	keep(benchreport.Row{
		Number: 16, What: "a day's launches in four minutes, to a pool that follows its demand, mock driver",
		Target: "within 2 points and 15% of the simulator with the same launches",
		Figure: fmt.Sprintf("%.1f%% served warm with %.1f idle; the simulator says %.1f%% with %.1f", 100*real.ServedWarm, real.MeanIdle, 100*simulated.ServedWarm, simulated.MeanIdle),
		Ratio:  ratio, Met: math.Abs(points) <= 2 && math.Abs(ratio-1) <= 0.15,
		Note: fmt.Sprintf("%d launches, %.0f%% wanted served warm, no history before them; a session took %.1f s from wanted to ready, and the simulator's take as long as those then; the ratio is that of the idle ones", len(real.arrivals), 100*replayTarget, real.refill().Seconds()),
		Raw:  real.report,
	})
}
