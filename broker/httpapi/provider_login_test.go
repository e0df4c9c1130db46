package httpapi_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/issuer"
	"github.com/greenroom/greenroom/internal/issuer/issuertest"
)

const siteURL = "https://greenroom.example.org/desk"

// loginKey signs the ID tokens of all tests: to make one takes long.
var loginKey struct {
	sync.Once
	issuertest.Key
}

// loginSite is an installation with an identity provider: brokers are edges of one guard.
type loginSite struct {
	t        *testing.T
	provider *issuertest.Provider
	options  func(*httpapi.Options)
	fake     *fake
	broker   *edge
}

func newLoginSite(t *testing.T, change ...func(*access.Guard)) *loginSite {
	t.Helper()
	p := issuertest.New(t)
	client := issuertest.Client{ID: "gr", Secret: "the-clients-secret", Redirect: httpapi.LoginCallback(siteURL)}
	var many []string
	for range 400 {
		many = append(many, "a group with a long name")
	}
	loginKey.Do(func() { loginKey.Key = issuertest.NewKey(t, "k") })
	p.LogsIn(loginKey.Key, client, map[string]map[string]any{
		"alice": {"sub": "u-alice", "name": "Alice", "roles": []string{"ops"}},
		"bob":   {"sub": "u-bob", "name": "Bob"},
		"many":  {"sub": "u-many", "groups": many},
		"none":  {"name": "Nobody"},
	})
	g, _ := loginGuard(access.Admin)
	g.Provider = issuer.New(issuer.Settings{
		URL: p.URL(), Audience: "greenroom",
		Mapping: access.Mapping{User: "sub", Groups: "groups", Role: "roles", Roles: map[string]access.Role{"ops": access.Admin}},
		Login:   &issuer.LoginSettings{ClientID: client.ID, ClientSecret: client.Secret, Redirect: client.Redirect, Name: "Example SSO"},
	})
	for _, c := range change {
		c(&g)
	}
	at, err := url.Parse(siteURL)
	if err != nil {
		t.Fatal(err)
	}
	s := &loginSite{t: t, provider: p, fake: newFake(), options: func(o *httpapi.Options) { o.Guard, o.External = g, at }}
	s.broker = newEdge(t, s.fake, s.options)
	return s
}

// browser keeps cookies, as a browser does that has the site open.
type browser struct {
	site    *loginSite
	cookies map[string]*http.Cookie
}

func (s *loginSite) browser() *browser { return &browser{s, map[string]*http.Cookie{}} }

// opens follows a link to a path of a broker, and returns the answer.
func (b *browser) opens(broker *edge, path string, adjust ...func(*http.Request)) answer {
	b.site.t.Helper()
	got := broker.do("GET", path, "", append(adjust, func(r *http.Request) {
		r.RemoteAddr = "192.0.2.1:9"
		for _, c := range b.cookies {
			r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
		}
	})...)
	for _, c := range cookies(got) {
		if b.cookies[c.Name] = c; c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		}
	}
	return got
}

// begins begins a login and returns the provider's URL.
func (b *browser) begins(path string) string {
	b.site.t.Helper()
	got := b.opens(b.site.broker, path)
	at := got.header.Get("Location")
	if got.status != 303 || !strings.HasPrefix(at, b.site.provider.URL()+"/auth?") {
		b.site.t.Fatalf("%s: %d to %q", path, got.status, at)
	}
	return at
}

// returns is the path and query with which the provider leads a user's browser back.
func (b *browser) returns(at, user string) string {
	b.site.t.Helper()
	back := b.site.provider.SignIn(b.site.t, at, user)
	return back.Path[len("/desk"):] + "?" + back.RawQuery
}

// leads checks where an answer leads a browser, and that nothing of the login goes there.
func (b *browser) leads(what string, got answer, want string) {
	b.site.t.Helper()
	at := got.header.Get("Location")
	if got.status != 303 || at != want || len(got.body) > 0 {
		b.site.t.Errorf("%s: %d to %q, want %q; %s", what, got.status, at, want, got.body)
	}
	if got.header.Get("Referrer-Policy") != "no-referrer" || got.header.Get("Cache-Control") != "no-store" {
		b.site.t.Errorf("%s: %v", what, got.header)
	}
	written := at + b.site.broker.log.String()
	for _, secret := range append(b.site.provider.Secrets(), "the-clients-secret", "invented") {
		if secret != "" && strings.Contains(written, secret) {
			b.site.t.Errorf("%s: %q is written: %s", what, secret, written)
		}
	}
}

