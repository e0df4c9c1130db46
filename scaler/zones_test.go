package scaler

import "testing"

// noLocks holds no lock.
type noLocks struct{}

func (noLocks) Want([]string)    {}
func (noLocks) Held(string) bool { return false }

// countedMeter counts the pools that it was told to remove.
type countedMeter struct {
	quiet
	gone int
}

func (m *countedMeter) PoolGone(string) { m.gone++ }

// TestAPoolOfAnotherScalerIsRemovedOnce from the metrics, not at every tick, and not before it
// was shown.
func TestAPoolOfAnotherScalerIsRemovedOnce(t *testing.T) {
	v, m := absentView(0), new(countedMeter)
	s := New(Parts{Meter: m, Board: noBoard{}, Locks: noLocks{}, Log: silent()}, Options{})
	s.decidePool(v, v.pools["p"], noon)
	for range 3 {
		s.followLocks(v, noon)
	}
	if m.gone != 1 {
		t.Errorf("removed %d times", m.gone)
	}
}
