package access

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

func TestClaimsBecomeACaller(t *testing.T) {
	m := Mapping{
		User: "sub", Groups: "groups", Role: "realm_access.roles",
		Roles: map[string]Role{"ops": Admin, "portal": Launcher, "watch": Viewer},
	}
	roles := func(values ...any) map[string]any {
		return map[string]any{"sub": "u-1", "realm_access": map[string]any{"roles": values}}
	}
	for what, tt := range map[string]struct {
		claims map[string]any
		want   Role
	}{
		"no role":           {map[string]any{"sub": "u-1"}, User},
		"a role not mapped": {roles("admin"), User},
		"one":               {roles("watch"), Viewer},
		"the most powerful": {roles("watch", "ops", "portal"), Admin},
		"not a string":      {roles(1, map[string]any{"ops": true}), User},
		"a name with dots":  {map[string]any{"sub": "u-1", "realm_access.roles": "portal"}, Launcher},
	} {
		if c, err := m.Caller(tt.claims); err != nil || c.Role != tt.want || c.Subject != "u-1" {
			t.Errorf("%s: %+v, %v", what, c, err)
		}
	}
	for what, claims := range map[string]map[string]any{
		"none": {}, "empty": {"sub": ""}, "a number": {"sub": 7.0}, "a list": {"sub": []any{"u-1"}}, "NUL": {"sub": "u\x00"},
	} {
		if c, err := m.Caller(claims); err == nil {
			t.Errorf("a user that is %s is accepted as %+v", what, c)
		}
	}
	c, err := m.Caller(map[string]any{"sub": "u-1", "name": "Alice", "groups": []any{"students", "staff"}})
	if err != nil || c.UserName != "Alice" || !slices.Equal(c.Groups, []string{"students", "staff"}) {
		t.Errorf("%+v, %v", c, err)
	}
}

// TestARequiredClaim: a token without it, or with another value, is refused, and the refusal
// names the claim. A list has the value among others.
func TestARequiredClaim(t *testing.T) {
	m := Mapping{User: "sub", Required: map[string]string{"org.id": "acme", "email_verified": "true"}}
	org := func(v any) map[string]any {
		return map[string]any{"sub": "u-1", "email_verified": true, "org": map[string]any{"id": v}}
	}
	for what, claims := range map[string]map[string]any{
		"one value": org("acme"), "a list": org([]any{"other", "acme"}),
		"text for a bool": {"sub": "u-1", "email_verified": "true", "org.id": "acme"},
	} {
		if _, err := m.Caller(claims); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, c := range map[string]struct {
		claims map[string]any
		names  string
	}{
		"none":          {map[string]any{"sub": "u-1", "email_verified": true}, "org.id"},
		"another":       {org("acme2"), "org.id"},
		"an empty list": {org([]any{}), "org.id"},
		"others":        {org([]any{"other", "acme "}), "org.id"},
		"an object":     {org(map[string]any{"acme": true}), "org.id"},
		"null":          {org(nil), "org.id"},
		"false":         {map[string]any{"sub": "u-1", "email_verified": false, "org.id": "acme"}, "email_verified"},
	} {
		caller, err := m.Caller(c.claims)
		var refused *RefusedError
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), `"`+c.names+`"`) || strings.Contains(err.Error(), "acme") {
			t.Errorf("%s: %+v, %v", what, caller, err)
		}
	}
}

// TestOnlyGroupsWithThePrefixCount, and their names are without it.
func TestOnlyGroupsWithThePrefixCount(t *testing.T) {
	m := Mapping{User: "sub", Groups: "groups", GroupsPrefix: "greenroom-"}
	claims := map[string]any{"sub": "u-1", "groups": []any{"students", "greenroom-staff", "greenroom-", "x-greenroom-staff", "greenroom-greenroom-a", 3.0}}
	if c, err := m.Caller(claims); err != nil || !slices.Equal(c.Groups, []string{"staff", "greenroom-a"}) {
		t.Errorf("%q, %v", c.Groups, err)
	}
}

