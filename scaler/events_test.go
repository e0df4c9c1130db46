package scaler

import (
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// TestOnlyASessionMadeAfterAFailureEndsThePause: an older session does not show that new
// ones succeed.
func TestOnlyASessionMadeAfterAFailureEndsThePause(t *testing.T) {
	v := poolView(staging.Image{})
	p := v.pools["p"]
	runs(v, "gr-1").seenAt = noon
	p.failed(&staging.Failure{Type: staging.CrashLooping}, noon.Add(time.Second))
	v.applyEvent(staging.Event{Type: staging.EventReady, Session: "gr-1", Pool: "p"}, noon.Add(2*time.Second))
	if !p.backoff.paused() {
		t.Error("a session that was made before the failure ended the pause")
	}
	// When it was made, by the clock of the scaler that made it, does not count.
	e := runs(v, "gr-2")
	e.s.CreatedAt, e.seenAt = noon.Add(-time.Hour), noon.Add(2*time.Second)
	v.applyEvent(staging.Event{Type: staging.EventReady, Session: "gr-2", Pool: "p"}, noon.Add(3*time.Second))
	if p.backoff.paused() {
		t.Error("a session that was made after the failure did not end the pause")
	}
}

func TestAssignHooksThatFailInARowAreCounted(t *testing.T) {
	v := poolView(staging.Image{})
	failed := staging.Event{Type: staging.EventHookFailed, Pool: "p", Session: "gr-1", Hook: staging.HookAssign, Reason: "exit code 7", Stderr: "cannot mount\n/home/alice\n"}
	const message = "exit code 7; the end of its stderr: cannot mount /home/alice"
	for n := range 3 {
		// Before it is a condition, it is a remark.
		if want := []string{"", "a session was destroyed instead of given to its user, 1 in a row: " + message, "a session was destroyed instead of given to its user, 2 in a row: " + message}[n]; v.pools["p"].remark() != want {
			t.Errorf("after %d the remark is %q, want %q", n, v.pools["p"].remark(), want)
		}
		v.applyEvent(failed, noon)
	}
	v.applyEvent(staging.Event{Type: staging.EventViolation, Session: "gr-9"}, noon)
	if p := v.pools["p"]; p.assignHook.Failures != 3 || p.assignHook.Last.Message != message || p.remark() != "" {
		t.Errorf("%+v", p.assignHook)
	}
	if len(v.sessions) != 0 {
		t.Error("an event that is no transition created an entry")
	}
	v.applyEvent(staging.Event{Type: staging.EventAssigned, Pool: "p", Session: "gr-2"}, noon)
	if n := v.pools["p"].assignHook.Failures; n != 0 {
		t.Errorf("%d after one succeeded", n)
	}
}
