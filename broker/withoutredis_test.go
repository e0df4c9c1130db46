package broker_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/greenroom/greenroom/broker"
	"github.com/greenroom/greenroom/internal/staging"
)

// TestAKeyIsOneSessionsAlsoWithoutRedis: a repeat is known by the fate of its
// session, one under way by the key that it holds in Consul.
func TestAKeyIsOneSessionsAlsoWithoutRedis(t *testing.T) {
	keyed := func(r *broker.LaunchRequest) { r.IdempotencyKey = "k" }
	fingerprint := staging.Launch{Image: "hooked", Zone: "east", User: staging.User{ID: "u", Name: "n"}}.Fingerprint()
	away := func(w *world) *world {
		w.fail = map[string]error{"claim": errAway, "begin": errAway, "assign": errAway}
		w.inConsul = []string{"s1"}
		return w
	}
	before := func(change func(*staging.Fate)) map[string]staging.Fate {
		f := staging.Fate{
			Session: "old", Verdict: staging.VerdictAssigned, Claim: "c0", IdempotencyKey: "k", Fingerprint: fingerprint,
			User: &staging.User{ID: "u"}, DecidedAt: time.Now(), Zone: "east",
		}
		change(&f)
		return map[string]staging.Fate{"old": f}
	}

	w := away(&world{})
	r, err := launchIn(t, w, "hooked", keyed)
	if err != nil || r.Session.ID != "s1" || !slices.Contains(w.calls, "hold") || !slices.Contains(w.calls, "let go") {
		t.Errorf("%+v %v: %v", r.Session, err, w.calls)
	}
	w = away(&world{fates: before(func(*staging.Fate) {})})
	r, err = launchIn(t, w, "hooked", keyed)
	if err != nil || r.Session.ID != "old" || r.Session.Claim != "c0" || slices.Contains(w.calls, "decide s1") {
		t.Errorf("a repeat: %+v %v: %v", r.Session, err, w.calls)
	}
	for what, c := range map[string]struct {
		world *world
		kind  broker.Kind
	}{
		"a repeat whose hook is under way": {&world{fates: before(func(f *staging.Fate) { f.HookPending = true })}, broker.KeyInFlight},
		"the key of another launch":        {&world{fates: before(func(f *staging.Fate) { f.Fingerprint = "x" })}, broker.KeyReused},
		"a launch under way":               {&world{keyHolder: staging.Claim{ID: "c0", Fingerprint: fingerprint}}, broker.KeyInFlight},
		"another launch under way":         {&world{keyHolder: staging.Claim{ID: "c0", Fingerprint: "x"}}, broker.KeyReused},
	} {
		w := away(c.world)
		_, err := launchIn(t, w, "hooked", keyed)
		var refused *broker.Error
		if !errors.As(err, &refused) || refused.Kind != c.kind || slices.Contains(w.calls, "decide s1") {
			t.Errorf("%s: %v: %v", what, err, w.calls)
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
	_, err := launchIn(t, w, "plain", func(r *broker.LaunchRequest) { r.Groups = []string{"g"} })
	var refused *broker.Error
	if !errors.As(err, &refused) || refused.Kind != broker.SessionLimit || !slices.Equal(refused.Sessions, []string{"mine"}) {
		t.Errorf("%v: %v", err, w.calls)
	}
}
