package httpapi_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/internal/access"
)

// TestBootstrapIsClosedWhereThereAreAdministrators: it would make everybody an administrator.
func TestBootstrapIsClosedWhereThereAreAdministrators(t *testing.T) {
	for what, tt := range map[string]struct {
		guard access.Guard
		want  int
	}{
		"access alone":                     {access.Guard{On: true}, 201},
		"not guarded":                      {access.Guard{}, 201},
		"GREENROOM_TOKEN":                  {access.Guard{On: true, Agent: access.Hash("t")}, 401},
		"an issuer with administrators":    {access.Guard{On: true, Issuer: canned{}, AdminsElsewhere: true}, 401},
		"an issuer without administrators": {access.Guard{On: true, Issuer: canned{}}, 201},
	} {
		f := newFake()
		e := newEdge(t, f, func(o *httpapi.Options) { o.Guard = tt.guard })
		if got := e.do("POST", "/v1/bootstrap", ""); got.status != tt.want {
			t.Errorf("%s: %d %s", what, got.status, got.body)
		}
	}
	e := newEdge(t, newFake())
	e.do("POST", "/v1/bootstrap", "")
	e.do("POST", "/v1/bootstrap", "").expect(t, 409, "already_bootstrapped")
}

// TestATokensRateBoundsItsLaunches, and no other token's.
func TestATokensRateBoundsItsLaunches(t *testing.T) {
	slow, slowSecret := access.NewToken(access.TokenRequest{Name: "slow", Role: access.Launcher, Rate: 1.0 / 600}, time.Now())
	other, otherSecret := access.NewToken(access.TokenRequest{Name: "other", Role: access.Launcher}, time.Now())
	tokens := access.NewTokens([]access.Token{slow, other}, 1, nil)
	e := newEdge(t, newFake(), func(o *httpapi.Options) {
		o.Guard = access.Guard{On: true, Tokens: func() *access.Tokens { return tokens }}
	})
	if got := e.do("POST", "/v1/sessions", launchBody, header("Authorization", "Bearer "+slowSecret)); got.status != 201 {
		t.Fatalf("the first: %d %s", got.status, got.body)
	}
	for range 3 {
		got := e.do("POST", "/v1/sessions", launchBody, header("Authorization", "Bearer "+slowSecret))
		got.expect(t, 429, "rate_limited")
		if after := got.header.Get("Retry-After"); after != "600" && after != "599" {
			t.Errorf("Retry-After %q: one that was refused must not put the next off", after)
		}
		if got := e.do("GET", "/v1/sessions", "", header("Authorization", "Bearer "+slowSecret)); got.status != 200 {
			t.Errorf("reading is bounded as well: %d", got.status)
		}
		if got := e.do("POST", "/v1/sessions", launchBody, header("Authorization", "Bearer "+otherSecret)); got.status != 201 {
			t.Errorf("another's launch: %d", got.status)
		}
	}
}

// TestASecretIsToldOnce: only the answer that created a token has its secret; none has its
// hash.
func TestASecretIsToldOnce(t *testing.T) {
	f := newFake()
	e := newEdge(t, f)
	var made httpapi.CreatedToken
	got := e.do("POST", "/v1/tokens", `{"name":"portal","role":"launcher","expires_in":"720h","rate":0.5}`)
	if err := json.Unmarshal(got.body, &made); err != nil {
		t.Fatal(err)
	}
	if got.status != 201 || len(made.Secret) < 43 || made.Rate != 0.5 || made.ExpiresAt.IsZero() || got.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %s", got.status, got.body)
	}
	list := string(e.do("GET", "/v1/tokens", "").body)
	if !strings.Contains(list, made.Accessor) || strings.Contains(list, made.Secret) || strings.Contains(list, access.Hash(made.Secret)) {
		t.Errorf("the list: %s", list)
	}
	if got := e.do("DELETE", "/v1/tokens/"+made.Accessor, ""); got.status != 204 {
		t.Errorf("revoke: %d", got.status)
	}
	e.do("DELETE", "/v1/tokens/"+made.Accessor, "").expect(t, 404, "not_found")
	for body, field := range map[string]string{
		`{"name":"","role":"viewer"}`:                     "name",
		`{"name":"n","role":"user"}`:                      "role",
		`{"name":"n","role":"root"}`:                      "role",
		`{"name":"n","role":"viewer","rate":-1}`:          "rate",
		`{"name":"n","role":"viewer","rate":1e9}`:         "rate",
		`{"name":"n","role":"viewer","expires_in":"-1h"}`: "expires_in",
	} {
		e.do("POST", "/v1/tokens", body).expect(t, 422, "invalid_field", field)
	}
	if got := string(e.do("POST", "/v1/tokens", `{"name":"n","role":"viewer","rate":-2,"expires_in":"-90m"}`).body); !strings.Contains(got, "is -2") || !strings.Contains(got, "is -1h30m") {
		t.Errorf("the values are not named: %s", got)
	}
	e.do("POST", "/v1/tokens", `{"name":"n","role":"viewer","rate":"5"}`).expect(t, 400, "invalid_type", "rate")
}

// TestATokenInAPathIsNotWritten: callers mistake a token for its accessor, or for a name.
// Neither the log nor an audit record may contain it.
func TestATokenInAPathIsNotWritten(t *testing.T) {
	admin, secret := access.NewToken(access.TokenRequest{Name: "n", Role: access.Admin}, time.Now())
	tokens := access.NewTokens([]access.Token{admin}, 1, nil)
	f := newFake()
	e := newEdge(t, f, func(o *httpapi.Options) {
		o.Guard = access.Guard{On: true, Tokens: func() *access.Tokens { return tokens }}
	})
	mine := header("Authorization", "Bearer "+secret)
	e.do("DELETE", "/v1/tokens/"+secret, "", mine)
	e.do("GET", "/v1/sessions/"+secret, "", mine)
	e.do("GET", "/v1/sessions/"+secret, "")
	e.do("GET", "/v1/"+secret, "")
	e.do("GET", "/v1/zones", "", header("X-Request-Id", secret))
	if log := e.log.String(); strings.Contains(log, secret) || !strings.Contains(log, "/v1/tokens/(hidden)") {
		t.Errorf("the log:\n%s", log)
	}
	if records := fmt.Sprint(f.audits); strings.Contains(records, secret) || !strings.Contains(records, "(hidden)") {
		t.Errorf("the audit records are %s", records)
	}
}
