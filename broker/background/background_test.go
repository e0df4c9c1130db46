package background_test

import (
	"testing"

	"github.com/greenroom/greenroom/broker/background"
)

// TestPastTheLimitATaskRunsInItsCallersGoroutine, or not at all where it may be left out.
func TestPastTheLimitATaskRunsInItsCallersGoroutine(t *testing.T) {
	g := background.New(1)
	release, ended := make(chan struct{}), false
	g.Go(func() {
		<-release
		ended = true
	})
	ran := false
	g.Go(func() { ran = true }) // returns when the task has run: the limit is reached
	if !ran {
		t.Error("a task past the limit did not run before Go returned")
	}
	if g.TryGo(func() { t.Error("a task that was refused ran") }) {
		t.Error("TryGo reports true at the limit")
	}
	close(release)
	g.Wait()
	if !ended {
		t.Error("Wait returned before a task had ended")
	}
}