const failedAt = siteURL + "/ui/#login-failed="

func (b *browser) who(broker *edge) (int, string) {
	got := b.opens(broker, "/v1/self")
	return got.status, string(got.body)
}

// TestALoginWithTheProvider: it begins at one broker and ends at another, leads back to the view
// that was asked for, and is the cookie that a login with a token is.
func TestALoginWithTheProvider(t *testing.T) {
	s := newLoginSite(t)
	b, other := s.browser(), newEdge(t, s.fake, s.options)
	if got := s.broker.do("GET", "/v1/login", ""); got.status != 200 ||
		string(got.body) != `{"provider":{"name":"Example SSO","url":"`+siteURL+`/v1/login/oidc"}}`+"\n" {
		t.Errorf("%d %s", got.status, got.body)
	}
	at := b.begins("/v1/login/oidc?view=" + url.QueryEscape("/sessions?user=u%2F1"))
	attempt := b.cookies["__Host-greenroom_login_attempt"]
	if attempt == nil || !attempt.HttpOnly || !attempt.Secure || attempt.SameSite != http.SameSiteLaxMode || attempt.Path != "/" ||
		attempt.Domain != "" || attempt.MaxAge != 600 || len(b.cookies) != 1 {
		t.Fatalf("the attempt is %s", attempt)
	}
	if state := mustQuery(t, at).Get("state"); strings.Contains(attempt.Value, state) {
		t.Error("the attempt is not sealed")
	}
	// What leads the browser here is the provider's page.
	got := b.opens(other, b.returns(at, "alice"), header("Sec-Fetch-Site", "cross-site"))
	b.leads("the login", got, siteURL+"/ui/#/sessions?user=u%2F1")
	login := b.cookies["__Host-greenroom_login"]
	if login == nil || !login.HttpOnly || !login.Secure || login.SameSite != http.SameSiteStrictMode || login.Path != "/" ||
		login.Domain != "" || login.MaxAge != int(access.LoginLife.Seconds()) || len(b.cookies) != 1 {
		t.Fatalf("the browser has %v", b.cookies)
	}
	for _, at := range []*edge{s.broker, other} {
		if status, self := b.who(at); status != 200 || self != `{"guarded":true,"name":"Alice","role":"admin","who":"user:u-alice"}`+"\n" {
			t.Errorf("%d %s", status, self)
		}
	}
	if len(s.fake.traced) != 1 || !strings.Contains(s.fake.traced[0], "login of user:u-alice") {
		t.Errorf("the audit has %q", s.fake.traced)
	}
	// What changes something must come from the page, as with every login.
	with := func(r *http.Request) { r.AddCookie(&http.Cookie{Name: login.Name, Value: login.Value}) }
	const zone = `{"datacenters":["dc1"]}`
	if got := other.do("PUT", "/v1/zones/east", zone, with, header("Sec-Fetch-Site", "same-origin")); got.status != 201 {
		t.Errorf("the page: %d %s", got.status, got.body)
	}
	other.do("PUT", "/v1/zones/east", zone, with, header("Origin", "https://evil.example"), header("Sec-Fetch-Site", "cross-site")).expect(t, 403, "cross_origin")
	out := s.broker.do("DELETE", "/v1/login", "", with, header("Sec-Fetch-Site", "same-origin"))
	if out.status != 204 || len(cookies(out)) != 1 || cookies(out)[0].MaxAge >= 0 {
		t.Errorf("logging out: %d %v", out.status, out.header)
	}
	// A user without a role has what a user's own token has.
	user := s.browser()
	user.leads("a user", user.opens(s.broker, user.returns(user.begins("/v1/login/oidc"), "bob")), siteURL+"/ui/")
	if status, self := user.who(other); status != 200 || !strings.Contains(self, `"role":"user"`) {
		t.Errorf("%d %s", status, self)
	}
	user.opens(other, "/v1/status").expect(t, 403, "role_needed")

	// Who comes from the users' page goes back there, also after a login that failed.
	s.broker.do("GET", "/v1/login/oidc?page=https://evil.example", "").expect(t, 400, "invalid_parameter", "page")
	user = s.browser()
	back := user.returns(user.begins("/v1/login/oidc?page=users"), "bob")
	user.leads("a wrong code", user.opens(s.broker, strings.Replace(back, "code=", "code=x", 1)), siteURL+"/#login-failed=refused")
	user.leads("a user", user.opens(s.broker, user.returns(user.begins("/v1/login/oidc?page=users"), "bob")), siteURL+"/")
}

