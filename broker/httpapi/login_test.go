package httpapi_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// loginGuard is a guard with one token of a role, and logins.
func loginGuard(role access.Role) (g access.Guard, secret string) {
	token, secret := access.NewToken(access.TokenRequest{Name: "operators", Role: role}, time.Now())
	tokens := access.NewTokens([]access.Token{token}, 1, nil)
	return access.Guard{
		On: true, Tokens: func() *access.Tokens { return tokens },
		Keys: func(context.Context) (staging.SigningKeys, error) {
			return staging.SigningKeys{{Key: []byte("shared by all brokers")}}, nil
		},
	}, secret
}

func cookies(a answer) []*http.Cookie { return (&http.Response{Header: a.header}).Cookies() }

const ownOrigin, ownHost = "http://desk.example.org", "desk.example.org"

// TestALoginIsACookieThatScriptsCannotRead: every broker accepts it in place of the token,
// for requests of the page itself, and for none that another page makes the browser send.
func TestALoginIsACookieThatScriptsCannotRead(t *testing.T) {
	g, secret := loginGuard(access.Admin)
	guarded := func(o *httpapi.Options) { o.Guard = g }
	e, other := newEdge(t, newFake(), guarded), newEdge(t, newFake(), guarded)
	at := func(r *http.Request) { r.Host = ownHost }

	if got := e.do("POST", "/v1/login", `{"token":"grt_wrong"}`, at, header("Origin", ownOrigin)); got.status != 401 || got.problem(t).Errors[0].Field != "token" || len(cookies(got)) != 0 {
		t.Errorf("a wrong token: %d %s", got.status, got.body)
	}
	for _, from := range []string{"https://evil.example", "http://session.desk.example.org", "http://desk.example.org:10107", "null"} {
		if got := e.do("POST", "/v1/login", `{"token":"`+secret+`"}`, at, header("Origin", from)); got.status != 403 || got.problem(t).Code != "cross_origin" {
			t.Errorf("another page logs in: %d %s", got.status, got.body)
		}
	}
	got := e.do("POST", "/v1/login", `{"token":"`+secret+`"}`, at, header("Origin", ownOrigin))
	if got.status != 204 || len(cookies(got)) != 1 {
		t.Fatalf("%d %s %v", got.status, got.body, got.header)
	}
	c := cookies(got)[0]
	if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Secure || c.Path != "/" || c.Domain != "" ||
		c.MaxAge != int(access.LoginLife.Seconds()) || strings.Contains(c.Value, secret) {
		t.Errorf("the cookie is %s", c)
	}
	if strings.Contains(e.log.String(), secret) || strings.Contains(e.log.String(), c.Value) {
		t.Error("the log has the token, or the login")
	}
	with := func(r *http.Request) { r.Host = ownHost; r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value}) }

	if got := other.do("GET", "/v1/self", "", with); got.status != 200 || !strings.Contains(string(got.body), `"role":"admin"`) {
		t.Errorf("at another broker: %d %s", got.status, got.body)
	}
	const zone = `{"datacenters":["dc1"]}`
	for name, adjust := range map[string][]func(*http.Request){
		"its origin":            {header("Origin", ownOrigin)},
		"the browser's word":    {header("Sec-Fetch-Site", "same-origin"), header("Origin", "https://what.a.proxy.made.of.it")},
		"a bearer token beside": {header("Authorization", "Bearer "+secret)},
	} {
		if got := other.do("PUT", "/v1/zones/east", zone, append(adjust, with)...); got.status != 201 && got.status != 200 {
			t.Errorf("the page itself, by %s: %d %s", name, got.status, got.body)
		}
	}
	for name, adjust := range map[string][]func(*http.Request){
		"another site":              {header("Origin", "https://evil.example"), header("Sec-Fetch-Site", "cross-site")},
		"a session on another port": {header("Origin", "http://desk.example.org:10107"), header("Sec-Fetch-Site", "same-site")},
		"an old browser elsewhere":  {header("Origin", "https://evil.example")},
		"nobody says":               {},
	} {
		if got := other.do("DELETE", "/v1/zones/east", "", append(adjust, with)...); got.status != 403 || got.problem(t).Code != "cross_origin" {
			t.Errorf("a call from %s: %d %s", name, got.status, got.body)
		}
	}
	wrong := func(r *http.Request) { r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value[:20]}) }
	if got := e.do("GET", "/v1/self", "", wrong); got.status != 401 {
		t.Errorf("half a cookie: %d %s", got.status, got.body)
	}
	got = e.do("DELETE", "/v1/login", "", with, header("Origin", ownOrigin))
	if got.status != 204 || len(cookies(got)) != 1 || cookies(got)[0].MaxAge >= 0 || cookies(got)[0].Value != "" {
		t.Errorf("logging out: %d %v", got.status, got.header)
	}
}

// TestALoginOverTLS: the cookie is sent over TLS only, and no other host can set it.
func TestALoginOverTLS(t *testing.T) {
	g, secret := loginGuard(access.Viewer)
	e := newEdge(t, newFake(), func(o *httpapi.Options) { o.Guard = g })
	over := func(r *http.Request) { r.TLS = &tls.ConnectionState{} }
	got := e.do("POST", "/v1/login", `{"token":"`+secret+`"}`, over)
	c := cookies(got)[0]
	if !c.Secure || c.Name != "__Host-greenroom_login" || c.Path != "/" || c.Domain != "" {
		t.Errorf("the cookie is %s", c)
	}
	with := func(r *http.Request) { r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value}) }
	if got := e.do("GET", "/v1/self", "", over, with); got.status != 200 {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := e.do("GET", "/v1/self", "", with); got.status != 401 {
		t.Errorf("without TLS: %d %s", got.status, got.body)
	}
}

// TestALoginNeedsItsSecret: while the secret cannot be read, no token is called wrong.
func TestALoginNeedsItsSecret(t *testing.T) {
	g, secret := loginGuard(access.Viewer)
	g.Keys = func(context.Context) (staging.SigningKeys, error) { return nil, errors.New("no leader") }
	e := newEdge(t, newFake(), func(o *httpapi.Options) { o.Guard = g })
	if got := e.do("POST", "/v1/login", `{"token":"`+secret+`"}`); got.status != 503 || got.problem(t).Code != "consul_unavailable" {
		t.Errorf("%d %s", got.status, got.body)
	}
	with := func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "greenroom_login", Value: "AAAA"}) }
	if got := e.do("GET", "/v1/self", "", with); got.status != 503 {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// TestWithoutAccessNobodyLogsIn: the page opens without a login, with every right.
func TestWithoutAccessNobodyLogsIn(t *testing.T) {
	e := newEdge(t, newFake())
	if got := e.do("GET", "/v1/self", ""); got.status != 200 || !strings.Contains(string(got.body), `"guarded":false`) || !strings.Contains(string(got.body), `"role":"admin"`) {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := e.do("POST", "/v1/login", `{"token":"x"}`); got.status != 204 || len(cookies(got)) != 0 {
		t.Errorf("%d %v", got.status, got.header)
	}
}
