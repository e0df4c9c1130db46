package httpapi_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/internal/access"
)

// TestALockedUserIsRefusedEverywhere: by the user's own tokens and by logins that there were
// before, with a code of its own, until the user is unlocked. The refusal does not say why.
func TestALockedUserIsRefusedEverywhere(t *testing.T) {
	const own = "a.user.x"
	f := newFake()
	locks := f.broker().UserLocks.(fakeUserLocks)
	g, secret := loginGuard(access.Admin)
	g.Issuer = canned{own: {Role: access.User, Subject: "u 1/x"}, "b.user.x": {Role: access.User, Subject: "u-2"}}
	g.UserLocks = locks.locks
	e := newEdge(t, f, func(o *httpapi.Options) { o.Guard = g })
	at := func(r *http.Request) { r.Host = ownHost }
	login := func() answer {
		return e.do("POST", "/v1/login", `{"token":"`+own+`"}`, at, header("Origin", ownOrigin))
	}
	before := login()
	if before.status != 204 {
		t.Fatalf("%d %s", before.status, before.body)
	}
	cookie := cookies(before)[0]
	withLogin := func(r *http.Request) { at(r); r.AddCookie(&http.Cookie{Name: cookie.Name, Value: cookie.Value}) }
	admin := header("Authorization", "Bearer "+secret)

	got := e.do("POST", "/v1/locked-users", `{"user_id":"u 1/x","reason":"suspected"}`, admin)
	var made httpapi.LockedUserResult
	if err := json.Unmarshal(got.body, &made); err != nil || got.status != 201 || made.UserID != "u 1/x" || made.Reason != "suspected" ||
		!strings.HasPrefix(made.LockedBy, "token:tk-") || made.LockedAt.IsZero() || len(made.EndedSessions) != 1 {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := e.do("POST", "/v1/locked-users", `{"user_id":"u 1/x"}`, admin); got.status != 200 {
		t.Errorf("locked again: %d %s", got.status, got.body)
	}
	if list := e.do("GET", "/v1/locked-users", "", admin); list.status != 200 || !strings.Contains(string(list.body), "u 1/x") {
		t.Errorf("%d %s", list.status, list.body)
	}
	f.audits = nil
	refused := map[string]answer{
		"a launch": e.do("POST", "/v1/sessions", `{"image":"demo","zone":"east"}`, header("Authorization", "Bearer "+own)),
		"a list":   e.do("GET", "/v1/sessions", "", header("Authorization", "Bearer "+own)),
		"a login":  login(), "a login of before": e.do("GET", "/v1/self", "", withLogin),
	}
	for what, got := range refused {
		got.expect(t, 403, "user_locked")
		if p := got.problem(t); strings.Contains(p.Detail, "suspected") {
			t.Errorf("%s: %s", what, p.Detail)
		}
	}
	if len(f.audits) != len(refused) {
		t.Errorf("%d of %d refusals are audited", len(f.audits), len(refused))
	}
	if got := e.do("GET", "/v1/sessions", "", header("Authorization", "Bearer b.user.x")); got.status != 200 {
		t.Errorf("another user: %d %s", got.status, got.body)
	}

	if got := e.do("DELETE", "/v1/locked-users?user_id=u+1%2Fx", "", admin); got.status != 204 {
		t.Errorf("unlock: %d %s", got.status, got.body)
	}
	e.do("DELETE", "/v1/locked-users?user_id=u+1%2Fx", "", admin).expect(t, 404, "not_found")
	if got := e.do("GET", "/v1/self", "", withLogin); got.status != 200 {
		t.Errorf("the login after the unlock: %d %s", got.status, got.body)
	}
	e.do("POST", "/v1/locked-users", `{"user_id":""}`, admin).expect(t, 422, "invalid_field", "user_id")
	e.do("POST", "/v1/locked-users", `{"user_id":"u","reason":"`+strings.Repeat("x", 1025)+`"}`, admin).expect(t, 422, "invalid_field", "reason")
	e.do("DELETE", "/v1/locked-users", "", admin).expect(t, 400, "invalid_parameter")
}

// TestABrokerThatHasNotReadTheLocksRefusesUsers with a code that says to repeat: a locked user
// must not come in by a broker that was just started.
func TestABrokerThatHasNotReadTheLocksRefusesUsers(t *testing.T) {
	token, secret := access.NewToken(access.TokenRequest{Name: "portal", Role: access.Launcher}, time.Now())
	tokens := access.NewTokens([]access.Token{token}, 1, nil)
	e := newEdge(t, newFake(), func(o *httpapi.Options) {
		o.Guard = access.Guard{
			On: true, Tokens: func() *access.Tokens { return tokens }, UserLocks: func() *access.UserLocks { return nil },
			Issuer: canned{"a.user.x": {Role: access.User, Subject: "u-1"}},
		}
	})
	got := e.do("GET", "/v1/sessions", "", header("Authorization", "Bearer a.user.x"))
	got.expect(t, 503, "consul_unavailable")
	if got.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	if got := e.do("GET", "/v1/sessions", "", header("Authorization", "Bearer "+secret)); got.status != 200 {
		t.Errorf("a stored token: %d %s", got.status, got.body)
	}
}
