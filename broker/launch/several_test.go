package launch_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/greenroom/greenroom/broker/launch"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

// launchSeveralIn launches n sessions of an image.
func launchSeveralIn(t *testing.T, w *world, image string, n int, change ...func(*launch.Request)) ([]launch.Result, error) {
	t.Helper()
	req := launch.Request{
		Launch: staging.Launch{Image: image, Zone: "east", User: staging.User{ID: "u", Name: "n"}, Count: n}, Wait: time.Minute,
	}
	for _, f := range change {
		f(&req)
	}
	b := on(w, manyTasks, launch.Bounds{})
	all, err := b.Launch(t.Context(), req)
	b.Close()
	return all, err
}

func given(all []launch.Result) string {
	ids := make([]string, len(all))
	for i, r := range all {
		ids[i] = r.Session.ID
	}
	return strings.Join(ids, " ")
}

// apart sorts calls into those whose order is promised, and the rest.
func apart(calls, anyOrder []string) (ordered, rest []string) {
	for _, call := range calls {
		if slices.Contains(anyOrder, call) {
			rest = append(rest, call)
		} else {
			ordered = append(ordered, call)
		}
	}
	slices.Sort(rest)
	return ordered, rest
}

// TestSeveralAreGivenOrNone, at each step that can fail.
func TestSeveralAreGivenOrNone(t *testing.T) {
	destroyed := func(ids ...string) (calls []string) {
		for _, id := range ids {
			calls = append(calls, "end "+id, "stop "+id)
		}
		return calls
	}
	cases := []struct {
		name  string
		image string
		world world
		want  []string // the calls, in order
		also  []string // calls that come whenever they come, sorted
		kind  refusal.Kind
		says  string // in the refusal
		gets  string // the sessions
	}{
		{
			name: "one claim, one write that decides, the hooks, one that finishes", image: "hooked", world: world{ready: []string{"s1", "s2"}},
			want: []string{"claim 2 of h", "decide s1 s2", "finished 2"},
			also: []string{"assign s1", "assign s2", "hook s1", "hook s2"}, gets: "s1 s2",
		},
		{
			name: "without a hook one write decides", image: "plain", world: world{ready: []string{"s1", "s2", "s3"}},
			want: []string{"claim 2 of p", "decide s1 s2"}, also: []string{"assign s1", "assign s2"}, gets: "s1 s2",
		},
		{
			name: "too few: refused at once with how many there are", image: "plain", world: world{ready: []string{"s1"}},
			want: []string{"claim 2 of p", "release"}, kind: refusal.NoCapacity, says: "ready are 1;",
		},
		{
			name: "one is another's: it is left to him, the other goes back, and is tried again", image: "plain",
			world: world{ready: []string{"s1", "s2", "s3"}, decided: map[string]staging.Verdict{"s1": staging.VerdictAssigned}},
			want:  []string{"claim 2 of p", "decide s1 s2", "put back s2", "claim 2 of p", "decide s3 s2"},
			also:  []string{"assign s2", "assign s3", "restore s1 to other"}, gets: "s3 s2",
		},
		{
			name: "one was retired and no other is there: the other goes back, and none is given", image: "hooked",
			world: world{ready: []string{"s1", "s2"}, decided: map[string]staging.Verdict{"s1": staging.VerdictRetired}},
			want:  []string{"claim 2 of h", "decide s1 s2", "put back s2", "claim 2 of h", "release"},
			also:  []string{"end s1"}, kind: refusal.NoCapacity,
		},
		{
			name: "Consul's answer is lost: no hook, none goes back, each is settled", image: "hooked",
			world: world{ready: []string{"s1", "s2", "s3"}, fail: map[string]error{"decide": errAway}},
			want:  []string{"claim 2 of h", "decide s1 s2", "release"},
			also:  append(destroyed("s1", "s2"), "retire s1", "retire s2"), kind: refusal.ConsulUnavailable,
		},
		{
			name: "a hook fails in one: all are destroyed, others are tried once", image: "hooked",
			world: world{ready: []string{"s1", "s2", "s3", "s4"}, fail: map[string]error{"hook-of-s2": errAway}},
			want:  []string{"claim 2 of h", "decide s1 s2", "claim 2 of h", "decide s3 s4", "finished 2"},
			also:  append(destroyed("s1", "s2"), "assign s3", "assign s4", "hook s1", "hook s2", "hook s3", "hook s4"), gets: "s3 s4",
		},
		{
			name: "it fails again: refused, and no more are used up", image: "hooked",
			world: world{
				ready: []string{"s1", "s2", "s3", "s4", "s5", "s6"},
				fail:  map[string]error{"hook-of-s2": errAway, "hook-of-s3": errAway},
			},
			want: []string{"claim 2 of h", "decide s1 s2", "claim 2 of h", "decide s3 s4", "release"},
			also: append(destroyed("s1", "s2", "s3", "s4"), "hook s1", "hook s2", "hook s3", "hook s4"),
			kind: refusal.LaunchFailed, says: "away",
		},
		{
			name: "Consul fails after the hooks: destroyed, since nobody can know", image: "hooked",
			world: world{ready: []string{"s1", "s2"}, fail: map[string]error{"finished": errAway}},
			want:  []string{"claim 2 of h", "decide s1 s2", "finished 2", "abandon s1", "abandon s2", "release"},
			also:  append(destroyed("s1", "s2"), "hook s1", "hook s2"), kind: refusal.ConsulUnavailable,
		},
		{
			name: "Redis fails after Consul has them: the assignment stands", image: "plain",
			world: world{ready: []string{"s1", "s2"}, fail: map[string]error{"assign": errAway}},
			want:  []string{"claim 2 of p", "decide s1 s2"}, also: []string{"assign s1", "assign s2"}, gets: "s1 s2",
		},
		{
			name: "Redis is away: from what passes in Consul and has no fate", image: "hooked",
			world: world{inConsul: []string{"s2", "s1"}, fail: map[string]error{"claim": errAway}},
			want:  []string{"claim 2 of h", "look", "decide s1 s2", "finished 2"},
			also:  []string{"find s1", "find s2", "hook s1", "hook s2", "restore s1 to u", "restore s2 to u"}, gets: "s1 s2",
		},
		{
			name: "Redis is away, and too few pass: refused, and none is taken", image: "hooked",
			world: world{inConsul: []string{"s1"}, fail: map[string]error{"claim": errAway}},
			want:  []string{"claim 2 of h", "look", "find s1", "release"}, kind: refusal.NoCapacity, says: "ready are 1",
		},
		{
			name: "so many more are too many for the user", image: "plain",
			world: world{ready: []string{"s1", "s2"}, limited: []string{"own"}, resources: limitedToTwo()},
			want:  []string{"claim 2 of p", "release"}, kind: refusal.SessionLimit, says: "2 more are asked for",
		},
	}
	for i := range cases {
		c := &cases[i]
		t.Run(c.name, func(t *testing.T) {
			all, err := launchSeveralIn(t, &c.world, c.image, 2)
			slices.Sort(c.also)
			// Hooks run side by side, and what goes on behind the answer has no place in the order.
			got, also := apart(c.world.calls, c.also)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.also, also); diff != "" {
				t.Errorf("calls in any order (-want +got):\n%s", diff)
			}
			var refused *refusal.Error
			if c.kind != "" && (!errors.As(err, &refused) || refused.Kind != c.kind || !strings.Contains(refused.Detail, c.says) || all != nil) {
				t.Errorf("%v, error %v; want kind %s that says %q", all, err, c.kind, c.says)
			}
			if c.kind == "" && (err != nil || given(all) != c.gets) {
				t.Errorf("sessions %s, error %v; want %s", given(all), err, c.gets)
			}
			for i, r := range all {
				if r.Session.State != staging.Assigned || r.Token == "" || i > 0 && r.Token == all[0].Token {
					t.Errorf("%+v", r)
				}
			}
		})
	}
}

