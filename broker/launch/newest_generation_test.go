package launch

import (
	"context"
	"errors"
	"testing"

	"github.com/greenroom/greenroom/internal/staging"
)

// countedFleet counts the readings of the newest generation.
type countedFleet struct {
	Fleet
	readings int
	err      error
}

func (f *countedFleet) NewestGeneration(context.Context, staging.Zone) (uint64, error) {
	f.readings++
	return 7, f.err
}

// TestTheNewestGenerationIsReadOnceForAMoment of each namespace, and again after an error.
func TestTheNewestGenerationIsReadOnceForAMoment(t *testing.T) {
	f := &countedFleet{err: errors.New("nomad is away")}
	n := newNewestGenerations(f)
	east, west := staging.Zone{Name: "east"}, staging.Zone{Name: "west", Namespace: "games"}
	if _, err := n.in(t.Context(), east); err == nil {
		t.Error("the error of a reading is lost")
	}
	f.err = nil
	for range 3 {
		for _, zone := range []staging.Zone{east, west} {
			if got, err := n.in(t.Context(), zone); got != 7 || err != nil {
				t.Errorf("%s: %d, %v", zone.Name, got, err)
			}
		}
	}
	if f.readings != 3 {
		t.Errorf("%d readings, want one that failed and one of each namespace", f.readings)
	}
}