func mustQuery(t *testing.T, at string) url.Values {
	t.Helper()
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query()
}

// TestALoginThatIsNotThisBrowsersIsRefused: each attack leads to the page, which says what to
// do, and no browser is logged in.
func TestALoginThatIsNotThisBrowsersIsRefused(t *testing.T) {
	const attempt = "__Host-greenroom_login_attempt"
	for what, tt := range map[string]struct {
		// attack returns the path that the victim's browser is led to.
		attack func(s *loginSite, victim *browser) string
		why    string
	}{
		"a login that began in another browser": {func(s *loginSite, _ *browser) string {
			attacker := s.browser()
			return attacker.returns(attacker.begins("/v1/login/oidc"), "bob")
		}, "over"},
		"the code of another browser for this state": {func(s *loginSite, victim *browser) string {
			attacker := s.browser()
			theirs, ours := mustQuery(t, attacker.returns(attacker.begins("/v1/login/oidc"), "bob")), mustQuery(t, victim.begins("/v1/login/oidc?view=/zones"))
			return "/v1/login/oidc/callback?" + url.Values{"code": {theirs.Get("code")}, "state": {ours.Get("state")}}.Encode()
		}, "refused/zones"},
		"another state": {func(_ *loginSite, victim *browser) string {
			return victim.returns(victim.begins("/v1/login/oidc?view=/zones"), "alice") + "x"
		}, "over/zones"},
		"two states": {func(_ *loginSite, victim *browser) string {
			back := victim.returns(victim.begins("/v1/login/oidc"), "alice")
			return back + "&state=" + mustQuery(t, "?"+strings.SplitN(back, "?", 2)[1]).Get("state")
		}, "over"},
		"no state": {func(_ *loginSite, victim *browser) string {
			victim.begins("/v1/login/oidc")
			return "/v1/login/oidc/callback?code=invented"
		}, "over"},
		"an attempt that was changed": {func(_ *loginSite, victim *browser) string {
			back := victim.returns(victim.begins("/v1/login/oidc"), "alice")
			victim.cookies[attempt].Value = victim.cookies[attempt].Value[1:]
			return back
		}, "over"},
		"a login as the attempt": {func(_ *loginSite, victim *browser) string {
			victim.opens(victim.site.broker, victim.returns(victim.begins("/v1/login/oidc"), "alice"))
			back := victim.returns(victim.begins("/v1/login/oidc"), "alice")
			victim.cookies[attempt].Value = victim.cookies["__Host-greenroom_login"].Value
			delete(victim.cookies, "__Host-greenroom_login")
			return back
		}, "over"},
		"an answer of another issuer": {func(_ *loginSite, victim *browser) string {
			return strings.Replace(victim.returns(victim.begins("/v1/login/oidc"), "alice"), "iss=http", "iss=https", 1)
		}, "refused"},
		"an ID token without nonce": {func(s *loginSite, victim *browser) string {
			s.provider.Changes(func(claims map[string]any) { delete(claims, "nonce") })
			return victim.returns(victim.begins("/v1/login/oidc"), "alice")
		}, "refused"},
		"an ID token of another login": {func(s *loginSite, victim *browser) string {
			s.provider.Changes(func(claims map[string]any) { claims["nonce"] = "another" })
			return victim.returns(victim.begins("/v1/login/oidc"), "alice")
		}, "refused"},
		"an ID token for another application": {func(s *loginSite, victim *browser) string {
			s.provider.Changes(func(claims map[string]any) { claims["aud"] = "greenroom" })
			return victim.returns(victim.begins("/v1/login/oidc"), "alice")
		}, "refused"},
		"an invented code": {func(_ *loginSite, victim *browser) string {
			state := mustQuery(t, victim.begins("/v1/login/oidc")).Get("state")
			return "/v1/login/oidc/callback?code=invented&state=" + state
		}, "refused"},
		"a user who cancels": {func(_ *loginSite, victim *browser) string {
			return victim.returns(victim.begins("/v1/login/oidc"), "nobody")
		}, "denied"},
		"a user without an id": {func(_ *loginSite, victim *browser) string {
			return victim.returns(victim.begins("/v1/login/oidc"), "none")
		}, "claims"},
		"more groups than a cookie holds": {func(_ *loginSite, victim *browser) string {
			return victim.returns(victim.begins("/v1/login/oidc"), "many")
		}, "long"},
		"an error that the URL brings": {func(_ *loginSite, victim *browser) string {
			state := mustQuery(t, victim.begins("/v1/login/oidc")).Get("state")
			return "/v1/login/oidc/callback?error=<b>call+us</b>&state=" + state
		}, "broken"},
	} {
		t.Run(what, func(t *testing.T) {
			s := newLoginSite(t)
			victim := s.browser()
			got := victim.opens(s.broker, tt.attack(s, victim), header("Sec-Fetch-Site", "cross-site"))
			victim.leads(what, got, failedAt+tt.why)
			if status, self := victim.who(s.broker); status != 401 {
				t.Errorf("the browser is logged in: %s", self)
			}
			if victim.cookies[attempt] != nil {
				t.Error("the attempt may be used again")
			}
			if n := len(s.fake.audits); n == 0 || s.fake.audits[0].Operation != "finishLogin" || s.fake.audits[0].Who != "nobody" {
				t.Errorf("the audit has %+v", s.fake.audits)
			}
		})
	}
}

