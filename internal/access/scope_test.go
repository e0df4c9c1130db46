package access

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

func TestAScope(t *testing.T) {
	tenant := Scope{Images: []string{"demo", "office"}, Zones: []string{"east"}, Groups: []string{"staff"}, UserPrefix: "acme-"}
	all := Scope{}
	for _, c := range []struct {
		what      string
		got, want bool
	}{
		{"an image of its list", tenant.AllowsImage("office"), true},
		{"another image", tenant.AllowsImage("dem"), false},
		{"no image", tenant.AllowsImage(""), false},
		{"a zone of its list", tenant.AllowsZone("east"), true},
		{"another zone", tenant.AllowsZone("EAST"), false},
		{"a group of its list", tenant.AllowsGroup("staff"), true},
		{"another group", tenant.AllowsGroup("demo"), false},
		{"a user of its prefix", tenant.AllowsUser("acme-amy"), true},
		{"the prefix itself", tenant.AllowsUser("acme-"), true},
		{"a part of the prefix", tenant.AllowsUser("acme"), false},
		{"nobody", tenant.AllowsUser(""), false},
		{"nobody, without a prefix", Scope{Zones: []string{"east"}}.AllowsUser(""), true},
		{"all of everything", all.AllowsImage("i") && all.AllowsZone("z") && all.AllowsGroup("g") && all.AllowsUser("u") && all.AllowsUser(""), true},
		{"a pool within", tenant.AllowsPool(staging.Config{Zone: "east", Image: "demo"}), true},
		{"a pool of another image", tenant.AllowsPool(staging.Config{Zone: "east", Image: "x"}), false},
		{"a pool of another zone", tenant.AllowsPool(staging.Config{Zone: "west", Image: "demo"}), false},
		{"a session within", tenant.AllowsSession(staging.Session{Zone: "east", Image: "demo", User: &staging.User{ID: "acme-amy"}}), true},
		{"another's session", tenant.AllowsSession(staging.Session{Zone: "east", Image: "demo", User: &staging.User{ID: "bob"}}), false},
		{"nobody's session", tenant.AllowsSession(staging.Session{Zone: "east", Image: "demo"}), false},
		{"nobody's session, without a prefix", Scope{Images: []string{"demo"}}.AllowsSession(staging.Session{Image: "demo"}), true},
		{"zero", all.IsZero(), true},
		{"not zero", Scope{UserPrefix: "a"}.IsZero() || Scope{Images: []string{"a"}}.IsZero() || Scope{Zones: []string{"a"}}.IsZero() || Scope{Groups: []string{"a"}}.IsZero(), false},

		{"everything within a tenant", all.Within(tenant), false},
		{"a tenant within everything", tenant.Within(all), true},
		{"everything within itself", all.Within(all), true},
		{"a tenant within itself", tenant.Within(tenant), true},
		{"fewer images", Scope{Images: []string{"demo"}, Zones: []string{"east"}, Groups: []string{"staff"}, UserPrefix: "acme-b"}.Within(tenant), true},
		{"one more image", Scope{Images: []string{"demo", "x"}, Zones: []string{"east"}, Groups: []string{"staff"}, UserPrefix: "acme-"}.Within(tenant), false},
		{"all images", Scope{Zones: []string{"east"}, Groups: []string{"staff"}, UserPrefix: "acme-"}.Within(tenant), false},
		{"a shorter prefix", Scope{Images: []string{"demo"}, Zones: []string{"east"}, Groups: []string{"staff"}, UserPrefix: "acme"}.Within(tenant), false},
		{"no prefix", Scope{Images: []string{"demo"}, Zones: []string{"east"}, Groups: []string{"staff"}}.Within(tenant), false},
	} {
		if c.got != c.want {
			t.Errorf("%s: %v, want %v", c.what, c.got, c.want)
		}
	}
	if got := tenant.String(); got != "images demo, office; zones east; groups staff; users acme-*" || all.String() != "everything" {
		t.Errorf("in words: %q, %q", got, all)
	}
}

func TestAScopeIsValidated(t *testing.T) {
	for what, c := range map[string]struct {
		scope  Scope
		fields []string
	}{
		"everything":       {Scope{}, nil},
		"good":             {Scope{Images: []string{"a", "b"}, UserPrefix: "acme-ü"}, nil},
		"no name":          {Scope{Images: []string{"a", ""}}, []string{"scope.images[1]"}},
		"not a name":       {Scope{Zones: []string{"A b"}}, []string{"scope.zones[0]"}},
		"twice":            {Scope{Groups: []string{"a", "a"}}, []string{"scope.groups[1]"}},
		"too many":         {Scope{Zones: slices.Repeat([]string{"a"}, MaxScopeNames+1)}, []string{"scope.zones"}},
		"too long":         {Scope{UserPrefix: strings.Repeat("x", staging.MaxUserIDLength+1)}, []string{"scope.user_prefix"}},
		"a prefix of NULs": {Scope{UserPrefix: "a\x00"}, []string{"scope.user_prefix"}},
	} {
		err := TokenRequest{Name: "n", Role: Viewer, Scope: c.scope}.Validate()
		var named []string
		if invalid, ok := errors.AsType[*staging.InvalidError](err); ok {
			for _, f := range invalid.Fields {
				named = append(named, f.Field)
			}
		}
		if !slices.Equal(named, c.fields) {
			t.Errorf("%s: names %q, want %q: %v", what, named, c.fields, err)
		}
	}
}

