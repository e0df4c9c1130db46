package launch

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/greenroom/greenroom/internal/staging"
)

// countedFleet counts the readings of the newest generation, each of which ends when release
// has a value.
type countedFleet struct {
	Fleet
	mu       sync.Mutex
	newest   uint64
	readings int
	err      error
	release  chan struct{}
}

func (f *countedFleet) NewestGeneration(context.Context, staging.Zone) (uint64, error) {
	f.mu.Lock()
	f.readings++
	seen, err := f.newest, f.err
	f.mu.Unlock()
	<-f.release
	return seen, err
}

func (f *countedFleet) set(newest uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.newest = newest
}

// TestALaunchReadsTheNewestGenerationAfterItBegan: sessions that were made while another launch's
// reading was under way show a restore of Consul, too. Launches that wait share one reading.
func TestALaunchReadsTheNewestGenerationAfterItBegan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &countedFleet{newest: 7, release: make(chan struct{})}
		n := newNewestGenerations(f)
		var wg sync.WaitGroup
		launch := func(want uint64) {
			wg.Go(func() {
				if got, err := n.in(t.Context(), staging.Zone{Name: "east"}); got != want || err != nil {
					t.Errorf("%d, %v, want %d", got, err, want)
				}
			})
			synctest.Wait()
		}
		launch(7)
		f.set(8)
		for range 5 {
			launch(8)
		}
		for range 2 {
			f.release <- struct{}{}
		}
		wg.Wait()
		f.set(9)
		launch(9)
		f.release <- struct{}{}
		wg.Wait()
		synctest.Wait()
		if f.readings != 3 || len(n.next) != 0 {
			t.Errorf("%d readings, %d places; want 3, and nothing that goes on", f.readings, len(n.next))
		}
	})
}

// TestAReadingOfTheNewestGenerationThatFails is the error of those who waited for it alone, and a
// launch whose time is over waits no longer.
func TestAReadingOfTheNewestGenerationThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &countedFleet{newest: 7, err: errors.New("nomad is away"), release: make(chan struct{}, 2)}
		n := newNewestGenerations(f)
		f.release <- struct{}{}
		if _, err := n.in(t.Context(), staging.Zone{}); err == nil {
			t.Error("the error of a reading is lost")
		}
		synctest.Wait()
		f.err = nil
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := n.in(ctx, staging.Zone{}); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		f.release <- struct{}{}
		f.release <- struct{}{}
		if got, err := n.in(t.Context(), staging.Zone{}); got != 7 || err != nil {
			t.Errorf("%d, %v", got, err)
		}
		synctest.Wait()
	})
}