// TestALoginCannotBeReplayed: neither in the browser that made it, nor by one that copied
// everything of it.
func TestALoginCannotBeReplayed(t *testing.T) {
	s := newLoginSite(t)
	b, thief := s.browser(), s.browser()
	back := b.returns(b.begins("/v1/login/oidc"), "alice")
	for name, c := range b.cookies {
		thief.cookies[name] = c
	}
	b.leads("the login", b.opens(s.broker, back), siteURL+"/ui/")
	b.leads("again, after the browser's way back", b.opens(s.broker, back), failedAt+"over")
	if status, _ := b.who(s.broker); status != 200 {
		t.Errorf("the login itself ended: %d", status)
	}
	thief.leads("by a thief", thief.opens(s.broker, back), failedAt+"refused")
	if status, self := thief.who(s.broker); status != 401 {
		t.Errorf("the thief is logged in: %s", self)
	}
}

// TestALoginTakesTenMinutesAtMost, by every broker's clock.
func TestALoginTakesTenMinutesAtMost(t *testing.T) {
	var guard access.Guard
	s := newLoginSite(t, func(g *access.Guard) { guard = *g })
	b := s.browser()
	back := b.returns(b.begins("/v1/login/oidc"), "alice")
	a := access.NewAttempt("")
	a.State = mustQuery(t, "?"+strings.SplitN(back, "?", 2)[1]).Get("state")
	sealed, err := guard.SealAttempt(t.Context(), a, time.Now().Add(-access.AttemptLife))
	if err != nil {
		t.Fatal(err)
	}
	b.cookies["__Host-greenroom_login_attempt"].Value = sealed
	b.leads("a late login", b.opens(s.broker, back), failedAt+"over")
}

