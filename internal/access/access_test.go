package access

import (
	"errors"
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
