package scaler

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/greenroom/greenroom/internal/staging"
)

// TestDecideByUpdateAndOrders: what becomes of sessions of an older revision, of those that an
// administrator recycles, and of a paused pool.
func TestDecideByUpdateAndOrders(t *testing.T) {
	ready, starting := staging.Ready, staging.Starting
	update := func(m staging.UpdateMode) func(*PoolInput) {
		return func(in *PoolInput) { in.Config.Update = m }
	}
	recycle := func(in *PoolInput) {
		in.Recycle = &staging.Recycle{Before: noon.Add(-5 * time.Minute), OrderedBy: "token:tk-1"}
	}
	paused := func(in *PoolInput) { in.Paused = &staging.Pause{PausedBy: "token:tk-1", Reason: "works on the rack"} }
	for name, c := range map[string]struct {
		members []Member
		change  func(*PoolInput)
		want    []string
	}{
		"rolling: a replacement is made first":       {[]Member{member("old", ready, 9, stale)}, update(""), []string{"stage"}},
		"rolling, by its name":                       {[]Member{member("old", ready, 9, stale)}, update(staging.UpdateRolling), []string{"stage"}},
		"immediate: an older one goes at once":       {[]Member{member("old", ready, 9, stale)}, update(staging.UpdateImmediate), []string{"retire old", "stage"}},
		"immediate: one that a launch may have":      {[]Member{member("old", ready, 9, stale, busy)}, update(staging.UpdateImmediate), []string{"stage"}},
		"immediate: what is of the newest stays":     {[]Member{member("new", ready, 9)}, update(staging.UpdateImmediate), []string{}},
		"on_replenish: an older one stays":           {[]Member{member("old", ready, 9, stale)}, update(staging.UpdateOnReplenish), []string{}},
		"on_replenish: until it expires":             {[]Member{member("old", ready, 9, stale, expiring(-1))}, update(staging.UpdateOnReplenish), []string{"stage"}},
		"on_replenish: one that was claimed":         {nil, update(staging.UpdateOnReplenish), []string{"stage"}},
		"recycled: a replacement is made first":      {[]Member{member("old", ready, 9)}, recycle, []string{"stage"}},
		"recycled: the replacement is ready":         {[]Member{member("old", ready, 9), member("new", ready, 1)}, recycle, []string{"retire old"}},
		"recycled: a younger one stays":              {[]Member{member("young", ready, 4)}, recycle, []string{}},
		"paused: nothing is made":                    {nil, paused, []string{}},
		"paused: nothing is retired":                 {[]Member{member("old", ready, 9, stale), member("gone", starting, 8, misplaced), member("late", ready, 1, expiring(-1))}, paused, []string{}},
		"paused: the queue follows the checks":       {[]Member{member("sick", ready, 9, failing), member("up", starting, 1, passing)}, paused, []string{"publish up", "withdraw sick"}},
		"paused: also where the config was deleted":  {[]Member{member("a", ready, 9)}, func(in *PoolInput) { paused(in); in.Removed = true }, []string{}},
		"paused: what ended by itself is withdrawn":  {[]Member{member("a", ready, 9, over)}, paused, []string{"withdraw a"}},
		"paused and immediate: nothing goes":         {[]Member{member("old", ready, 9, stale)}, func(in *PoolInput) { paused(in); update(staging.UpdateImmediate)(in) }, []string{}},
		"recycled by an order for what is not ready": {[]Member{member("slow", starting, 9)}, recycle, []string{"retire slow", "stage"}},
	} {
		t.Run(name, func(t *testing.T) {
			in := PoolInput{Config: staging.Config{Name: "p"}, Desired: 1, HealthKnown: true, Members: c.members}
			c.change(&in)
			plan := Decide(in, DefaultBounds, noon)
			if diff := cmp.Diff(c.want, short(plan.Steps)); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
			if in.Paused == nil || in.Removed {
				return
			}
			want := staging.Condition{Type: staging.Paused, Message: "all pools paused by token:tk-1: works on the rack; nothing is made or retired, and launches go on, until greenroom resume"}
			if len(plan.Conditions) == 0 || plan.Conditions[0] != want {
				t.Errorf("conditions %+v", plan.Conditions)
			}
		})
	}
}

// TestAChangeOrAnOrderEndsThePauseOfAFailingPool: an edit of its config, its image or its zone,
// and an order to try again; the edit of another resource, or another order, does not.
func TestAChangeOrAnOrderEndsThePauseOfAFailingPool(t *testing.T) {
	why := &staging.Failure{Type: staging.CrashLooping, Message: "exit code 3"}
	for name, c := range map[string]struct {
		change func(r *staging.Resources)
		ends   bool
	}{
		"an edit of its config": {func(r *staging.Resources) {
			c := r.Configs["p"]
			c.DesiredSessions++
			r.Configs["p"] = c
		}, true},
		"an edit of its image": {func(r *staging.Resources) {
			i := r.Images["i"]
			i.Variables = map[string]string{"a": "b"}
			r.Images["i"] = i
		}, true},
		"an order": {func(r *staging.Resources) {
			r.Orders = map[string]staging.PoolOrders{"p": {Name: "p", RetryAt: noon}}
		}, true},
		"an order to recycle": {func(r *staging.Resources) {
			r.Orders = map[string]staging.PoolOrders{"p": {Name: "p", Recycle: &staging.Recycle{Before: noon}}}
		}, false},
		"another image": {func(r *staging.Resources) { r.Images["other"] = staging.Image{Name: "other"} }, false},
	} {
		v := poolView(staging.Image{Jobspec: "j"})
		p := v.pools["p"]
		p.failed(why, noon)
		v.outcomes.failed(nodeImage{"n", "i"}, why, noon)
		r := v.resources
		r.Configs, r.Images = map[string]staging.Config{"p": r.Configs["p"]}, map[string]staging.Image{"i": r.Images["i"]}
		c.change(&r)
		v.setResources(r)
		if got := !p.backoff.paused(); got != c.ends {
			t.Errorf("%s: the pause is over: %v", name, got)
		}
		if forgotten := len(v.outcomes.of) == 0; forgotten != (name == "an order" || name == "an edit of its image") {
			t.Errorf("%s: the failing nodes are forgotten: %v", name, forgotten)
		}
	}
}