// TestALoginLeadsNowhereElse: whatever a link asks for, the browser stays on the page.
func TestALoginLeadsNowhereElse(t *testing.T) {
	s := newLoginSite(t)
	for _, view := range []string{
		"https://evil.example", "/\\evil.example", "\\evil", "evil", "/a#b", "/<b>", "/%0d%0aSet-Cookie: a=b", "/a\r\nb", "javascript:alert(1)", "/" + strings.Repeat("a", 600),
	} {
		b := s.browser()
		got := b.opens(s.broker, "/v1/login/oidc?view="+url.QueryEscape(view))
		got.expect(t, 400, "invalid_parameter", "view")
	}
	// Behind the page's own # it is a view that there is not.
	there := s.browser()
	there.leads("another host", there.opens(s.broker, there.returns(there.begins("/v1/login/oidc?view=//evil.example"), "alice")), siteURL+"/ui/#//evil.example")
	for name, at := range map[string]string{"an unknown parameter": "?to=https://evil.example", "two views": "?view=/a&view=/b"} {
		if got := s.broker.do("GET", "/v1/login/oidc"+at, ""); got.status != 400 {
			t.Errorf("%s: %d %v", name, got.status, got.header)
		}
	}
	// By no header does a browser come back elsewhere.
	b := s.browser()
	got := b.opens(s.broker, "/v1/login/oidc", header("X-Forwarded-Host", "evil.example"), header("X-Forwarded-Proto", "http"), func(r *http.Request) { r.Host = "evil.example" })
	if to := mustQuery(t, got.header.Get("Location")).Get("redirect_uri"); to != siteURL+"/v1/login/oidc/callback" {
		t.Errorf("the provider leads to %q", to)
	}
}

// TestNoOtherSiteMakesABrowserLogIn: it leads to the page, where a person decides.
func TestNoOtherSiteMakesABrowserLogIn(t *testing.T) {
	s := newLoginSite(t)
	for from, leads := range map[string]bool{"cross-site": true, "same-site": true, "same-origin": false, "none": false} {
		b := s.browser()
		got := b.opens(s.broker, "/v1/login/oidc?view=/zones", header("Sec-Fetch-Site", from))
		if at := got.header.Get("Location"); got.status != 303 || (at == siteURL+"/ui/#/zones") != leads || (len(b.cookies) == 0) != leads {
			t.Errorf("%s: %d to %s with %v", from, got.status, at, b.cookies)
		}
	}
}

// TestLoginsOfAnAddressThatFailAreBounded: past some the provider gets no more of its codes, and
// the log no more lines. Another address logs in.
func TestLoginsOfAnAddressThatFailAreBounded(t *testing.T) {
	s := newLoginSite(t)
	b := s.browser()
	last := answer{}
	for range 40 {
		state := mustQuery(t, b.begins("/v1/login/oidc")).Get("state")
		last = b.opens(s.broker, "/v1/login/oidc/callback?code=invented&state="+state)
	}
	b.leads("the last", last, failedAt+"many")
	if n := s.provider.Count(); n > 2+25 {
		t.Errorf("40 invented codes caused %d requests", n)
	}
	if n := len(s.fake.audits); n > 25 {
		t.Errorf("%d audit records", n)
	}
	elsewhere := s.browser()
	from := func(r *http.Request) { r.RemoteAddr = "198.51.100.7:9" }
	back := elsewhere.returns(elsewhere.begins("/v1/login/oidc"), "alice")
	got := s.broker.do("GET", back, "", from, func(r *http.Request) {
		for _, c := range elsewhere.cookies {
			r.AddCookie(c)
		}
	})
	b.leads("another address", got, siteURL+"/ui/")
}

// TestWrongTokensKeepNobodyFromALogin, from the address of many users.
func TestWrongTokensKeepNobodyFromALogin(t *testing.T) {
	s := newLoginSite(t)
	for range 100 {
		s.broker.do("GET", "/v1/sessions", "", header("Authorization", "Bearer grt_wrong"))
	}
	// What another site makes browsers of the address send belongs to no login.
	stranger := s.browser()
	for range 100 {
		stranger.opens(s.broker, "/v1/login/oidc/callback", header("Sec-Fetch-Site", "cross-site"), header("Sec-Fetch-Dest", "image"))
	}
	if n := len(s.fake.audits); n > 100 {
		t.Errorf("%d audit records", n)
	}
	b := s.browser()
	b.leads("a login beside wrong tokens", b.opens(s.broker, b.returns(b.begins("/v1/login/oidc"), "alice")), siteURL+"/ui/")
}

