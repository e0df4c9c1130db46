package launch_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/greenroom/greenroom/broker/launch"
	"github.com/greenroom/greenroom/internal/staging"
)

// leaving is a world whose Redis goes away after its first claim.
type leaving struct {
	*world
	claims int
}

func (l *leaving) Claim(ctx context.Context, pools []staging.Config, n int, c staging.Claim) (staging.ClaimResult, error) {
	if l.claims++; l.claims > 1 {
		return staging.ClaimResult{}, errAway
	}
	return l.world.Claim(ctx, pools, n, c)
}

// TestALaunchTriesASessionOnce: one whose hook has failed is not found again in
// Consul, which shows it as nobody's until it is stopped.
func TestALaunchTriesASessionOnce(t *testing.T) {
	w := &leaving{world: &world{
		ready: []string{"s1"}, inConsul: []string{"s1", "s2"}, fail: map[string]error{"hook-of-s1": errAway},
	}}
	b := on(w, manyTasks, launch.Bounds{})
	r, err := b.one(t.Context(), launch.Request{
		Launch: staging.Launch{Image: "hooked", Zone: "east", User: staging.User{ID: "u", Name: "n"}}, Wait: time.Minute,
	})
	b.Close()
	hooks := slices.DeleteFunc(slices.Clone(w.calls), func(call string) bool { return call != "hook s1" && call != "hook s2" })
	if err != nil || r.Session.ID != "s2" || !slices.Equal(hooks, []string{"hook s1", "hook s2"}) {
		t.Errorf("%+v %v; hooks: %v", r.Session, err, hooks)
	}
}
