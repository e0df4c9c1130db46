package scaler

import (
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

func TestBackoffDoublesUpToFiveMinutes(t *testing.T) {
	for failures, want := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 9: 256 * time.Second, 10: maxBackoff, 1000: maxBackoff} {
		if got := (Backoff{Failures: failures, At: noon}).until().Sub(noon); got != want {
			t.Errorf("after %d failures %s, want %s", failures, got, want)
		}
	}
}

// TestFailuresAreForgottenOnceASessionStaysReady: an image that is ready for a moment
// and then fails keeps backing off, and sessions that fail together count as one try.
func TestFailuresAreForgottenOnceASessionStaysReady(t *testing.T) {
	why := &staging.Failure{Type: staging.CrashLooping, Message: "exit code 1"}
	var b Backoff
	now := noon
	for n := 1; n <= 5; n++ {
		for range 3 {
			b = b.failed(why, now)
		}
		if b.Failures != n || !b.paused() {
			t.Fatalf("after %d tries: %+v", n, b)
		}
		now = b.until()
		b.ReadyAt = now
		if b.paused() {
			t.Fatal("paused though one is ready")
		}
		now = now.Add(time.Second)
	}
	now = b.ReadyAt.Add(steadyAfter)
	if b = b.failed(why, now); b.Failures != 1 {
		t.Errorf("a session was ready for %s and then failed: %+v", steadyAfter, b)
	}
}
