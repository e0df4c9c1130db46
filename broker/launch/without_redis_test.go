package launch_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/greenroom/greenroom/broker/launch"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

// TestAKeyIsOneSessionsAlsoWithoutRedis: a repeat is known by the fate of its
// session, one under way by the key that it holds in Consul.
func TestAKeyIsOneSessionsAlsoWithoutRedis(t *testing.T) {
	keyed := func(r *launch.Request) { r.IdempotencyKey = "k" }
	fingerprint := staging.Launch{Image: "hooked", Zone: "east", User: staging.User{ID: "u", Name: "n"}}.Fingerprint()
	away := func(w *world) *world {
		w.fail = map[string]error{"claim": errAway, "begin": errAway, "assign": errAway}
		w.inConsul = []string{"s1"}
		return w
	}
	before := func(change func(*staging.Fate)) *world {
		f := staging.Fate{
			Session: "old", Verdict: staging.VerdictAssigned, Claim: "c0", IdempotencyKey: "k", Fingerprint: fingerprint,
			User: &staging.User{ID: "u"}, DecidedAt: time.Now(), Zone: "east",
		}
		change(&f)
		return &world{
			fates: map[string]staging.Fate{"old": f}, keyHolder: staging.KeyHold{Claim: "c0", Fingerprint: f.Fingerprint, Session: "old"},
		}
	}

	w := away(&world{})
	r, err := launchIn(t, w, "hooked", keyed)
	if err != nil || r.Session.ID != "s1" {
		t.Errorf("%+v %v: %v", r.Session, err, w.calls)
	}
	for what, c := range map[string]struct {
		world *world
		kind  refusal.Kind // "" for the old session
	}{
		"a repeat, Redis away":              {away(before(func(*staging.Fate) {})), ""},
		"a repeat, Redis has lost it":       {before(func(*staging.Fate) {}), ""},
		"a repeat whose hook is under way":  {away(before(func(f *staging.Fate) { f.HookPending = true })), refusal.KeyInFlight},
		"the key of another launch":         {away(before(func(f *staging.Fate) { f.Fingerprint = "x" })), refusal.KeyReused},
		"the key of a session that is gone": {away(&world{keyHolder: staging.KeyHold{Claim: "c0", Fingerprint: fingerprint, Session: "gone"}}), refusal.KeyReused},
		"lost by Redis, its hook under way": {before(func(f *staging.Fate) { f.HookPending = true }), refusal.KeyInFlight},
		"lost by Redis, of another launch":  {before(func(f *staging.Fate) { f.Fingerprint = "x" }), refusal.KeyReused},
	} {
		c.world.ready = []string{"s9"}
		r, err := launchIn(t, c.world, "hooked", keyed)
		var refused *refusal.Error
		switch {
		case c.kind == "" && (err != nil || r.Session.ID != "old" || r.Session.Claim != "c0"):
			t.Errorf("%s: %+v %v: %v", what, r.Session, err, c.world.calls)
		case c.kind != "" && (!errors.As(err, &refused) || refused.Kind != c.kind):
			t.Errorf("%s: %v: %v", what, err, c.world.calls)
		}
		// What the repeat claimed before it knew is unused.
		if claimed := slices.Contains(c.world.calls, "claim") && c.world.fail["claim"] == nil; claimed {
			if !slices.Equal(c.world.ready, []string{"s9"}) || !slices.Contains(c.world.calls, "put back s9") {
				t.Errorf("%s: ready are %v: %v", what, c.world.ready, c.world.calls)
			}
		}
		for _, call := range c.world.calls {
			if strings.HasPrefix(call, "hook") {
				t.Errorf("%s: a hook ran: %v", what, c.world.calls)
			}
		}
	}
}

// TestAUsersLimitHoldsWithoutRedis, by the fates of the sessions that run.
func TestAUsersLimitHoldsWithoutRedis(t *testing.T) {
	one := 1
	res := threeZones(func(r *staging.Resources) {
		r.Groups["g"] = staging.Group{Name: "g", MaxSessionsPerUser: &one}
	})
	w := &world{
		resources: res, inConsul: []string{"s1"}, fail: map[string]error{"claim": errAway, "begin": errAway},
		fates: map[string]staging.Fate{"mine": {Session: "mine", Verdict: staging.VerdictAssigned, Claim: "c0", User: &staging.User{ID: "u"}, Zone: "east"}},
	}
	_, err := launchIn(t, w, "plain", func(r *launch.Request) { r.Groups = []string{"g"} })
	var refused *refusal.Error
	if !errors.As(err, &refused) || refused.Kind != refusal.SessionLimit || !slices.Equal(refused.Sessions, []string{"mine"}) {
		t.Errorf("%v: %v", err, w.calls)
	}
}

// TestSessionsInUseDoNotHideTheFreeOneWithoutRedis: the oldest sessions of a pool are those
// in use, and they pass their checks, too.
func TestSessionsInUseDoNotHideTheFreeOneWithoutRedis(t *testing.T) {
	w := &world{fates: map[string]staging.Fate{}, inConsul: []string{"z-free"}, fail: map[string]error{"claim": errAway, "assign": errAway}}
	for i := range 40 {
		id := fmt.Sprintf("s%02d", i)
		w.fates[id] = staging.Fate{Session: id, Verdict: staging.VerdictAssigned, User: &staging.User{ID: "other"}}
		w.inConsul = append(w.inConsul, id)
	}
	r, err := launchIn(t, w, "hooked", func(*launch.Request) {})
	if err != nil || r.Session.ID != "z-free" {
		t.Errorf("%+v %v: %v", r.Session, err, w.calls)
	}
}

