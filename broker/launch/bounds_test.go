package launch_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/greenroom/greenroom/broker/launch"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

// held is a world in which placements and hooks wait to be released.
type held struct {
	*world
	begun   chan struct{}
	release chan struct{}
}

func (h held) wait(ctx context.Context) {
	h.begun <- struct{}{}
	select {
	case <-h.release:
	case <-ctx.Done():
	}
}

func (h held) Placement(ctx context.Context, s staging.Session, eval string) (staging.PlacementFacts, error) {
	h.wait(ctx)
	return h.world.Placement(ctx, s, eval)
}

func (h held) Run(ctx context.Context, s staging.Session, name staging.HookName, x staging.Hook, l staging.Launch) error {
	h.wait(ctx)
	return h.world.Run(ctx, s, name, x, l)
}

func (h held) Ready(_ context.Context, s staging.Session, x staging.Hook) launch.Assignment {
	return worldAssignment{run: h.Run, s: s, h: x}
}

// TestPastABoundNothingIsClaimed: a launch that would be one too many is refused
// before it touches anything, and what is under way is not disturbed. The bound of sessions
// made on demand is reached when as many launches wait as may.
func TestPastABoundNothingIsClaimed(t *testing.T) {
	for name, c := range map[string]struct {
		image string
		ready []string
		// within is how many are served: what finds no turn for its hook is made on
		// demand, up to that bound.
		within int
		// queued are those of them that wait for their turn.
		queued int
		// touched are the calls of a refused launch.
		touched []string
	}{
		"hooks":     {"hooked", []string{"s1", "s2", "s3", "s4"}, 5, 1, nil},
		"on demand": {"plain", nil, 3, 1, []string{"claim"}},
	} {
		t.Run(name, func(t *testing.T) {
			const bound = 2
			h := held{world: &world{ready: c.ready}, begun: make(chan struct{}, 10), release: make(chan struct{})}
			b := on(h, manyTasks, launch.Bounds{OnDemand: bound, OnDemandQueue: 1, Hooks: bound, HookWait: time.Millisecond})
			defer b.Close()
			req := launch.Request{Launch: staging.Launch{Image: c.image, Zone: "east", User: staging.User{ID: "u", Name: "n"}}, Wait: time.Minute}
			var wg sync.WaitGroup
			for range c.within {
				wg.Go(func() {
					if r, err := b.one(t.Context(), req); err != nil || r.Session.State != staging.Assigned {
						t.Errorf("within the bound: %+v %v", r, err)
					}
				})
			}
			for range c.within - c.queued {
				<-h.begun
			}
			awaitQueued(t, b, c.queued)
			h.mu.Lock()
			before := len(h.calls)
			h.mu.Unlock()
			_, err := b.one(t.Context(), req)
			var refused *refusal.Error
			if !errors.As(err, &refused) || refused.Kind != refusal.Overloaded || refused.RetryAfter == 0 || len(refused.Attempts) == 0 {
				t.Errorf("past the bound: %v", err)
			}
			h.mu.Lock()
			touched := slices.DeleteFunc(slices.Clone(h.calls[before:]), func(call string) bool { return call == "release" })
			h.mu.Unlock()
			if !slices.Equal(touched, c.touched) {
				t.Errorf("the refused launch did %v, want %v", touched, c.touched)
			}
			close(h.release)
			wg.Wait()
			if r, err := b.one(t.Context(), req); err != nil || r.Session.State != staging.Assigned {
				t.Errorf("when there is room again: %+v %v", r, err)
			}
		})
	}
}

// awaitQueued waits until n launches wait for their turn to make a session.
func awaitQueued(t *testing.T, b launcher, n int) {
	t.Helper()
	for b.OnDemandQueued() != n {
		if t.Context().Err() != nil {
			t.Fatalf("%d launches wait for their turn, want %d", b.OnDemandQueued(), n)
		}
		runtime.Gosched()
	}
}