// TestALoginKeepsTheClaimsThatMakeItsCaller: what a cookie has of the claims makes the same
// caller, without the groups that count for users alone, and has little else.
func TestALoginKeepsTheClaimsThatMakeItsCaller(t *testing.T) {
	roles := map[string]Role{"ops": Admin, "desk": Viewer}
	required := map[string]string{"org.id": "acme"}
	claims := func(role any) Claims {
		return Claims{
			"sub": "u-1", "name": "Alice", "email": "alice@example.org", "org": map[string]any{"id": []any{"x", "acme"}, "size": 3.0},
			"groups": []any{"gr-staff", "secret-project"}, "realm_access": map[string]any{"roles": role}, "all": []any{"acme", "ops", "gr-staff"},
		}
	}
	for what, tt := range map[string]struct {
		m      Mapping
		claims Claims
	}{
		"an operator":         {Mapping{User: "sub", Groups: "groups", Role: "realm_access.roles", Roles: roles, Required: required}, claims([]any{"other", "desk", "ops"})},
		"a user":              {Mapping{User: "sub", Groups: "groups", GroupsPrefix: "gr-", Role: "realm_access.roles", Roles: roles, Required: required}, claims("other")},
		"no roles":            {Mapping{User: "sub", Groups: "groups"}, claims(nil)},
		"one claim for all":   {Mapping{User: "sub", Groups: "all", GroupsPrefix: "gr-", Role: "all", Roles: roles, Required: map[string]string{"all": "acme"}}, claims(nil)},
		"a user of one claim": {Mapping{User: "sub", Groups: "all", Required: map[string]string{"all": "acme"}}, claims(nil)},
		"a name as the id":    {Mapping{User: "name", Required: map[string]string{"name": "Alice"}}, claims(nil)},
	} {
		want, err := tt.m.Caller(tt.claims)
		if err != nil {
			t.Fatal(what, err)
		}
		kept, err := tt.m.Keep(tt.claims)
		if err != nil {
			t.Fatal(what, err)
		}
		text, err := json.Marshal(kept)
		if err != nil {
			t.Fatal(what, err)
		}
		var again Claims
		if err := json.Unmarshal(text, &again); err != nil {
			t.Fatal(what, err)
		}
		if want.Role != User {
			want.Groups = nil
		}
		slices.Sort(want.Groups)
		for _, c := range []Claims{kept, again} {
			got, err := tt.m.Caller(c)
			slices.Sort(got.Groups)
			if want.Role != User {
				got.Groups = nil
			}
			got.Groups, want.Groups = slices.Compact(got.Groups), slices.Compact(want.Groups)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s: %s makes %+v, %v, want %+v", what, text, got, err, want)
			}
		}
		if s := string(text); strings.Contains(s, "alice@example.org") || strings.Contains(s, "size") || want.Role != User && strings.Contains(s, "secret-project") {
			t.Errorf("%s: the cookie has more than the caller needs: %s", what, text)
		}
	}
	if _, err := (Mapping{User: "sub", Required: map[string]string{"org.id": "other"}}).Keep(claims(nil)); FailureOf(err) != LoginClaims {
		t.Error(err)
	}
}

func TestATokenEndsAtItsTime(t *testing.T) {
	made := time.Now()
	token, secret := NewToken(TokenRequest{Name: "n", Role: Viewer, ExpiresIn: staging.Duration(time.Minute)}, made)
	tokens := NewTokens([]Token{token}, 1, nil)
	g := Guard{On: true, Tokens: func() *Tokens { return tokens }}
	if c, err := g.Identify(t.Context(), secret, token.ExpiresAt.Add(-time.Nanosecond)); err != nil || c.Role != Viewer {
		t.Errorf("before: %+v, %v", c, err)
	}
	if _, err := g.Identify(t.Context(), secret, token.ExpiresAt); !errors.Is(err, ErrExpired) {
		t.Errorf("at its time: %v", err)
	}
}

func TestAnOperationThatIsNotInTheTableIsTheAdministrators(t *testing.T) {
	for _, role := range []Role{Launcher, Viewer, User, ""} {
		if RuleFor("newOperation").Allows(role) {
			t.Errorf("%q may call it", role)
		}
	}
	if !RuleFor("newOperation").Allows(Admin) {
		t.Error("an administrator may not call it")
	}
}

func TestIdempotencyKeysAreTheCallersOwn(t *testing.T) {
	for _, c := range []struct {
		caller Caller
		want   string
	}{
		{Caller{Role: User, Subject: "u-1"}, "user:u-1"},
		{Caller{Role: Launcher, Accessor: "tk-1"}, "token:tk-1"},
		{Caller{Role: Launcher, Subject: "portal"}, "user:portal"},
		{Caller{Role: Admin, Accessor: "tk-2"}, ""},
		{Caller{Role: Admin, Subject: "ada"}, ""},
		{Anybody, ""},
	} {
		if got := c.caller.KeyScope(); got != c.want {
			t.Errorf("%+v: %q, want %q", c.caller, got, c.want)
		}
	}
}

func TestHideReplacesTokens(t *testing.T) {
	_, secret := NewToken(TokenRequest{Name: "n", Role: Viewer}, time.Now())
	jwt := "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ1LTEifQ.c2ln"
	for text, want := range map[string]string{
		"/v1/tokens/" + secret:               "/v1/tokens/(hidden)",
		"GET /v1/" + jwt + "/x":              "GET /v1/(hidden)/x",
		"/v1/tokens/tk-0f3a9c51d2e84b7760aa": "/v1/tokens/tk-0f3a9c51d2e84b7760aa",
		"/v1/zones/grt_east":                 "/v1/zones/grt_east",
	} {
		if got := Hide(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}