// TestALoginWhileAServerIsAway: it is to be tried again, and nobody is called a stranger.
func TestALoginWhileAServerIsAway(t *testing.T) {
	s := newLoginSite(t)
	b := s.browser()
	s.provider.Breaks(func(w http.ResponseWriter) { http.Error(w, "no", http.StatusBadGateway) })
	b.leads("the provider at the beginning", b.opens(s.broker, "/v1/login/oidc?view=/zones"), failedAt+"unavailable/zones")
	s.provider.Breaks(nil)
	back := b.returns(b.begins("/v1/login/oidc?view=/zones"), "alice")
	s.provider.Breaks(func(w http.ResponseWriter) { http.Error(w, "no", http.StatusBadGateway) })
	b.leads("the provider at the end", b.opens(s.broker, back), failedAt+"unavailable/zones")
	s.provider.Breaks(nil)

	back = b.returns(b.begins("/v1/login/oidc?view=/zones"), "alice")
	s.fake.unwritable = errors.New("no space left on device")
	b.leads("an audit log that is required", b.opens(s.broker, back), failedAt+"unavailable/zones")
	if status, _ := b.who(s.broker); status != 401 {
		t.Errorf("a login that is not recorded counts: %d", status)
	}
	if len(s.fake.audits) > 1 {
		t.Errorf("the audit has %+v", s.fake.audits)
	}
}

// TestWithoutAProviderALoginLeadsToThePage, where a token is asked for.
func TestWithoutAProviderALoginLeadsToThePage(t *testing.T) {
	g, _ := loginGuard(access.Admin)
	e := newEdge(t, newFake(), func(o *httpapi.Options) { o.Guard = g })
	for _, path := range []string{"/v1/login/oidc?view=/zones", "/v1/login/oidc/callback?code=a&state=b"} {
		if got := e.do("GET", path, ""); got.status != 303 || !strings.HasPrefix(got.header.Get("Location"), "/ui/") || len(cookies(got)) != 0 {
			t.Errorf("%s: %d %v", path, got.status, got.header)
		}
	}
	if got := e.do("GET", "/v1/login", ""); got.status != 200 || strings.TrimSpace(string(got.body)) != "{}" {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// TestALockedUserHasNoLoginWithTheProvider: a login of before counts no more, and the user, an
// administrator or not, gets no other. The page says why.
func TestALockedUserHasNoLoginWithTheProvider(t *testing.T) {
	var locks *access.UserLocks
	s := newLoginSite(t, func(g *access.Guard) { g.UserLocks = func() *access.UserLocks { return locks } })
	lock := func(ids ...string) {
		byKey := map[string]access.UserLock{}
		for _, id := range ids {
			byKey[access.LockKey(id)] = access.UserLock{UserID: id}
		}
		locks = access.NewUserLocks(byKey, 1)
	}
	lock()
	b := s.browser()
	b.opens(s.broker, b.returns(b.begins("/v1/login/oidc"), "alice"))
	if status, self := b.who(s.broker); status != 200 {
		t.Fatalf("%d %s", status, self)
	}
	lock("u-alice")
	b.opens(s.broker, "/v1/self").expect(t, 403, "user_locked")
	again := s.browser()
	again.leads("a locked user", again.opens(s.broker, again.returns(again.begins("/v1/login/oidc"), "alice")), failedAt+"locked")
	if again.cookies["__Host-greenroom_login"] != nil {
		t.Error("a locked user is logged in")
	}
	if n := len(s.fake.audits); n == 0 || !strings.Contains(s.fake.audits[n-1].Reason, "user_locked") {
		t.Errorf("the audit has %+v", s.fake.audits)
	}
	other := s.browser()
	other.leads("another user", other.opens(s.broker, other.returns(other.begins("/v1/login/oidc"), "bob")), siteURL+"/ui/")
	lock()
	if status, self := b.who(s.broker); status != 200 {
		t.Errorf("after the unlock: %d %s", status, self)
	}
}