// TestARotation: which secrets work when, and for how long the new one does.
func TestARotation(t *testing.T) {
	made := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	at := func(d time.Duration) time.Time { return made.Add(d) }
	r := TokenRequest{Name: "n", Role: Launcher, Rate: 3, Scope: Scope{Zones: []string{"east"}}, ExpiresIn: staging.Duration(10 * time.Hour)}
	token, first := NewToken(r, made)
	works := func(t Token, secret string, now time.Time) bool {
		found, ok := NewTokens([]Token{t}, 1, nil).Find(secret)
		return ok && !found.Expired(now)
	}
	second, secret2, err := token.Rotate(Rotation{Overlap: 3 * time.Hour}, at(8*time.Hour))
	if err != nil || second.Accessor != token.Accessor || second.Scope.String() != "zones east" || second.Rate != 3 || !second.CreatedAt.Equal(made) {
		t.Fatalf("%+v, %v", second, err)
	}
	for _, c := range []struct {
		what      string
		got, want bool
	}{
		{"the old one, before its own end", works(second, first, at(10*time.Hour-1)), true},
		{"the old one, at its own end, within the overlap", works(second, first, at(10*time.Hour)), false},
		{"the new one, as long as the old one lived", works(second, secret2, at(18*time.Hour-1)), true},
		{"the new one, after that", works(second, secret2, at(18*time.Hour)), false},
	} {
		if c.got != c.want {
			t.Errorf("%s: %v, want %v", c.what, c.got, c.want)
		}
	}
	if until := second.OverlapUntil(at(8 * time.Hour)); !until.Equal(at(10*time.Hour)) || !second.OverlapUntil(at(10*time.Hour)).IsZero() {
		t.Errorf("the overlap is until %s", until)
	}
	third, _, err := second.Rotate(Rotation{Overlap: time.Hour, MaxLife: 5 * time.Hour, NotAfter: at(12 * time.Hour)}, at(9*time.Hour))
	if err != nil || !third.ExpiresAt.Equal(at(12*time.Hour)) || !works(third, first, at(10*time.Hour-1)) || !works(third, secret2, at(10*time.Hour-1)) {
		t.Errorf("two old secrets: %+v, %v", third, err)
	}
	if bounded, _, _ := second.Rotate(Rotation{MaxLife: 5 * time.Hour}, at(9*time.Hour)); !bounded.ExpiresAt.Equal(at(14*time.Hour)) || works(bounded, secret2, at(9*time.Hour)) {
		t.Errorf("bounded, without overlap: %+v", bounded)
	}
	forever, _ := NewToken(TokenRequest{Name: "n", Role: Viewer}, made)
	for n := range MaxPrevious + 1 {
		rotated, _, err := forever.Rotate(Rotation{Overlap: time.Hour}, at(time.Minute))
		if (err == nil) != (n < MaxPrevious) {
			t.Fatalf("rotation %d: %v", n, err)
		}
		forever = rotated
	}
	if ended, _, err := forever.Rotate(Rotation{}, at(time.Minute)); err != nil || len(ended.Previous) > 0 || !ended.ExpiresAt.IsZero() {
		t.Errorf("%+v, %v", ended, err)
	}
	if later, _, err := forever.Rotate(Rotation{Overlap: time.Minute}, at(2*time.Hour)); err != nil || len(later.Previous) != 1 {
		t.Errorf("after the overlaps: %+v, %v", later, err)
	}
	for _, overlap := range []time.Duration{-1, MaxOverlap + 1} {
		if _, _, err := token.Rotate(Rotation{Overlap: overlap}, made); err == nil || !strings.Contains(err.Error(), "overlap") {
			t.Errorf("overlap %s: %v", overlap, err)
		}
	}
}

// TestWhatReachesEverythingIsForNoScope: also operations that the table lacks.
func TestWhatReachesEverythingIsForNoScope(t *testing.T) {
	scope := Scope{Zones: []string{"east"}}
	for operation, want := range map[string]bool{"newOperation": false, "takeOverInstallation": false, "putZone": true, "getSelf": true, "login": true} {
		if r := RuleFor(operation); r.Reaches(scope) != want || !r.Reaches(Scope{}) {
			t.Errorf("%s: %+v", operation, r)
		}
	}
}

// TestATokenOfBeforeReachesEverything: its record has no scope, and none is written for it.
func TestATokenOfBeforeReachesEverything(t *testing.T) {
	record := `{"accessor":"tk-1","name":"portal","role":"launcher","hash":"` + Hash("grt_old") + `","created_at":"2026-11-24T06:20:00Z","rate":5}`
	var token Token
	if err := json.Unmarshal([]byte(record), &token); err != nil {
		t.Fatal(err)
	}
	found, ok := NewTokens([]Token{token}, 1, nil).Find("grt_old")
	if c := found.Caller(); !ok || !c.SeesAll() || !c.Scope.IsZero() || !c.Stored() || found.Expired(time.Now()) {
		t.Errorf("%+v", c)
	}
	if again, err := json.Marshal(token); err != nil || string(again) != record {
		t.Errorf("%s, %v", again, err)
	}
}
