package launch_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/greenroom/greenroom/broker/launch"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

// TestALaunchWaitsForRoom: a session that no node can take stays where it is for as long as the
// launch, its image or its user's groups say, and the answer says what became of it.
func TestALaunchWaitsForRoom(t *testing.T) {
	two, none := staging.Duration(2*time.Minute), staging.Duration(0)
	pending := staging.Session{State: staging.Pending, Origin: staging.OnDemand}
	ended := func(reason string) staging.Session { return staging.Session{State: staging.Ending, Reason: reason} }
	for name, c := range map[string]struct {
		launch, image, group *staging.Duration
		wait                 time.Duration
		changes              []staging.Session
		redisAway            bool
		want                 staging.State
		refused              refusal.Kind
		says                 string
		// waits is how long the job is to wait for room.
		waits staging.Duration
	}{
		"nothing is set":         {refused: refusal.NoCapacity, says: "it cannot be placed: no memory"},
		"room comes":             {launch: &two, changes: []staging.Session{pending, {State: staging.Starting}, {State: staging.Assigned}}, want: staging.Assigned, says: "waits for room for up to 2m: no memory", waits: two},
		"none comes":             {launch: &two, changes: []staging.Session{pending, ended("no room came within 2m: no disk")}, refused: refusal.NoCapacity, says: "no room came within 2m: no disk", waits: two},
		"the image says":         {image: &two, changes: []staging.Session{{State: staging.Assigned}}, want: staging.Assigned, waits: two},
		"a group says":           {group: &two, changes: []staging.Session{{State: staging.Assigned}}, want: staging.Assigned, waits: two},
		"the launch goes before": {launch: &none, image: &two, group: &two, refused: refusal.NoCapacity},
		"the image goes before":  {image: &none, group: &two, refused: refusal.NoCapacity},
		"it is ended":            {launch: &two, changes: []staging.Session{ended("ended by alice")}, refused: refusal.LaunchFailed, says: "ended while it was being made", waits: two},
		"it does not start":      {launch: &two, changes: []staging.Session{ended(staging.ReasonFailed + "exit code 3")}, refused: refusal.LaunchFailed, says: "exit code 3", waits: two},
		"the wait is over":       {launch: &two, wait: 20 * time.Millisecond, changes: []staging.Session{pending}, want: staging.Pending, says: "it waits for room until", waits: two},
		"Redis is away":          {launch: &two, redisAway: true, refused: refusal.NoCapacity},
	} {
		t.Run(name, func(t *testing.T) {
			w := &world{refused: &staging.Failure{Type: staging.CapacityExhausted, Message: "no memory"}, changes: c.changes, inRedis: map[string]staging.Session{}, fail: map[string]error{}}
			r := w.Resources()
			r.Images["plain"] = staging.Image{Name: "plain", WaitForRoom: c.image}
			r.Groups = map[string]staging.Group{"g": {Name: "g", Default: true, WaitForRoom: c.group}}
			w.resources = &r
			if c.redisAway {
				w.fail["claim"], w.fail["begin"] = errAway, errAway
			}
			b := on(waitingWorld{w}, manyTasks, launch.Bounds{OnDemand: 1, OnDemandQueue: 1})
			defer b.Close()
			req := launch.Request{IdempotencyKey: "k", Launch: staging.Launch{Image: "plain", Zone: "east", User: staging.User{ID: "u", Name: "n"}, WaitForRoom: c.launch}, Wait: time.Minute}
			if c.wait > 0 {
				req.Wait = c.wait
			}
			got, err := b.one(t.Context(), req)
			attempts := got.Attempts
			var refused *refusal.Error
			if errors.As(err, &refused) {
				attempts = refused.Attempts
			}
			if c.refused != "" && (refused == nil || refused.Kind != c.refused) || c.refused == "" && (err != nil || got.Session.State != c.want) {
				t.Fatalf("%+v, %v; want %s %s", got.Session, err, c.want, c.refused)
			}
			said := func(a staging.Attempt) bool { return strings.Contains(a.Reason, c.says) }
			if c.says != "" && !slices.ContainsFunc(attempts, said) && (refused == nil || !strings.Contains(refused.Detail, c.says)) {
				t.Errorf("attempts %+v, error %v; want that one says %q", attempts, err, c.says)
			}
			if room := w.specs[0].Session.WaitForRoom; room != c.waits {
				t.Errorf("the job waits for room for %s, want %s", room, c.waits)
			}
			if kept := slices.Contains(w.calls, "keep key"); kept != (c.want == staging.Pending) {
				t.Errorf("the key is kept beyond the answer: %t: %v", kept, w.calls)
			}
			stopped := slices.Contains(w.calls, "stop new")
			if c.waits > 0 && stopped {
				t.Errorf("the launch stopped the job, which is the scaler's to end: %v", w.calls)
			}
		})
	}
}

// waitingWorld is a world in which a session that waits can be read.
type waitingWorld struct{ *world }

func (w waitingWorld) Session(_ context.Context, id string) (staging.Session, error) {
	if len(w.changes) == 0 {
		return staging.Session{}, &refusal.Error{Kind: refusal.NotFound, Detail: id}
	}
	s := w.changes[len(w.changes)-1]
	s.ID = id
	return s, nil
}

func (w waitingWorld) SessionAfter(ctx context.Context, id string, index uint64, _ time.Duration) (staging.Session, uint64, error) {
	if int(index) < len(w.changes) {
		s := w.changes[index]
		s.ID = id
		return s, index + 1, nil
	}
	<-ctx.Done()
	s, err := w.Session(ctx, id)
	return s, index, err
}

