package launch_test

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/broker/background"
	"github.com/greenroom/greenroom/broker/launch"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/devcluster/devtest"
	"github.com/greenroom/greenroom/internal/redisstore"
	"github.com/greenroom/greenroom/internal/staging"
)

// onRedis is a launcher with a real Redis; the other servers are those of a world.
type onRedis struct {
	*redisstore.Store
	launcher launcher
	world    *world
	// hooks are the assign hooks of users: each runs until it receives its outcome.
	hooks map[string]chan error
	// began receives the user whose assign hook has begun.
	began chan string

	// freed is called, when it is not nil, after a key was freed; no repeat reads a key
	// until it returns.
	gate  sync.RWMutex
	freed func()
}

// SessionAfter implements launch.Sessions; nothing waits for room here.
func (r *onRedis) SessionAfter(ctx context.Context, id string, index uint64, _ time.Duration) (staging.Session, uint64, error) {
	s, err := r.Session(ctx, id)
	return s, index, err
}

// newOnRedis returns a launcher with ready sessions of the pool h.
func newOnRedis(t *testing.T, keyLease time.Duration, ready ...string) *onRedis {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: devtest.Redis(t)})
	t.Cleanup(func() { rdb.Close() })
	r := &onRedis{
		Store: redisstore.New(rdb, redisstore.Options{KeyLease: keyLease}), world: &world{refused: &staging.Failure{Message: "no room"}},
		hooks: map[string]chan error{}, began: make(chan string, 10),
	}
	log := logrus.New()
	log.SetOutput(io.Discard)
	r.launcher.background = background.New(manyTasks)
	r.launcher.Launcher = launch.New(launch.Parts{
		Servers: launch.Servers{
			Resources: r.world, Locks: r.world, Fates: r.world, Store: r.Store, Keys: r, Profiles: r.world, Fleet: r.world, Health: r.world, Hooks: r, Meter: r.world,
		},
		Sessions: r, Background: r.launcher.background, Log: logrus.NewEntry(log),
	}, launch.Options{KeyLease: keyLease})
	t.Cleanup(r.launcher.Close)
	must(t, r.PlaceMarker(t.Context(), "east", "a"))
	if _, err := r.RenewTrust(t.Context(), "east", staging.TrustRenewal{Before: "a", Marker: "b"}); err != nil {
		t.Fatal(err)
	}
	for i, id := range ready {
		must(t, r.Publish(t.Context(), staging.Session{
			ID: id, State: staging.Starting, Origin: staging.Staged, Zone: "east", Image: "hooked", Staging: "h", AllocID: "a-" + id,
			Permits: staging.Permissions{}.Permits(), CreatedAt: time.Now().Add(time.Duration(i) * time.Second),
		}))
	}
	return r
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Ready implements launch.Hooks.
func (r *onRedis) Ready(context.Context, staging.Session, staging.Hook) launch.Assignment {
	return userHook{r}
}

// Run implements launch.Hooks.
func (r *onRedis) Run(context.Context, staging.Session, staging.HookName, staging.Hook, staging.Launch) error {
	return nil
}

type userHook struct{ r *onRedis }

func (h userHook) Run(_ context.Context, l staging.Launch) error {
	h.r.began <- l.User.ID
	if outcome := h.r.hooks[l.User.ID]; outcome != nil {
		return <-outcome
	}
	return nil
}

func (h userHook) Open(context.Context) error { return nil }
func (h userHook) Drop()                      {}

// KeyHolder implements launch.Keys.
func (r *onRedis) KeyHolder(ctx context.Context, key string) (staging.KeyHolder, error) {
	r.gate.RLock()
	defer r.gate.RUnlock()
	return r.Store.KeyHolder(ctx, key)
}

// Release implements launch.Keys.
func (r *onRedis) Release(ctx context.Context, key, claim, session string) error {
	r.gate.Lock()
	defer r.gate.Unlock()
	err := r.Store.Release(ctx, key, claim, session)
	if r.freed != nil {
		r.freed()
	}
	return err
}

// answer is what one launch was answered.
type answer struct {
	launch.Result
	err error
}

// launch launches the image with a hook for a user, with the key k.
func (r *onRedis) launch(t *testing.T, scope, user string) <-chan answer {
	answered := make(chan answer, 1)
	go func() {
		got, err := r.launcher.one(t.Context(), launch.Request{
			Launch: staging.Launch{Image: "hooked", Zone: "east", User: staging.User{ID: user}}, IdempotencyKey: "k", KeyScope: scope, Wait: time.Minute,
		})
		answered <- answer{got, err}
	}()
	return answered
}

