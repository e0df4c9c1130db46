package scaler

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/greenroom/greenroom/internal/staging"
)

func TestConditionsHaveAReasonAndATime(t *testing.T) {
	in := PoolInput{
		Config: staging.Config{Zone: "east", Image: "gone"}, NoImage: true, Desired: 2,
		Members: []Member{member("a", staging.Pending, 1, refused), member("b", staging.Pending, 1, refused)},
		Backoff: Backoff{Failures: 2, At: noon, Last: &staging.Failure{Type: staging.CrashLooping, Message: "exit code 1"}},
	}
	in.AssignHook = Backoff{Failures: 3, Last: &staging.Failure{Type: staging.HookFailing, Message: "exit code 7: no desktop"}}
	before := []staging.Condition{{Type: staging.CapacityExhausted, Message: "old words", Since: noon.Add(-time.Hour)}}
	want := []staging.Condition{
		{Type: staging.ImageMissing, Message: `image "gone" does not exist`, Since: noon},
		{Type: staging.HookFailing, Message: "exit code 7: no desktop (3 in a row)", Since: noon},
		{Type: staging.CapacityExhausted, Message: "not enough memory", Since: noon.Add(-time.Hour)},
		{Type: staging.CrashLooping, Message: "exit code 1 (2 in a row)", Since: noon},
	}
	if diff := cmp.Diff(want, since(before, Decide(in, DefaultBounds, noon).Conditions, noon)); diff != "" {
		t.Error(diff)
	}
}
