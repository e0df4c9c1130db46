package launch_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/greenroom/greenroom/broker/launch"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

// errDenied is Nomad's refusal, as the adapter returns it.
var errDenied = fmt.Errorf("nomad: %w: it needs alloc-exec", staging.ErrExecDenied)

// TestASessionWhoseHookIsDeniedGoesBack before its fate is decided. A launch of one goes on to a
// session made on demand, one of several is refused where no other pool has as many, and both name the right.
func TestASessionWhoseHookIsDeniedGoesBack(t *testing.T) {
	for _, away := range []bool{false, true} {
		w := &world{ready: []string{"s1", "s2"}, fail: map[string]error{"open": errDenied}}
		if away {
			w.inConsul, w.fail["claim"] = []string{"s1", "s2"}, errAway
		}
		r, err := launchIn(t, w, "hooked")
		if err != nil || short(r.Session.ID) != "new" || !strings.Contains(r.Attempts[0].Reason, "alloc-exec") {
			t.Errorf("Redis away %t: %+v %v", away, r, err)
		}
		if slices.ContainsFunc(w.calls, func(c string) bool {
			return strings.HasSuffix(c, " s1") && !strings.HasPrefix(c, "put back") && !strings.HasPrefix(c, "find")
		}) {
			t.Errorf("Redis away %t: something was done to the session: %v", away, w.calls)
		}
		if !away && !slices.Contains(w.calls, "put back s1") {
			t.Errorf("it did not go back: %v", w.calls)
		}
	}
	w := &world{ready: []string{"s1", "s2"}, fail: map[string]error{"open": errDenied}}
	_, err := launchSeveralIn(t, w, "hooked", 2)
	var refused *refusal.Error
	if !errors.As(err, &refused) || refused.Kind != refusal.NoCapacity || !strings.Contains(refused.Detail, "alloc-exec") {
		t.Errorf("of several: %v", err)
	}
	if !slices.Contains(w.calls, "put back s1") || !slices.Contains(w.calls, "put back s2") {
		t.Errorf("of several: %v", w.calls)
	}
	w = &world{ready: []string{"s1"}, refused: &staging.Failure{Message: "not enough memory"}, fail: map[string]error{"open": errDenied}}
	if _, err = launchIn(t, w, "hooked"); !errors.As(err, &refused) || refused.Kind != refusal.NoCapacity || !strings.Contains(refused.Detail, "alloc-exec") {
		t.Errorf("with no room for one on demand: %v", err)
	}
}

// TestARightThatIsTakenAwayCostsOneSession, since a fate cannot be undone: the hook is denied after
// it. Launches try the pool again from time to time, and give its sessions once they may.
func TestARightThatIsTakenAwayCostsOneSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{ready: []string{"s1", "s2", "s3", "s4"}, fail: map[string]error{}}
		b := on(w, manyTasks, launch.Bounds{})
		defer b.Close()
		do := func(want string) {
			t.Helper()
			r, err := b.one(t.Context(), launch.Request{Launch: staging.Launch{Image: "hooked", Zone: "east", User: staging.User{ID: "u"}}, Wait: time.Minute})
			synctest.Wait()
			w.mu.Lock()
			defer w.mu.Unlock()
			if err != nil || short(r.Session.ID) != want {
				t.Errorf("got %+v %v, want %s; %v", r, err, want, w.calls)
			}
		}
		change := func(err error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.fail["open"], w.fail["hook"] = err, err
		}
		do("s1")
		if len(b.DeniedHooks()) > 0 {
			t.Error(b.DeniedHooks())
		}
		change(errDenied)
		do("new") // its session is lost
		for range 3 {
			do("new")
			time.Sleep(10 * time.Second)
			do("new")
		}
		if all := b.DeniedHooks(); len(all) != 1 || !strings.Contains(all[0], "image hooked in zone east") || !strings.Contains(all[0], "alloc-exec") {
			t.Error(all)
		}
		for _, id := range []string{"s3", "s4"} {
			if slices.Contains(w.calls, "stop "+id) {
				t.Errorf("session %s was lost, too: %v", id, w.calls)
			}
		}
		change(nil)
		time.Sleep(10 * time.Second)
		do("s4") // the memory puts back at the end
		if len(b.DeniedHooks()) > 0 {
			t.Error(b.DeniedHooks())
		}
		b.NoteShell(staging.Session{Image: "hooked", Zone: "east", Revision: "another"}, errDenied)
		do("s3") // in this revision it may run
		if len(b.DeniedHooks()) > 0 {
			t.Errorf("of a revision beside one in which it may run: %v", b.DeniedHooks())
		}
		b.NoteShell(staging.Session{Image: "hooked", Zone: "east"}, errDenied)
		time.Sleep(2 * time.Hour)
		if len(b.DeniedHooks()) > 0 {
			t.Errorf("of long ago: %v", b.DeniedHooks())
		}
	})
}
