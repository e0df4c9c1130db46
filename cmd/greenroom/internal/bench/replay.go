package bench

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/greenroom/greenroom/scaler/sizing/simulate"
)

// maxSpeed is how many times faster than it was recorded a demand is replayed at most.
const maxSpeed = 100_000

// maxReplay is how many launches and how long a replay has at most.
const (
	maxReplay     = 1_000_000
	longestReplay = 24 * time.Hour
)

// settleReplay validates the flags of a replay, and reads its demand.
func (f *loadFlags) settleReplay() error {
	if f.Demand == "" {
		return errors.New("--demand: must be given for --mode replay: a file of time,count")
	}
	if !(f.Speed > 0 && f.Speed <= maxSpeed) {
		return fmt.Errorf("--speed: must be above 0 and at most %d, is %v", maxSpeed, f.Speed)
	}
	file, err := os.Open(f.Demand)
	if err != nil {
		return fmt.Errorf("--demand: %w", err)
	}
	defer file.Close()
	series, err := simulate.ReadSeries(file)
	if err != nil {
		return fmt.Errorf("--demand: %s: %w", f.Demand, err)
	}
	if f.times, err = simulate.Launches(series, f.Seed); err != nil {
		return fmt.Errorf("--demand: %s: %w", f.Demand, err)
	}
	for i := range f.times {
		f.times[i] = time.Duration(float64(f.times[i]) / f.Speed)
	}
	f.Seconds = series.Seconds() / f.Speed
	f.Duration = time.Duration(f.Seconds * float64(time.Second))
	switch {
	case len(f.times) > maxReplay:
		return fmt.Errorf("--demand: has %d launches, and at most %d are replayed", len(f.times), maxReplay)
	case f.Duration > longestReplay:
		return fmt.Errorf("--speed: must be higher: the replay would take %s, and at most %s are replayed", f.Duration.Round(time.Second), longestReplay)
	}
	return nil
}
