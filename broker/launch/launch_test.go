package launch_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/greenroom/greenroom/broker/launch"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

var errAway = errors.New("away")

func TestTheOrderOfALaunch(t *testing.T) {
	onDemand := []string{"begin", "decide new", "register new", "placement", "running", "passing", "running", "assign new"}
	cases := []struct {
		name  string
		image string
		world world
		want  []string // the calls, in order
		also  []string // calls that come whenever they come
		kind  refusal.Kind
		gets  string // the session
	}{
		{
			name: "the fate is decided before the hook and finished before the answer", image: "hooked", world: world{ready: []string{"s1"}},
			want: []string{"claim", "decide s1", "hook s1", "finished s1", "assign s1"}, gets: "s1",
		},
		{name: "without a hook one write decides", image: "plain", world: world{ready: []string{"s1"}}, want: []string{"claim", "decide s1", "assign s1"}, gets: "s1"},
		{
			name: "a session that is another's is left to him, the next is tried", image: "plain",
			world: world{ready: []string{"s1", "s2"}, decided: map[string]staging.Verdict{"s1": staging.VerdictAssigned}},
			want:  []string{"claim", "decide s1", "claim", "decide s2", "assign s2"}, also: []string{"restore s1 to other"}, gets: "s2",
		},
		{
			name: "a session that was retired is not given away", image: "plain",
			world: world{ready: []string{"s1"}, decided: map[string]staging.Verdict{"s1": staging.VerdictRetired}},
			want:  slices.Concat([]string{"claim", "decide s1", "claim"}, onDemand), also: []string{"end s1"}, gets: "new",
		},
		{
			name: "a hook that fails destroys its session, the next is tried", image: "hooked",
			world: world{ready: []string{"s1", "s2"}, fail: map[string]error{"hook-of-s1": errAway}},
			want:  []string{"claim", "decide s1", "hook s1", "claim", "decide s2", "hook s2", "finished s2", "assign s2"},
			also:  []string{"end s1", "stop s1"}, gets: "s2",
		},
		{
			name: "Consul's answer is lost: no hook, no reuse, an honest error", image: "hooked",
			world: world{ready: []string{"s1", "s2"}, fail: map[string]error{"decide": errAway}},
			want:  []string{"claim", "decide s1", "release"}, also: []string{"end s1", "retire s1", "stop s1"}, kind: refusal.ConsulUnavailable,
		},
		{
			name: "Consul fails after the hook: destroyed, since nobody can know", image: "hooked",
			world: world{ready: []string{"s1"}, fail: map[string]error{"finished": errAway}},
			want:  []string{"claim", "decide s1", "hook s1", "finished s1", "abandon s1", "release"}, also: []string{"end s1", "stop s1"}, kind: refusal.ConsulUnavailable,
		},
		{
			name: "Redis fails after Consul has it: the assignment stands", image: "plain",
			world: world{ready: []string{"s1"}, fail: map[string]error{"assign": errAway}},
			want:  []string{"claim", "decide s1", "assign s1"}, gets: "s1",
		},
		{
			name: "Redis is away and nothing passes: on demand, its fate says all", image: "plain",
			world: world{fail: map[string]error{"claim": errAway, "begin": errAway, "assign": errAway}},
			want:  append([]string{"claim", "look"}, onDemand...), also: []string{"restore new to u"}, gets: "new",
		},
		{
			name: "Redis is away: one that passes in Consul and has no fate", image: "hooked",
			world: world{
				inConsul: []string{"s2", "s1"}, fail: map[string]error{"claim": errAway, "assign": errAway},
				fates: map[string]staging.Fate{"s1": {Verdict: staging.VerdictAssigned}},
			},
			want: []string{"claim", "look", "find s2", "decide s2", "hook s2", "finished s2"},
			also: []string{"restore s2 to u"}, gets: "s2",
		},
		{
			name: "Redis is away, and another launch has had the only session: the listing is read again", image: "hooked",
			world: world{
				inConsul: []string{"s1"}, fail: map[string]error{"claim": errAway, "assign": errAway, "begin": errAway},
				decided: map[string]staging.Verdict{"s1": staging.VerdictAssigned},
			},
			want: append([]string{"claim", "look", "find s1", "decide s1", "look"}, onDemand...),
			also: []string{"restore new to u", "restore s1 to other"}, gets: "new",
		},
		{name: "nothing ready: on demand, born with its fate", image: "plain", want: append([]string{"claim"}, onDemand...), gets: "new"},
		{
			name: "no room: refused at once, nothing left", image: "plain", world: world{refused: &staging.Failure{Message: "not enough memory"}},
			want: []string{"claim", "begin", "decide new", "register new", "placement", "release"}, also: []string{"end new", "stop new"}, kind: refusal.NoCapacity,
		},
		{
			name: "Nomad does not take the job: stopped, in case it did", image: "plain", world: world{fail: map[string]error{"register": errAway}},
			want: []string{"claim", "begin", "decide new", "register new", "release"}, also: []string{"end new", "stop new"}, kind: refusal.NomadUnavailable,
		},
	}
	for i := range cases {
		c := &cases[i]
		t.Run(c.name, func(t *testing.T) {
			r, err := launchIn(t, &c.world, c.image)
			var got, also []string
			for _, call := range c.world.calls {
				// What goes on behind the answer has no place in the order.
				if slices.Contains(c.also, call) {
					also = append(also, call)
				} else {
					got = append(got, call)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
			slices.Sort(also)
			if diff := cmp.Diff(c.also, also); diff != "" {
				t.Errorf("calls behind the answer (-want +got):\n%s", diff)
			}
			var refused *refusal.Error
			if c.kind != "" && (!errors.As(err, &refused) || refused.Kind != c.kind || len(refused.Attempts) == 0 && c.kind != refusal.RedisUnavailable) {
				t.Errorf("error %v, want kind %s with its attempts", err, c.kind)
			}
			if c.kind == "" && (err != nil || short(r.Session.ID) != c.gets || r.Session.State != staging.Assigned || !r.Session.ExpiresAt.IsZero()) {
				t.Errorf("session %+v, error %v; want %s, assigned, without an expiration", r.Session, err, c.gets)
			}
		})
	}
}

func TestALaunchThatMakesNoSenseTouchesNothing(t *testing.T) {
	w := &world{ready: []string{"s1"}}
	for _, image := range []string{"none", "Not A Name", ""} {
		_, err := launchIn(t, w, image)
		var invalid *staging.InvalidError
		if !errors.As(err, &invalid) || invalid.Fields[0].Field != "image" {
			t.Errorf("image %q: %v", image, err)
		}
	}
	if len(w.calls) != 0 {
		t.Errorf("it called %v", w.calls)
	}
}

// TestAHookThatAlwaysFailsDoesNotUseUpThePool: past a few, something is wrong with all.
func TestAHookThatAlwaysFailsDoesNotUseUpThePool(t *testing.T) {
	w := &world{fail: map[string]error{"hook": errAway}}
	for i := range 50 {
		w.ready = append(w.ready, fmt.Sprint("s", i))
	}
	r, err := launchIn(t, w, "hooked")
	if err != nil || r.Session.Origin != staging.OnDemand {
		t.Errorf("%+v %v", r.Session, err)
	}
	if used := 50 - len(w.ready); used > 5 {
		t.Errorf("one launch used up %d sessions", used)
	}
}

// TestAServerThatDidNotAnswerIsAskedBeforeAnythingIsClaimed: an outage costs the
// sessions that were being claimed as it began, and no more.
func TestAServerThatDidNotAnswerIsAskedBeforeAnythingIsClaimed(t *testing.T) {
	for what, c := range map[string]struct {
		fail map[string]error
		kind refusal.Kind
	}{
		"consul": {map[string]error{"decide": errAway, "ping": errAway}, refusal.ConsulUnavailable},
		"nomad":  {map[string]error{"hook": &staging.HookError{Untouched: true, Cause: errAway}, "ping": errAway}, refusal.NomadUnavailable},
	} {
		w := &world{ready: []string{"s1", "s2", "s3", "s4"}, fail: c.fail}
		b := on(w, manyTasks, launch.Bounds{})
		req := launch.Request{Launch: staging.Launch{Image: "hooked", Zone: "east", User: staging.User{ID: "u", Name: "n"}}, Wait: time.Minute}
		for range 5 {
			_, err := b.one(t.Context(), req)
			var refused *refusal.Error
			if !errors.As(err, &refused) || refused.Kind != c.kind || refused.RetryAfter == 0 {
				t.Errorf("%s: %v", what, err)
			}
		}
		if len(w.ready) != 3 {
			t.Errorf("%s: %d of 4 sessions are left, want all but the one that was being claimed", what, len(w.ready))
		}
		w.mu.Lock()
		w.fail = nil
		w.mu.Unlock()
		if r, err := b.one(t.Context(), req); err != nil || r.Session.ID != "s2" {
			t.Errorf("%s is back: %+v %v", what, r.Session, err)
		}
		b.Close()
	}
}
