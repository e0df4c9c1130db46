package scaler

import (
	"errors"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

func TestAFirstLaunchIsRetriedOnlyIfItNeverStarted(t *testing.T) {
	v := poolView(staging.Image{ExecConfig: staging.ExecConfig{FirstLaunch: &staging.Hook{Cmd: []string{"x"}}}})
	e := runs(v, "gr-1")
	if v.firstLaunchHook(e) == nil {
		t.Fatal("the session has no hook to run")
	}
	unreachable := result{err: errors.New("nomad is unreachable")}
	for range maxFirstLaunchTries {
		v.firstLaunchDone(e, unreachable, noon)
		if e.failed() != nil {
			t.Fatal("a hook that never started failed its session")
		}
	}
	v.firstLaunchDone(e, unreachable, noon)
	if e.failed() == nil {
		t.Error("a session in which no hook can start is retried forever")
	}
	e = runs(v, "gr-2")
	v.firstLaunchDone(e, result{err: errors.New("exit code 9"), failure: &staging.Failure{Type: staging.HookFailing, Message: "exit code 9"}}, noon.Add(time.Minute))
	if f := e.failed(); f == nil || f.Type != staging.HookFailing || v.pools["p"].backoff.Failures != 2 {
		t.Errorf("%+v, backoff %+v", f, v.pools["p"].backoff)
	}
	e = runs(v, "gr-3")
	v.firstLaunchDone(e, result{}, noon)
	if e.failed() != nil || v.firstLaunchHook(e) != nil {
		t.Error("a hook that has run is to run again")
	}
	// The hooks are those of its own revision, not the image's current ones.
	e = runs(v, "gr-4")
	e.s.Hooks = &staging.ExecConfig{}
	if v.firstLaunchHook(e) != nil {
		t.Error("a session is to run a hook that its revision does not have")
	}
}
