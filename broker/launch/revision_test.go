package launch_test

import (
	"context"
	"slices"
	"testing"

	"github.com/greenroom/greenroom/broker/launch"
	"github.com/greenroom/greenroom/internal/staging"
)

// changing is a world in which the image was changed since the launch read it: fates are decided
// only for what is read after that.
type changing struct {
	*world
	read staging.Resources
	// now is what is stored; a launch finds it with Refresh.
	now staging.Resources
	// madeOf are the versions of which fates were to be decided.
	madeOf [][]staging.ResourceVersion
}

func (c *changing) Resources() staging.Resources { return c.read }

func (c *changing) Refresh(context.Context) (staging.Resources, error) {
	c.read = c.now
	return c.now, c.note("refresh")
}

func (c *changing) CreateFates(ctx context.Context, fates []staging.Fate) ([]staging.Fate, map[string]staging.Fate, error) {
	c.madeOf = append(c.madeOf, fates[0].MadeOf)
	for _, v := range fates[0].MadeOf {
		if v.Index != c.now.Versions[v.ResourceKey] {
			_ = c.note("outdated")
			return nil, nil, &staging.OutdatedError{ResourceKey: v.ResourceKey}
		}
	}
	return c.world.CreateFates(ctx, fates)
}

// TestALaunchOfAnOlderRevisionBeginsAnew where the pool's update is immediate: what it claimed is
// put back, what it made is destroyed, and it goes on with what is stored.
func TestALaunchOfAnOlderRevisionBeginsAnew(t *testing.T) {
	for name, c := range map[string]struct {
		world *world
		mode  staging.UpdateMode
		count int
		calls []string
		not   []string
	}{
		"claimed":         {&world{ready: []string{"s1"}}, staging.UpdateImmediate, 0, []string{"claim", "outdated", "put back s1", "refresh", "decide s1"}, nil},
		"several":         {&world{ready: []string{"s1", "s2"}}, staging.UpdateImmediate, 2, []string{"outdated", "put back s1", "put back s2", "refresh", "decide s1 s2"}, nil},
		"made on demand":  {&world{}, staging.UpdateImmediate, 0, []string{"begin", "outdated", "end new", "stop new", "refresh", "decide new", "register new"}, nil},
		"rolling":         {&world{ready: []string{"s1"}}, staging.UpdateRolling, 0, []string{"claim", "decide s1"}, []string{"outdated", "refresh"}},
		"made by rolling": {&world{}, "", 0, []string{"decide new"}, []string{"outdated", "refresh"}},
	} {
		read := c.world.Resources()
		p := read.Configs["p"]
		p.Update = c.mode
		read.Configs["p"] = p
		image := staging.ResourceKey{Kind: staging.KindImage, Name: "plain"}
		read.Versions = map[staging.ResourceKey]uint64{image: 1, {Kind: staging.KindZone, Name: "east"}: 3, {Kind: staging.KindStaging, Name: "p"}: 4}
		now := read
		now.Versions = map[staging.ResourceKey]uint64{image: 2, {Kind: staging.KindZone, Name: "east"}: 3, {Kind: staging.KindStaging, Name: "p"}: 4}
		now.Images = map[string]staging.Image{"plain": {Name: "plain", Variables: map[string]string{"a": "b"}}}
		w := &changing{world: c.world, read: read, now: now}
		l := with(w, manyTasks, launch.Options{})
		results, err := l.Launch(t.Context(), launch.Request{Launch: staging.Launch{Image: "plain", Zone: "east", User: staging.User{ID: "u"}, Count: c.count}})
		l.Close()
		if err != nil {
			t.Errorf("%s: %v; called %v", name, err, c.world.calls)
		}
		for _, call := range c.calls {
			if !slices.Contains(c.world.calls, call) {
				t.Errorf("%s: called %v, without %q", name, c.world.calls, call)
			}
		}
		for _, call := range c.not {
			if slices.Contains(c.world.calls, call) {
				t.Errorf("%s: called %v", name, c.world.calls)
			}
		}
		if c.mode != staging.UpdateImmediate {
			continue
		}
		if name == "made on demand" && results[0].Attempts[0].Reason != "no session of p is ready and of the current revision" {
			t.Errorf("%s: tried %v", name, results[0].Attempts)
		}
		if n := len(w.madeOf); n != 2 || len(w.madeOf[0]) != 3 {
			t.Errorf("%s: the fates were to be of %v", name, w.madeOf)
		}
		want := now.CurrentRevision(now.Configs["p"])
		if got := c.world.claim.Revisions["p"]; got != want {
			t.Errorf("%s: claimed revision %q, want %q", name, got, want)
		}
		if n := len(c.world.specs); n > 0 && c.world.specs[n-1].Image.Variables["a"] != "b" {
			t.Errorf("%s: made of %+v", name, c.world.specs[n-1].Image)
		}
	}
}
