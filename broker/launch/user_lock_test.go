package launch_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/greenroom/greenroom/broker/launch"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

// TestALockedUserGetsNoSession: a launch is refused before it touches anything, and one that is
// under way when the lock comes leaves nothing: what it claimed goes back unused, and what it
// made is destroyed.
func TestALockedUserGetsNoSession(t *testing.T) {
	for name, c := range map[string]struct {
		world *world
		image string
		count int
		kind  refusal.Kind
		calls []string
		ready int
	}{
		"locked before":           {&world{locked: true, ready: []string{"s1"}}, "hooked", 0, refusal.UserLocked, nil, 1},
		"not known":               {&world{fail: map[string]error{"locked": errAway}, ready: []string{"s1"}}, "hooked", 0, refusal.ConsulUnavailable, nil, 1},
		"locked meanwhile":        {&world{lockedInConsul: true, ready: []string{"s1"}}, "hooked", 0, refusal.UserLocked, []string{"claim", "decide s1", "put back s1"}, 1},
		"several meanwhile":       {&world{lockedInConsul: true, ready: []string{"s1", "s2"}}, "plain", 2, refusal.UserLocked, []string{"decide s1 s2", "put back s1", "put back s2"}, 2},
		"made meanwhile":          {&world{lockedInConsul: true}, "plain", 0, refusal.UserLocked, []string{"begin", "decide new", "end new", "stop new"}, 0},
		"meanwhile without Redis": {&world{lockedInConsul: true, inConsul: []string{"s1"}, fail: map[string]error{"claim": errAway}}, "hooked", 0, refusal.UserLocked, []string{"decide s1"}, 0},
	} {
		l := on(c.world, manyTasks, launch.Bounds{})
		_, err := l.Launch(t.Context(), launch.Request{Launch: staging.Launch{Image: c.image, Zone: "east", User: staging.User{ID: "u"}, Count: c.count}})
		l.Close()
		var refused *refusal.Error
		if !errors.As(err, &refused) || refused.Kind != c.kind {
			t.Errorf("%s: %v", name, err)
		}
		if c.calls == nil && len(c.world.calls) > 0 || len(c.world.ready) != c.ready {
			t.Errorf("%s: ready %v, called %v", name, c.world.ready, c.world.calls)
		}
		for _, call := range c.calls {
			if !slices.Contains(c.world.calls, call) {
				t.Errorf("%s: called %v, without %q", name, c.world.calls, call)
			}
		}
		for _, call := range []string{"hook s1", "register new", "finished s1"} {
			if slices.Contains(c.world.calls, call) {
				t.Errorf("%s: called %v", name, c.world.calls)
			}
		}
	}
}

// TestASessionThatWasEndedBeforeItWasUpIsStoppedAgain: its end may have come before its job was
// registered, so that it stopped nothing.
func TestASessionThatWasEndedBeforeItWasUpIsStoppedAgain(t *testing.T) {
	w := &world{fail: map[string]error{"assign": &staging.StateError{State: staging.Ending}}}
	_, err := launchIn(t, w, "plain")
	var refused *refusal.Error
	if !errors.As(err, &refused) || refused.Kind != refusal.LaunchFailed || !slices.Contains(w.calls, "register new") || !slices.Contains(w.calls, "stop new") {
		t.Errorf("%v: %v", err, w.calls)
	}
}
