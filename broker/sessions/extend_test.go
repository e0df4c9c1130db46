package sessions_test

import (
	"strings"
	"testing"
	"time"

	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

// extendable is a user's session that ends in half an hour, and may be extended by one more hour.
func extendable() *servers {
	terms := staging.Terms{TimeLimit: staging.Duration(time.Hour), MaxExtension: staging.Duration(time.Hour)}
	return &servers{
		session: staging.Session{
			ID: "gr-1", State: staging.Assigned, Claim: "c", User: &staging.User{ID: "u"}, AssignedAt: time.Now().Add(-30 * time.Minute), Terms: terms,
		},
		fate: staging.Fate{Session: "gr-1", Verdict: staging.VerdictAssigned, Claim: "c", Terms: terms, Index: 7},
	}
}

// TestExtend: within the bound, which the refusal names, against others at the same time, and while
// Redis does not answer.
func TestExtend(t *testing.T) {
	hour, half := staging.Duration(time.Hour), staging.Duration(30*time.Minute)
	for name, c := range map[string]struct {
		set  func(*servers)
		by   staging.Duration
		kind refusal.Kind
		says string
		want staging.Duration
	}{
		"within":                          {func(*servers) {}, half, "", "", half},
		"beyond":                          {func(*servers) {}, 2 * hour, refusal.ExtensionLimit, "its max_extension of 1h leaves 1h", 0},
		"beyond what is left":             {func(s *servers) { s.fate.Terms.Extended = half }, hour, refusal.ExtensionLimit, "leaves 30m", half},
		"no bound":                        {func(s *servers) { s.session.Terms.MaxExtension = 0 }, half, refusal.ExtensionLimit, "no group of its user set a max_extension", 0},
		"no limit":                        {func(s *servers) { s.session.Terms.TimeLimit = 0 }, half, refusal.ExtensionLimit, "no time limit", 0},
		"another one at once":             {func(s *servers) { s.contended = 2 }, half, "", "", half + 2*staging.Duration(time.Minute)},
		"others again and again":          {func(s *servers) { s.contended = 9 }, half, refusal.SessionBusy, "", 5 * staging.Duration(time.Minute)},
		"ending":                          {func(s *servers) { s.session.State = staging.Ending }, half, refusal.NotAssigned, "is ending", 0},
		"ended meanwhile":                 {func(s *servers) { s.moved = staging.Ending }, half, refusal.NotAssigned, "came too late", half},
		"its time is over":                {func(s *servers) { s.session.AssignedAt = time.Now().Add(-2 * time.Hour) }, half, refusal.NotAssigned, "is over", 0},
		"Consul is away":                  {func(s *servers) { s.consulAway = true }, half, refusal.ConsulUnavailable, "", 0},
		"Redis is away":                   {func(s *servers) { s.redisAway = true }, half, "", "", half},
		"Redis is away, and no time left": {func(s *servers) { s.redisAway, s.session.AssignedAt = true, time.Now().Add(time.Second-time.Hour) }, half, refusal.RedisUnavailable, "", half},
		"its fate is another claim's":     {func(s *servers) { s.fate.Claim = "d" }, half, refusal.SessionBusy, "", 0},
	} {
		s := extendable()
		c.set(s)
		got, err := on(s).Extend(t.Context(), "gr-1", staging.ExtendBy{By: c.by})
		if kindOf(err) != c.kind || err != nil && !strings.Contains(err.Error(), c.says) || s.fate.Terms.Extended != c.want {
			t.Errorf("%s: %v; extended by %s, want %q and %s", name, err, s.fate.Terms.Extended, c.kind, c.want)
		}
		if err == nil && got.Terms.Extended != c.want {
			t.Errorf("%s: answered %+v", name, got.Terms)
		}
	}
}

// TestARepeatDoesNotExtendTwice, with the same key, or until the same time.
func TestARepeatDoesNotExtendTwice(t *testing.T) {
	half := staging.Duration(30 * time.Minute)
	for name, r := range map[string]staging.ExtendBy{
		"key":   {By: half, Key: "k"},
		"until": {Until: time.Now().Add(time.Hour)},
	} {
		s := extendable()
		first, err := on(s).Extend(t.Context(), "gr-1", r)
		if err != nil || first.Terms.Extended <= 0 {
			t.Fatalf("%s: %v, %+v", name, err, first.Terms)
		}
		again, err := on(s).Extend(t.Context(), "gr-1", r)
		if err != nil || !again.EndsAt().Equal(first.EndsAt()) {
			t.Errorf("%s: %v, first %s, then %s", name, err, first.EndsAt(), again.EndsAt())
		}
	}
	s := extendable()
	if _, err := on(s).Extend(t.Context(), "gr-1", staging.ExtendBy{By: half, Key: "k"}); err != nil {
		t.Fatal(err)
	}
	if _, err := on(s).Extend(t.Context(), "gr-1", staging.ExtendBy{By: half / 2, Key: "k"}); kindOf(err) != refusal.KeyReused {
		t.Errorf("another extension with the key: %v", err)
	}
}

// TestASessionWithAPreStopHookIsNotStoppedByTheBroker: a scaler runs the hook, and stops it.
func TestASessionWithAPreStopHookIsNotStoppedByTheBroker(t *testing.T) {
	s := extendable()
	s.session.Image, s.image = "image", staging.Image{ExecConfig: staging.ExecConfig{PreStop: &staging.Hook{Cmd: []string{"save"}}}}
	for range 2 {
		if err := on(s).End(t.Context(), "gr-1"); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Join(s.calls, ", "); got != "finish" || s.session.State != staging.Ending {
		t.Errorf("%s; it is %s", got, s.session.State)
	}
}