// TestOneThatIsAlwaysSomebodysDoesNotKeepALaunchGoing.
func TestOneThatIsAlwaysSomebodysDoesNotKeepALaunchGoing(t *testing.T) {
	w := &world{decided: map[string]staging.Verdict{}}
	for _, id := range strings.Fields("a b c d e f g h i j k l m n o p") {
		w.ready = append(w.ready, id)
		w.decided[id] = staging.VerdictRetired
	}
	_, err := launchSeveralIn(t, w, "plain", 2)
	var refused *refusal.Error
	if !errors.As(err, &refused) || refused.Kind != refusal.NoCapacity {
		t.Errorf("%v", err)
	}
	if len(w.ready) != 6 {
		t.Errorf("%d are left of 16, want 6: two at each of five tries were somebody's", len(w.ready))
	}
}

// twoZones is east, which searches west, each with a pool.
func twoZones() *staging.Resources {
	east := zone("east")
	east.SearchAlternateZones, east.AlternateZones = true, []string{"west"}
	return &staging.Resources{
		Zones:  map[string]staging.Zone{"east": east, "west": zone("west")},
		Images: map[string]staging.Image{"plain": {Name: "plain"}},
		Configs: map[string]staging.Config{
			"pe": {Name: "pe", Zone: "east", Image: "plain"}, "pw": {Name: "pw", Zone: "west", Image: "plain"},
		},
	}
}