// TestEveryZoneIsTriedBeforeRoomIsWaitedFor: the next zone is tried at once. Only if none can
// take the session does it wait, in the launch's own zone.
func TestEveryZoneIsTriedBeforeRoomIsWaitedFor(t *testing.T) {
	two := staging.Duration(2 * time.Minute)
	for name, full := range map[string]map[string]bool{
		"the other zone has room": {"east": true},
		"no zone has room":        {"east": true, "west": true},
	} {
		t.Run(name, func(t *testing.T) {
			w := &world{refusedIn: full, changes: []staging.Session{{State: staging.Assigned}}}
			r := w.Resources()
			east := zone("east")
			east.SearchAlternateZones = true
			r.Zones = map[string]staging.Zone{"east": east, "west": zone("west")}
			w.resources = &r
			b := on(waitingWorld{w}, manyTasks, launch.Bounds{})
			defer b.Close()
			if _, err := b.one(t.Context(), launch.Request{
				Launch: staging.Launch{Image: "plain", Zone: "east", User: staging.User{ID: "u", Name: "n"}, WaitForRoom: &two}, Wait: time.Minute,
			}); err != nil {
				t.Fatal(err)
			}
			var tried []string
			for _, s := range w.specs {
				tried = append(tried, s.Session.Zone+" "+s.Session.WaitForRoom.Brief())
			}
			want := []string{"east 0s", "west 0s"}
			if full["west"] {
				want = append(want, "east 2m")
			}
			if !slices.Equal(tried, want) {
				t.Errorf("tried %v, want %v", tried, want)
			}
		})
	}
}

// TestEveryImageIsTriedBeforeRoomIsWaitedFor: of those that a selector chooses, one that fits is
// made at once. Only if none does, the first waits.
func TestEveryImageIsTriedBeforeRoomIsWaitedFor(t *testing.T) {
	two := staging.Duration(2 * time.Minute)
	for name, c := range map[string]struct {
		full map[string]bool
		want []string
		says string
	}{
		"the other has room": {map[string]bool{"bronze": true}, []string{"bronze 0s", "gold 0s"}, "image gold matches tier in (gold, bronze)"},
		"none has room":      {map[string]bool{"bronze": true, "gold": true}, []string{"bronze 0s", "gold 0s", "bronze 2m"}, "image bronze matches tier in (gold, bronze); it was up 0s after"},
	} {
		t.Run(name, func(t *testing.T) {
			noSearch := func(r *staging.Resources) {
				for name, z := range r.Zones {
					z.SearchAlternateZones = false
					r.Zones[name] = z
				}
			}
			w := &world{resources: labelled(noSearch), refusedOf: c.full, changes: []staging.Session{{State: staging.Assigned}}}
			b := on(waitingWorld{w}, manyTasks, launch.Bounds{})
			defer b.Close()
			got, err := b.one(t.Context(), launch.Request{
				Launch: staging.Launch{Selector: "tier in (gold, bronze)", SkipStaged: true, Zone: "east", User: staging.User{ID: "u", Name: "n"}, WaitForRoom: &two}, Wait: time.Minute,
			})
			if err != nil {
				t.Fatal(err)
			}
			var tried []string
			for _, s := range w.specs {
				tried = append(tried, s.Session.Image+" "+s.Session.WaitForRoom.Brief())
			}
			if !slices.Equal(tried, c.want) {
				t.Errorf("tried %v, want %v", tried, c.want)
			}
			if last := got.Attempts[len(got.Attempts)-1]; last.Outcome != staging.OutcomeServed || !strings.HasPrefix(last.Reason, c.says) {
				t.Errorf("%+v; want %q", last, c.says)
			}
		})
	}
}

// TestWhatBecameReadyWhileRoomWasWaitedForIsGiven rather than that the launch is refused: a session
// of a pool may have been on its way.
func TestWhatBecameReadyWhileRoomWasWaitedForIsGiven(t *testing.T) {
	two := staging.Duration(2 * time.Minute)
	for _, skip := range []bool{false, true} {
		w := &world{resources: labelled(), refusedOf: map[string]bool{"gold": true}, changes: []staging.Session{{State: staging.Ending, Reason: "no room came within 2m: no disk"}}}
		b := on(readyLaterWorld{waitingWorld{w}}, manyTasks, launch.Bounds{})
		got, err := b.one(t.Context(), launch.Request{
			Launch: staging.Launch{Image: "gold", SkipStaged: skip, Zone: "east", User: staging.User{ID: "u", Name: "n"}, WaitForRoom: &two}, Wait: time.Minute,
		})
		b.Close()
		var refused *refusal.Error
		switch {
		case skip && (!errors.As(err, &refused) || refused.Kind != refusal.NoCapacity):
			t.Errorf("a fresh session was asked for: %+v, %v", got, err)
		case !skip && (err != nil || got.Session.Origin != staging.Staged):
			t.Errorf("%+v, %v", got, err)
		}
	}
}

// readyLaterWorld is a world in which a session of gold's pool becomes ready while room is waited for.
type readyLaterWorld struct{ waitingWorld }

func (w readyLaterWorld) SessionAfter(ctx context.Context, id string, index uint64, most time.Duration) (staging.Session, uint64, error) {
	w.pools = map[string][]string{"gold-e": {"g1"}}
	return w.waitingWorld.SessionAfter(ctx, id, index, most)
}
