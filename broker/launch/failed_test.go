package launch_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/greenroom/greenroom/broker/launch"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

// TestALaunchThatFailedNamesItsSessionAndItsLastWords: the program ended before it was up.
func TestALaunchThatFailedNamesItsSessionAndItsLastWords(t *testing.T) {
	for _, c := range []struct{ lastLine, want string }{
		{"no such display", "could not start: task session: exit code 1; the last line of its stderr: session says no such display"},
		{"", "could not start: task session: exit code 1"}, // Nomad does not tell
	} {
		w := &world{ends: &staging.Failure{Type: staging.CrashLooping, Message: "task session: exit code 1"}, lastLine: c.lastLine}
		_, err := launchIn(t, w, "plain")
		var refused *refusal.Error
		if !errors.As(err, &refused) || refused.Kind != refusal.LaunchFailed {
			t.Fatalf("%v", err)
		}
		last := refused.Attempts[len(refused.Attempts)-1].Reason
		for _, text := range []string{refused.Detail, last} {
			if !strings.Contains(text, "session "+staging.SessionPrefix) || !strings.HasSuffix(text, c.want) {
				t.Errorf("%q, want the session and %q", text, c.want)
			}
		}
	}
}

// TestALaunchThatIsNotUpInTimeSaysWhichCheckFails.
func TestALaunchThatIsNotUpInTimeSaysWhichCheckFails(t *testing.T) {
	w := &world{failing: staging.NewFailingCheck("http", "dial tcp 127.0.0.1:23456: connection refused")}
	b := on(w, manyTasks, launch.Bounds{})
	defer b.Close()
	r, err := b.one(t.Context(), launch.Request{Launch: staging.Launch{Image: "plain", Zone: "east", User: staging.User{ID: "u", Name: "n"}}, Wait: 20 * time.Millisecond})
	if err != nil || len(r.Attempts) == 0 {
		t.Fatalf("%+v %v", r, err)
	}
	if got := r.Attempts[len(r.Attempts)-1]; got.Outcome != staging.OutcomeStarting || got.Reason != `not up within 20ms: check "http" fails: dial tcp 127.0.0.1:23456: connection refused` {
		t.Errorf("%+v", got)
	}
}

// TestALaunchWhoseSessionTheScalerEndsSaysWhy: its checks have not passed for longer than the
// image's patience, which is shorter than the launch's wait.
func TestALaunchWhoseSessionTheScalerEndsSaysWhy(t *testing.T) {
	why := `its checks have not passed for 50s: check "answers" fails: connection refused`
	_, err := launchIn(t, &world{endedFor: staging.ReasonFailed + why}, "plain")
	var refused *refusal.Error
	if !errors.As(err, &refused) || refused.Kind != refusal.LaunchFailed {
		t.Fatalf("%v", err)
	}
	for _, text := range []string{refused.Detail, refused.Attempts[len(refused.Attempts)-1].Reason, refused.Cause.Error()} {
		if !strings.HasSuffix(text, why) {
			t.Errorf("%q, want the reason that is recorded of the session", text)
		}
	}
}