// TestTogetherIsOneZone: without it the zones are one choice, with it each is its own.
func TestTogetherIsOneZone(t *testing.T) {
	together := func(r *launch.Request) { r.Together = true }
	pools := func() map[string][]string { return map[string][]string{"pe": {"e1", "e2"}, "pw": {"w1", "w2", "w3"}} }
	w := &world{resources: twoZones(), pools: pools()}
	all, err := launchSeveralIn(t, w, "plain", 4)
	if err != nil || given(all) != "e1 e2 w1 w2" || w.calls[0] != "claim 4 of pe pw" {
		t.Errorf("4 of both: %s %v; %v", given(all), err, w.calls)
	}
	w = &world{resources: twoZones(), pools: pools()}
	all, err = launchSeveralIn(t, w, "plain", 3, together)
	if err != nil || given(all) != "w1 w2 w3" || !slices.Equal(w.calls[:2], []string{"claim 3 of pe", "claim 3 of pw"}) {
		t.Errorf("3 of one: %s %v; %v", given(all), err, w.calls)
	}
	w = &world{resources: twoZones(), pools: pools()}
	_, err = launchSeveralIn(t, w, "plain", 4, together)
	var refused *refusal.Error
	if !errors.As(err, &refused) || refused.Kind != refusal.NoCapacity || !strings.Contains(refused.Detail, "2 in zone east, 3 in zone west") {
		t.Errorf("4 of one: %v", err)
	}
}

// TestWhatStagingCannotHonourIsRefusedForSeveral, with the setting's name.
func TestWhatStagingCannotHonourIsRefusedForSeveral(t *testing.T) {
	res := *twoZones()
	res.Groups = map[string]staging.Group{"g": {Name: "g", InjectSSHKeys: new(true)}}
	w := &world{resources: &res, pools: map[string][]string{"pe": {"e1", "e2"}}}
	_, err := launchSeveralIn(t, w, "plain", 2, func(r *launch.Request) { r.Groups = []string{"g"} })
	var invalid *staging.InvalidError
	if !errors.As(err, &invalid) || invalid.Fields[0].Field != "count" || !strings.Contains(invalid.Fields[0].Message, `group "g"`) {
		t.Errorf("%v", err)
	}
	if len(w.pools["pe"]) != 2 || len(w.events) != 1 {
		t.Errorf("left %v, events %v", w.pools["pe"], w.events)
	}
}

// TestSeveralOfOneKey: a repeat gets all of them, also one that Redis forgot.
func TestSeveralOfOneKey(t *testing.T) {
	keyed := func(r *launch.Request) { r.IdempotencyKey = "k" }
	launch := staging.Launch{Image: "plain", Zone: "east", User: staging.User{ID: "u", Name: "n"}, Count: 2}
	fates := map[string]staging.Fate{}
	for _, id := range []string{"o1", "o2"} {
		fates[id] = staging.Fate{Session: id, Verdict: staging.VerdictAssigned, Claim: "old", Zone: "east", User: &launch.User, Sessions: []string{"o1", "o2"}}
	}
	hold := staging.KeyHold{Claim: "old", Fingerprint: launch.Fingerprint(), Session: "o1"}
	w := &world{ready: []string{"s1", "s2"}, fates: fates, keyHolder: hold}
	all, err := launchSeveralIn(t, w, "plain", 2, keyed)
	if err != nil || given(all) != "o1 o2" {
		t.Errorf("%s %v; %v", given(all), err, w.calls)
	}
	if !slices.Contains(w.calls, "rebind k o1 o2") {
		t.Errorf("the key is not bound again: %v", w.calls)
	}
	if slices.Sort(w.ready); !slices.Equal(w.ready, []string{"s1", "s2"}) {
		t.Errorf("what the repeat had claimed is not back: %v", w.ready)
	}
	// So it is where there would be too few for another launch.
	w = &world{ready: []string{"s1"}, fates: fates, keyHolder: hold}
	if all, err = launchSeveralIn(t, w, "plain", 2, keyed); err != nil || given(all) != "o1 o2" {
		t.Errorf("with one ready: %s %v; %v", given(all), err, w.calls)
	}
	// With another count it is another launch.
	w = &world{ready: []string{"s1", "s2", "s3"}, fates: fates, keyHolder: hold}
	_, err = launchSeveralIn(t, w, "plain", 3, keyed)
	var refused *refusal.Error
	if !errors.As(err, &refused) || refused.Kind != refusal.KeyReused || len(w.ready) != 3 {
		t.Errorf("another count: %v; ready %v", err, w.ready)
	}
	// One hook of the group has not finished: none is an answer yet.
	pending := fates["o2"]
	pending.HookPending = true
	w = &world{ready: []string{"s1", "s2"}, fates: map[string]staging.Fate{"o1": fates["o1"], "o2": pending}, keyHolder: hold}
	_, err = launchSeveralIn(t, w, "plain", 2, keyed)
	if !errors.As(err, &refused) || refused.Kind != refusal.KeyInFlight {
		t.Errorf("under way: %v", err)
	}
}