// TestWithoutRedisEveryReadySessionIsServed: launches that come together take different
// sessions of one listing, until none is left.
func TestWithoutRedisEveryReadySessionIsServed(t *testing.T) {
	w := &world{fail: map[string]error{"claim": errAway, "begin": errAway, "assign": errAway}}
	const ready = 23
	for i := range ready {
		w.inConsul = append(w.inConsul, fmt.Sprintf("s%02d", i))
	}
	b := on(w, manyTasks, launch.Bounds{})
	served := make([]string, ready)
	var wg sync.WaitGroup
	for i := range ready {
		wg.Go(func() {
			r, err := b.one(t.Context(), launch.Request{Launch: staging.Launch{Image: "hooked", Zone: "east", User: staging.User{ID: fmt.Sprint(i)}}})
			if err != nil {
				t.Error(err)
				return
			}
			served[i] = r.Session.ID
		})
	}
	wg.Wait()
	b.Close()
	if slices.Sort(served); !slices.Equal(served, w.inConsul) {
		t.Errorf("served were %v", served)
	}
	looks := 0
	for _, call := range w.calls {
		if call == "look" {
			looks++
		}
	}
	if looks > ready/2 {
		t.Errorf("Consul's instances were listed %d times for %d launches", looks, ready)
	}
}

// TestWithoutRedisAMovedConfigServesNoSessionOfItsOldZone: those are looked up once, and
// not again by the next launch.
func TestWithoutRedisAMovedConfigServesNoSessionOfItsOldZone(t *testing.T) {
	w := &world{
		inConsul: []string{"s1", "s2"}, madeIn: map[string]string{"s1": "west", "s2": "west"},
		fail: map[string]error{"claim": errAway, "begin": errAway, "assign": errAway},
	}
	b := on(w, manyTasks, launch.Bounds{})
	defer b.Close()
	for range 3 {
		r, err := b.one(t.Context(), launch.Request{Launch: staging.Launch{Image: "hooked", Zone: "east", User: staging.User{ID: "u"}}})
		if err != nil || r.Session.Origin != staging.OnDemand {
			t.Errorf("%+v %v", r.Session, err)
		}
	}
	finds := 0
	for _, call := range w.calls {
		if strings.HasPrefix(call, "find") {
			finds++
		}
	}
	if finds != len(w.inConsul) {
		t.Errorf("%d look-ups of %d sessions: %v", finds, len(w.inConsul), w.calls)
	}
}

// TestWithoutRedisASessionThatNomadDoesNotRunYetWaits: its checks may pass before, and an exec
// in it would fail. It is not spent, and serves the next launch once it runs.
func TestWithoutRedisASessionThatNomadDoesNotRunYetWaits(t *testing.T) {
	w := &world{
		inConsul: []string{"s1", "s2"}, starting: map[string]bool{"s1": true},
		fail: map[string]error{"claim": errAway, "begin": errAway, "assign": errAway},
	}
	b := on(w, manyTasks, launch.Bounds{})
	defer b.Close()
	for _, want := range []string{"s2", "s1"} {
		r, err := b.one(t.Context(), launch.Request{Launch: staging.Launch{Image: "hooked", Zone: "east", User: staging.User{ID: "u"}}})
		if err != nil || r.Session.ID != want {
			t.Errorf("%+v %v, want %s: %v", r.Session, err, want, w.calls)
		}
		w.starting = nil
	}
}

// TestARestoreThatIsNotedAfterTheListingWasReadCounts: a scaler has noted it by the time at
// which the launch looks, so that nothing but the session's own generation shows it.
func TestARestoreThatIsNotedAfterTheListingWasReadCounts(t *testing.T) {
	w := &world{inConsul: []string{"s1"}, generation: staging.Generation{Current: 4}, newest: 5, fail: map[string]error{"claim": errAway}}
	w.later = &staging.Generation{Current: 6, RestoredThrough: 5}
	if r, err := launchIn(t, w, "hooked"); err != nil || r.Session.Origin != staging.OnDemand {
		t.Errorf("%+v %v: %v", r.Session, err, w.calls)
	}
}

// TestAfterARestoreOfConsulNoSessionIsTakenForUnused: Consul's catalog does not show a newer
// session yet, and Nomad does.
func TestAfterARestoreOfConsulNoSessionIsTakenForUnused(t *testing.T) {
	for what, c := range map[string]struct {
		newest uint64
		origin staging.Origin
	}{
		"nothing was restored":  {4, staging.Staged},
		"Consul was restored":   {5, staging.OnDemand},
		"upgraded, nothing yet": {0, staging.Staged},
	} {
		w := &world{inConsul: []string{"s1"}, generation: staging.Generation{Current: 4}, newest: c.newest, fail: map[string]error{"claim": errAway}}
		if r, err := launchIn(t, w, "hooked"); err != nil || r.Session.Origin != c.origin {
			t.Errorf("%s: %+v %v: %v", what, r.Session, err, w.calls)
		}
	}
}
