package launch_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/greenroom/greenroom/broker/launch"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

// profileWorld has an image with a persistent profile, and zones.
func profileWorld(zones ...string) *world {
	w := &world{}
	r := w.Resources()
	r.Images["profile"] = staging.Image{Name: "profile", PersistentProfilePath: "/srv/{user_id}"}
	east := r.Zones["east"]
	east.AlternateZones = zones
	east.SearchAlternateZones = len(zones) > 0
	r.Zones["east"] = east
	for _, name := range zones {
		r.Zones[name] = zone(name)
	}
	w.resources = &r
	return w
}

// waits has the launch wait for a session on demand.
func waits(d time.Duration) func(*launch.Request) {
	return func(r *launch.Request) { r.Wait = d }
}

// TestAProfileThatIsInUseIsWaitedFor within the launch's wait; then the launch is refused, and
// the refusal names the session in the way.
func TestAProfileThatIsInUseIsWaitedFor(t *testing.T) {
	inUse := staging.ProfileLease{Path: "/srv/u", Session: "gr-before"}
	synctest.Test(t, func(t *testing.T) {
		w := profileWorld()
		w.leases = map[string]staging.ProfileLease{"/srv/u": inUse}
		_, err := launchIn(t, w, "profile", waits(0))
		var e *refusal.Error
		if !errors.As(err, &e) || e.Kind != refusal.ProfileInUse || !slices.Equal(e.Sessions, []string{"gr-before"}) {
			t.Errorf("without a wait: %v", err)
		}
		began := time.Now()
		if _, err = launchIn(t, w, "profile", waits(time.Minute)); !errors.As(err, &e) || e.Kind != refusal.ProfileInUse || time.Since(began) < time.Minute {
			t.Errorf("after a wait of %s: %v", time.Since(began), err)
		}
		if slices.Contains(w.calls, "begin") {
			t.Errorf("a session was begun: %v", w.calls)
		}
		time.AfterFunc(10*time.Second, func() { _ = w.ReleaseProfile(t.Context(), inUse) })
		r, err := launchIn(t, w, "profile", waits(time.Minute))
		if err != nil || w.leases["/srv/u"].Session != r.Session.ID {
			t.Errorf("once it is free: %+v, %v, %+v", r.Session, err, w.leases)
		}
	})
}

// TestOfManyLaunchesOneHasTheProfile, though all of them wait for it.
func TestOfManyLaunchesOneHasTheProfile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := profileWorld()
		l := on(w, manyTasks, launch.Bounds{})
		defer l.Close()
		served := make(chan bool, 20)
		for range cap(served) {
			go func() {
				_, err := l.one(context.Background(), launch.Request{
					Launch: staging.Launch{Image: "profile", Zone: "east", User: staging.User{ID: "u"}}, Wait: time.Minute,
				})
				var e *refusal.Error
				if err != nil && (!errors.As(err, &e) || e.Kind != refusal.ProfileInUse) {
					t.Error(err)
				}
				served <- err == nil
			}()
		}
		n := 0
		for range cap(served) {
			if <-served {
				n++
			}
		}
		if n != 1 || len(w.specs) != 1 {
			t.Errorf("%d launches were served, %d jobs registered", n, len(w.specs))
		}
	})
}

// TestALaunchThatRegistersNoJobFreesItsProfile at once; one whose job Nomad may have does not.
func TestALaunchThatRegistersNoJobFreesItsProfile(t *testing.T) {
	for call, free := range map[string]bool{"decide": true, "register": false, "placement": false, "lease": true} {
		t.Run(call, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := profileWorld()
				w.fail = map[string]error{call: errors.New("away")}
				_, err := launchIn(t, w, "profile", waits(time.Minute))
				if err == nil || (len(w.leases) == 0) != free {
					t.Errorf("%v; leases %+v", err, w.leases)
				}
			})
		})
	}
	w := profileWorld()
	w.limited = []string{"gr-9"}
	if _, err := launchIn(t, w, "profile", waits(time.Minute)); err == nil || len(w.leases) > 0 {
		t.Errorf("the user has too many sessions: %v; leases %+v", err, w.leases)
	}
	w = profileWorld()
	w.fail = map[string]error{"register": staging.Invalid("image", "jobspec", "is not one")}
	if _, err := launchIn(t, w, "profile", waits(time.Minute)); err == nil || len(w.leases) > 0 {
		t.Errorf("Nomad refuses the job: %v; leases %+v", err, w.leases)
	}
}