// TestARepeatOfSeveralWhoseFirstLaunchFailedFreesTheKey by the session that the key names,
// which is any of them once the scaler has restored it.
func TestARepeatOfSeveralWhoseFirstLaunchFailedFreesTheKey(t *testing.T) {
	over := staging.Session{State: staging.Ended, Claim: "first"}
	w := &world{
		ready: []string{"s1", "s2"}, inRedis: map[string]staging.Session{"a": over, "b": over},
		keyInRedis: staging.KeyHolder{Claim: "first", Session: "b", Sessions: []string{"a", "b"}},
	}
	all, err := launchSeveralIn(t, w, "plain", 2, func(r *launch.Request) { r.IdempotencyKey = "k" })
	if err != nil || given(all) != "s1 s2" || !slices.Contains(w.calls, "release of b") {
		t.Errorf("%s %v; %v", given(all), err, w.calls)
	}
}

// TestARepeatOfSeveralIsNotAnsweredWithSome of the first launch's sessions.
func TestARepeatOfSeveralIsNotAnsweredWithSome(t *testing.T) {
	w := &world{
		inRedis:    map[string]staging.Session{"a": {ID: "a", State: staging.Assigned, Claim: "first"}},
		keyInRedis: staging.KeyHolder{Claim: "first", Session: "a", Sessions: []string{"a"}, Done: true},
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	l := on(w, manyTasks, launch.Bounds{})
	defer l.Close()
	all, err := l.Launch(ctx, launch.Request{
		Launch: staging.Launch{Image: "plain", Zone: "east", User: staging.User{ID: "u", Name: "n"}, Count: 2}, IdempotencyKey: "k",
	})
	var refused *refusal.Error
	if !errors.As(err, &refused) || refused.Kind != refusal.KeyInFlight {
		t.Errorf("%s %v", given(all), err)
	}
}

// gauged counts the hooks that run at once, and lets none end before it may.
type gauged struct {
	*world
	mu        sync.Mutex
	now, most int
	may       chan struct{}
}

func (g *gauged) Ready(ctx context.Context, s staging.Session, h staging.Hook) launch.Assignment {
	return gaugedAssignment{g.world.Ready(ctx, s, h), g}
}

type gaugedAssignment struct {
	launch.Assignment
	g *gauged
}

func (a gaugedAssignment) Run(ctx context.Context, l staging.Launch) error {
	a.g.count(1)
	<-a.g.may
	defer a.g.count(-1)
	return a.Assignment.Run(ctx, l)
}

func (g *gauged) count(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now += n
	g.most = max(g.most, g.now)
}

func (g *gauged) running() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.now
}

// TestSeveralHooksHaveTheirPlacesBeforeAnythingIsClaimed, and no more run than there are.
func TestSeveralHooksHaveTheirPlacesBeforeAnythingIsClaimed(t *testing.T) {
	g := &gauged{world: &world{}, may: make(chan struct{})}
	for i := range 20 {
		g.ready = append(g.ready, fmt.Sprint("s", i))
	}
	b := on(g, manyTasks, launch.Bounds{Hooks: 2, HookWait: time.Millisecond})
	req := launch.Request{Launch: staging.Launch{Image: "hooked", Zone: "east", User: staging.User{ID: "u", Name: "n"}, Count: 5}}
	done := make(chan error)
	go func() {
		all, err := b.Launch(t.Context(), req)
		if err == nil && len(all) != 5 {
			err = fmt.Errorf("%d sessions", len(all))
		}
		done <- err
	}()
	for g.running() < 2 {
		runtime.Gosched()
	}
	_, err := b.Launch(t.Context(), req)
	var refused *refusal.Error
	if !errors.As(err, &refused) || refused.Kind != refusal.Overloaded {
		t.Errorf("while all places are taken: %v", err)
	}
	close(g.may)
	if err := <-done; err != nil {
		t.Errorf("five with room for two at once: %v", err)
	}
	// The places are free again, and no launch claimed that had none.
	if all, err := b.Launch(t.Context(), req); err != nil || len(all) != 5 {
		t.Errorf("once more: %v", err)
	}
	b.Close()
	if g.most != 2 || len(g.ready) != 10 {
		t.Errorf("%d hooks at once, %d sessions left", g.most, len(g.ready))
	}
}