// TestARepeatIsNeverAnsweredWithAnotherUsersSession: the first launch frees the key, and
// another user's launch takes it while the repeat waits.
func TestARepeatIsNeverAnsweredWithAnotherUsersSession(t *testing.T) {
	for what, scopes := range map[string][2]string{"one caller": {"", ""}, "two callers": {"user:alice", "user:bob"}} {
		t.Run(what, func(t *testing.T) {
			r := newOnRedis(t, 0, "s1", "s2")
			r.hooks["alice"], r.hooks["bob"] = make(chan error, 1), make(chan error, 1)
			first := r.launch(t, scopes[0], "alice")
			<-r.began
			repeat := r.launch(t, scopes[0], "alice")
			var bob <-chan answer
			r.freed = func() {
				r.freed = nil
				bob = r.launch(t, scopes[1], "bob")
				<-r.began
			}
			// The pool has one more session, which bob must get, so alice's launch is refused.
			taken, err := r.Claim(t.Context(), []staging.Config{{Name: "h", Zone: "east"}}, 1, staging.Claim{
				ID: "a-third-launch", Image: "hooked", Zone: "east", User: staging.User{ID: "carol"}, Permits: staging.Permissions{}.Permits(),
			})
			must(t, err)
			before := r.freed
			r.freed = func() {
				must(t, r.Unclaim(t.Context(), taken.Sessions[0]))
				before()
			}
			r.hooks["alice"] <- errors.New("exit code 1")
			if got := <-first; got.err == nil {
				t.Fatalf("alice's first launch was served with %s", got.Session.ID)
			}
			r.hooks["bob"] <- nil
			if got := <-bob; got.err != nil || got.Session.ID != "s2" {
				t.Fatalf("bob's launch: %+v, %v", got.Session, got.err)
			}
			got := <-repeat
			var refused *refusal.Error
			want := refusal.KeyReused
			if scopes[0] != scopes[1] {
				want = refusal.NoCapacity // the key is free, and nothing is ready
			}
			if !errors.As(got.err, &refused) || refused.Kind != want {
				t.Errorf("alice's repeat was answered with session %q of user %+v and error %v, want %s", got.Session.ID, got.Session.User, got.err, want)
			}
		})
	}
}

// TestALongLaunchKeepsItsKey: its lease is renewed for as long as the launch takes.
func TestALongLaunchKeepsItsKey(t *testing.T) {
	if staging.KeyRenewal >= staging.KeyLease || staging.KeyLease%staging.KeyRenewal != 0 {
		t.Fatalf("a lease of %s is renewed every %s", staging.KeyLease, staging.KeyRenewal)
	}
	const lease = 300 * time.Millisecond
	r := newOnRedis(t, lease, "s1", "s2")
	r.hooks["alice"] = make(chan error, 1)
	first := r.launch(t, "", "alice")
	<-r.began
	held, err := r.Store.KeyHolder(t.Context(), "k")
	must(t, err)
	for end := time.Now().Add(3 * lease); time.Now().Before(end); time.Sleep(lease / 10) {
		now, err := r.Store.KeyHolder(t.Context(), "k")
		must(t, err)
		if now.Claim != held.Claim {
			t.Fatalf("the key is held by %q while the launch %s is under way", now.Claim, held.Claim)
		}
	}
	r.hooks["alice"] <- nil
	if got := <-first; got.err != nil || got.Session.ID != "s1" {
		t.Errorf("%+v %v", got.Session, got.err)
	}
}

// TestABrokerThatStopsRefusesWhatOnlyWaits, at once, and finishes what has claimed a session.
func TestABrokerThatStopsRefusesWhatOnlyWaits(t *testing.T) {
	r := newOnRedis(t, 0, "s1", "s2")
	r.hooks["alice"] = make(chan error, 1)
	first := r.launch(t, "", "alice")
	<-r.began
	repeat := r.launch(t, "", "alice")
	drained := make(chan error, 1)
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := r.launcher.Drain(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("drained while a hook runs: %v", err)
	}
	go func() { drained <- r.launcher.Drain(t.Context()) }()
	for what, answered := range map[string]<-chan answer{"a repeat that waits": repeat, "a new launch": r.launch(t, "", "bob")} {
		got := <-answered
		var refused *refusal.Error
		if !errors.As(got.err, &refused) || refused.Kind != refusal.Stopping || refused.RetryAfter == 0 {
			t.Errorf("%s: %+v %v", what, got.Session, got.err)
		}
	}
	r.hooks["alice"] <- nil
	if got := <-first; got.err != nil || got.Session.ID != "s1" {
		t.Errorf("the launch whose hook ran: %+v %v", got.Session, got.err)
	}
	must(t, <-drained)
}