// TestABrokerThatStoodStillRegistersNoJob: the lease of its profile may have been freed.
func TestABrokerThatStoodStillRegistersNoJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &standing{world: profileWorld(), at: "decide", still: 2 * staging.ProfileRegister}
		l := on(w, manyTasks, launch.Bounds{})
		defer l.Close()
		_, err := l.one(context.Background(), launch.Request{
			Launch: staging.Launch{Image: "profile", Zone: "east", User: staging.User{ID: "u"}}, Wait: time.Minute,
		})
		if err == nil || slices.Contains(w.calls, "register new") {
			t.Errorf("%v: %v", err, w.calls)
		}
	})
}

// standing stands still in a call.
type standing struct {
	*world
	at    string
	still time.Duration
}

func (w *standing) stand(call string) {
	if call == w.at {
		w.at = "" // once
		time.Sleep(w.still)
	}
}

func (w *standing) CreateFates(ctx context.Context, fates []staging.Fate) ([]staging.Fate, map[string]staging.Fate, error) {
	created, lost, err := w.world.CreateFates(ctx, fates)
	w.stand("decide")
	return created, lost, err
}

func (w *standing) Ready(ctx context.Context, s staging.Session, h staging.Hook) launch.Assignment {
	w.stand("ready")
	return w.world.Ready(ctx, s, h)
}

// Register fails, like the client of Nomad, where its time is up.
func (w *standing) Register(ctx context.Context, spec staging.Spec) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	return w.world.Register(ctx, spec)
}

// TestAnotherZoneIsTriedOnceTheProfileIsFree of the session that found no room.
func TestAnotherZoneIsTriedOnceTheProfileIsFree(t *testing.T) {
	for freed, want := range map[bool]refusal.Kind{true: "", false: refusal.NoCapacity} {
		synctest.Test(t, func(t *testing.T) {
			w := profileWorld("west")
			w.refusedIn = map[string]bool{"east": true}
			if freed {
				time.AfterFunc(3*time.Second, func() {
					w.mu.Lock()
					lease := w.leases["/srv/u"]
					w.mu.Unlock()
					_ = w.ReleaseProfile(t.Context(), lease)
				})
			}
			r, err := launchIn(t, w, "profile", waits(0))
			var e *refusal.Error
			if want == "" && (err != nil || r.Session.Zone != "west") || want != "" && (!errors.As(err, &e) || e.Kind != want) {
				t.Errorf("freed %t: %+v %v", freed, r.Session, err)
			}
		})
	}
}

// TestAClaimThatIsTooOldIsPutBack: its sessions were never used, and the launch tries others.
func TestAClaimThatIsTooOldIsPutBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &standing{world: &world{ready: []string{"s1", "s2"}}, at: "ready", still: staging.TrustTTL + time.Second}
		l := on(w, manyTasks, launch.Bounds{})
		r, err := l.one(context.Background(), launch.Request{
			Launch: staging.Launch{Image: "hooked", Zone: "east", User: staging.User{ID: "u"}},
		})
		l.Close()
		if err != nil || r.Session.ID != "s2" || !slices.Equal(w.ready, []string{"s1"}) {
			t.Errorf("session %q, %v; ready %v", r.Session.ID, err, w.ready)
		}
		if !slices.Contains(w.calls, "put back s1") || slices.Contains(w.calls, "retire s1") || slices.Contains(w.calls, "stop s1") {
			t.Errorf("%v", w.calls)
		}
	})
}