// TestTheQueueOfSessionsOnDemand: launches are served in the order in which they came; one whose
// wait is over is refused, and one whose caller hung up leaves. Neither claims anything.
func TestTheQueueOfSessionsOnDemand(t *testing.T) {
	h := held{world: &world{}, begun: make(chan struct{}, 10), release: make(chan struct{})}
	b := on(h, manyTasks, launch.Bounds{OnDemand: 1, OnDemandQueue: 8})
	defer b.Close()
	gone := make(chan struct{})
	served := make(chan string, 3)
	var wg sync.WaitGroup
	begin := func(user string, wait time.Duration, hungUp <-chan struct{}, check func(error)) {
		before := b.OnDemandQueued()
		wg.Go(func() {
			_, err := b.one(t.Context(), launch.Request{
				Launch: staging.Launch{Image: "plain", Zone: "east", User: staging.User{ID: user, Name: user}}, Wait: wait, HungUp: hungUp,
			})
			check(err)
		})
		if user != "first" && wait > time.Second {
			awaitQueued(t, b, before+1)
		}
	}
	got := func(user string) func(error) {
		return func(err error) {
			if err != nil {
				t.Errorf("%s: %v", user, err)
			}
			served <- user
		}
	}
	begin("first", time.Minute, nil, got("first"))
	<-h.begun
	begin("second", time.Minute, nil, got("second"))
	begin("leaver", time.Minute, gone, func(err error) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("its caller hung up: %v", err)
		}
	})
	begin("third", time.Minute, nil, got("third"))
	close(gone)
	awaitQueued(t, b, 2)
	over := make(chan struct{})
	begin("hasty", time.Millisecond, nil, func(err error) {
		defer close(over)
		var refused *refusal.Error
		if !errors.As(err, &refused) || refused.Kind != refusal.Overloaded || refused.RetryAfter == 0 {
			t.Errorf("its wait was over before its turn: %v", err)
		}
	})
	<-over
	for _, want := range []string{"first", "second", "third"} {
		h.release <- struct{}{}
		if user := <-served; user != want {
			t.Errorf("%s was served, want %s", user, want)
		}
		if want != "third" {
			<-h.begun
		}
	}
	wg.Wait()
	registered := 0
	for _, call := range h.calls {
		if strings.HasPrefix(call, "register ") {
			registered++
		}
	}
	if registered != 3 {
		t.Errorf("%d jobs were registered, want 3: %v", registered, h.calls)
	}
}

// TestWhatGoesOnBehindTheAnswersIsBounded: past it a launch does its own part.
func TestWhatGoesOnBehindTheAnswersIsBounded(t *testing.T) {
	h := held{world: &world{fail: map[string]error{"hook": errAway}}, begun: make(chan struct{}, 100), release: make(chan struct{})}
	close(h.release)
	for i := range 20 {
		h.ready = append(h.ready, string(rune('a'+i)))
	}
	stops := &stopper{held: h, gate: make(chan struct{})}
	b := on(stops, 1, launch.Bounds{})
	req := launch.Request{Launch: staging.Launch{Image: "hooked", Zone: "east", User: staging.User{ID: "u", Name: "n"}}, Wait: time.Minute}
	done := make(chan error, 1)
	go func() {
		_, err := b.one(t.Context(), req)
		done <- err
	}()
	select {
	case err := <-done:
		t.Errorf("five sessions were given up, one place was there to stop them in, and the launch did not wait: %v", err)
	case <-time.After(200 * time.Millisecond):
	}
	close(stops.gate)
	if err := <-done; err != nil {
		t.Error(err)
	}
	b.Close()
}

// stopper is a world in which stopping a session waits.
type stopper struct {
	held
	gate chan struct{}
}

func (s *stopper) Stop(ctx context.Context, x staging.Session) error {
	<-s.gate
	return s.held.Stop(ctx, x)
}
