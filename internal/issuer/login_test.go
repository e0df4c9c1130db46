package issuer

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/issuer/issuertest"
)

const callback = "https://greenroom.example.org/v1/login/oidc/callback"

// loginsOf returns a provider that knows the user alice, and an issuer that logs browsers in
// with it.
func loginsOf(t *testing.T, change ...func(*Settings)) (*issuertest.Provider, *Issuer) {
	t.Helper()
	p := issuertest.New(t)
	client := issuertest.Client{ID: "gr", Secret: "hush", Redirect: callback}
	p.LogsIn(issuertest.NewKey(t, "k"), client, map[string]map[string]any{
		"alice": {"sub": "u-1", "name": "Alice", "roles": []string{"boss", "staff"}, "groups": []string{"students"}},
		"bob":   {"sub": "u-2"},
		"none":  {"name": "Nobody"},
	})
	s := Settings{
		URL: p.URL(), Audience: "greenroom",
		Mapping: access.Mapping{User: "sub", Groups: "groups", Role: "roles", Roles: map[string]access.Role{"boss": access.Admin}},
		Login:   &LoginSettings{ClientID: client.ID, ClientSecret: client.Secret, Redirect: callback, Name: "Example SSO", Scopes: []string{"openid", "groups"}},
	}
	for _, c := range change {
		c(&s)
	}
	return p, New(s)
}

// signIn begins a login, and returns what the provider sends the user's browser back with.
func signIn(t *testing.T, p *issuertest.Provider, i *Issuer, a access.Attempt, user string) access.ProviderResponse {
	t.Helper()
	at, err := i.Begin(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	back := p.SignIn(t, at, user)
	if got := back.Query().Get("state"); got != a.State {
		t.Fatalf("the provider sends the state %q back", got)
	}
	return access.ProviderResponse{Code: back.Query().Get("code"), Error: back.Query().Get("error"), Issuer: back.Query().Get("iss")}
}

// TestALoginWithTheIssuer: the browser is sent to the issuer with a state, a nonce and the hash
// of the verifier, and comes back as the caller that a token of the same claims would be.
func TestALoginWithTheIssuer(t *testing.T) {
	p, i := loginsOf(t)
	a := access.NewAttempt("")
	at, err := i.Begin(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	hash := sha256.Sum256([]byte(a.Verifier))
	for name, want := range map[string]string{
		"response_type": "code", "client_id": "gr", "redirect_uri": callback, "scope": "openid groups", "state": a.State, "nonce": a.Nonce,
		"code_challenge_method": "S256", "code_challenge": base64.RawURLEncoding.EncodeToString(hash[:]),
	} {
		if got := u.Query().Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if strings.Contains(at, a.Verifier) || strings.Contains(at, "hush") {
		t.Errorf("the browser gets a secret: %s", at)
	}
	claims, err := i.Finish(t.Context(), a, signIn(t, p, i, a, "alice"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := i.Caller(claims)
	if err != nil || c.Role != access.Admin || c.Subject != "u-1" || c.UserName != "Alice" || claims["groups"] != nil {
		t.Errorf("%+v of %v, %v", c, claims, err)
	}
	a = access.NewAttempt("")
	if claims, err = i.Finish(t.Context(), a, signIn(t, p, i, a, "bob")); err != nil {
		t.Fatal(err)
	}
	if c, err := i.Caller(claims); err != nil || c.Role != access.User || c.Subject != "u-2" {
		t.Errorf("%+v of %v, %v", c, claims, err)
	}
}

// TestOnlyTheAnswerToThisLoginCounts: each login that is not whole fails for its own reason,
// and no reason has a code or a token.
func TestOnlyTheAnswerToThisLoginCounts(t *testing.T) {
	long := func(c map[string]any) { c["aud"], c["azp"] = []string{"gr", "other"}, "other" }
	for what, tt := range map[string]struct {
		user    string
		setUp   func(*Settings)
		changes func(claims map[string]any)
		attempt func(*access.Attempt)
		answer  func(*access.ProviderResponse)
		want    access.LoginFailure
	}{
		"the user cancels":         {user: "nobody", want: access.LoginDenied},
		"another error":            {answer: func(r *access.ProviderResponse) { r.Error = "server_error" }, want: access.LoginBroken},
		"an error of a stranger":   {answer: func(r *access.ProviderResponse) { r.Error = "<b>call 555-0100</b>" }, want: access.LoginBroken},
		"no code":                  {answer: func(r *access.ProviderResponse) { r.Code = "" }, want: access.LoginBroken},
		"an invented code":         {answer: func(r *access.ProviderResponse) { r.Code = "invented" }, want: access.LoginRefused},
		"another issuer's answer":  {answer: func(r *access.ProviderResponse) { r.Issuer = "https://evil.example" }, want: access.LoginRefused},
		"another PKCE verifier":    {attempt: func(a *access.Attempt) { a.Verifier = access.NewAttempt("").Verifier }, want: access.LoginRefused},
		"no PKCE verifier":         {attempt: func(a *access.Attempt) { a.Verifier = "" }, want: access.LoginRefused},
		"another nonce":            {attempt: func(a *access.Attempt) { a.Nonce = access.NewAttempt("").Nonce }, want: access.LoginRefused},
		"a token without nonce":    {changes: func(c map[string]any) { delete(c, "nonce") }, want: access.LoginRefused},
		"a token for tokens":       {changes: func(c map[string]any) { c["aud"] = "greenroom" }, want: access.LoginRefused},
		"a token of another party": {changes: long, want: access.LoginRefused},
		"a token of another":       {changes: func(c map[string]any) { c["iss"] = "https://evil.example" }, want: access.LoginRefused},
		"an old token":             {changes: func(c map[string]any) { c["exp"] = time.Now().Add(-time.Hour).Unix() }, want: access.LoginRefused},
		"a user without an id":     {user: "none", want: access.LoginClaims},
		"a wrong secret":           {setUp: func(s *Settings) { s.Login.ClientSecret = "wrong" }, want: access.LoginClient},
		"no secret":                {setUp: func(s *Settings) { s.Login.ClientSecret = "" }, want: access.LoginClient},
	} {
		t.Run(what, func(t *testing.T) {
			p, i := loginsOf(t)
			if tt.setUp != nil {
				tt.setUp(&i.s)
			}
			a := access.NewAttempt("")
			user := "alice"
			if tt.user != "" {
				user = tt.user
			}
			r := signIn(t, p, i, a, user)
			p.Changes(tt.changes)
			if tt.attempt != nil {
				tt.attempt(&a)
			}
			if tt.answer != nil {
				tt.answer(&r)
			}
			claims, err := i.Finish(t.Context(), a, r)
			if err == nil || access.FailureOf(err) != tt.want {
				t.Fatalf("%v, %v: want %s", claims, err, tt.want)
			}
			for _, s := range append(p.Secrets(), "hush", "invented", "555") {
				if s != "" && strings.Contains(err.Error(), s) {
					t.Errorf("the reason has %q: %v", s, err)
				}
			}
		})
	}
}

// TestACodeCountsOnce: who sees it in a browser cannot use it again.
func TestACodeCountsOnce(t *testing.T) {
	p, i := loginsOf(t)
	a := access.NewAttempt("")
	r := signIn(t, p, i, a, "alice")
	if _, err := i.Finish(t.Context(), a, r); err != nil {
		t.Fatal(err)
	}
	if _, err := i.Finish(t.Context(), a, r); access.FailureOf(err) != access.LoginRefused {
		t.Errorf("the second time: %v", err)
	}
}

// TestAnIssuerThatIsAwayRefusesNoLogin: it is to be tried again.
func TestAnIssuerThatIsAwayRefusesNoLogin(t *testing.T) {
	p, i := loginsOf(t)
	p.Breaks(func(w http.ResponseWriter) { http.Error(w, "no", http.StatusBadGateway) })
	var away *access.UnavailableError
	if at, err := i.Begin(t.Context(), access.NewAttempt("")); !errors.As(err, &away) {
		t.Fatalf("%s, %v", at, err)
	}
	p.Breaks(nil)
	a := access.NewAttempt("")
	r := signIn(t, p, i, a, "alice")
	for what, broken := range map[string]func(http.ResponseWriter){
		"errors": func(w http.ResponseWriter) { http.Error(w, "no", http.StatusBadGateway) },
		"a redirect": func(w http.ResponseWriter) {
			w.Header().Set("Location", "https://evil.example")
			w.WriteHeader(http.StatusTemporaryRedirect)
		},
		"a page":      func(w http.ResponseWriter) { _, _ = w.Write([]byte("<html>")) },
		"too many":    func(w http.ResponseWriter) { w.WriteHeader(http.StatusTooManyRequests) },
		"other JSON":  func(w http.ResponseWriter) { _, _ = w.Write([]byte("{}")) },
		"half a page": func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadRequest); _, _ = w.Write([]byte("<html>")) },
	} {
		p.Breaks(broken)
		if claims, err := i.Finish(t.Context(), a, r); !errors.As(err, &away) || access.FailureOf(err) != access.LoginUnavailable {
			t.Errorf("%s: %v, %v", what, claims, err)
		}
	}
	p.Breaks(nil)
	if _, err := i.Finish(t.Context(), a, r); err != nil {
		t.Error(err)
	}
}

// TestCodesOfStrangersDoNotStopTokens: many invented codes cause few requests, and tokens are
// checked meanwhile.
func TestCodesOfStrangersDoNotStopTokens(t *testing.T) {
	p, i := loginsOf(t)
	k := issuertest.NewKey(t, "tokens")
	a := access.NewAttempt("")
	signIn(t, p, i, a, "alice") // reads the discovery document
	began, before := time.Now(), p.Count()
	for range 300 {
		if _, err := i.Finish(t.Context(), a, access.ProviderResponse{Code: "invented"}); err == nil {
			t.Fatal("an invented code counts")
		}
	}
	if n, limit := p.Count()-before, exchangeBurst+int(time.Since(began)/exchangeInterval)+1; n > limit {
		t.Errorf("300 invented codes caused %d requests, want at most %d", n, limit)
	}
	p.Publishes(k)
	accepted(t, i, "a token", k.Signs(t, p.Claims(nil)))
}

// TestHowTheClientAuthenticates: by the way that the issuer supports, and as a public client
// without a secret.
func TestHowTheClientAuthenticates(t *testing.T) {
	for _, tt := range []struct {
		supported []string
		secret    string
		inParams  bool
	}{
		{nil, "hush", false},
		{[]string{"client_secret_basic", "client_secret_post"}, "hush", false},
		{[]string{"client_secret_post"}, "hush", true},
		{nil, "", true},
		{[]string{"none"}, "", true},
	} {
		if got := authStyle(tt.supported, tt.secret); (got == 1) != tt.inParams {
			t.Errorf("%v with the secret %q: %v", tt.supported, tt.secret, got)
		}
	}
	p, i := loginsOf(t, func(s *Settings) { s.Login.ClientSecret, s.Login.Scopes, s.Login.Name = "", nil, "" })
	p.LogsIn(issuertest.NewKey(t, "k"), issuertest.Client{ID: "gr", Redirect: callback}, map[string]map[string]any{"alice": {"sub": "u-1"}})
	a := access.NewAttempt("")
	at, err := i.Begin(t.Context(), a)
	if err != nil || !slices.Equal(strings.Fields(mustParse(t, at).Query().Get("scope")), []string{"openid", "profile"}) {
		t.Errorf("%s, %v", at, err)
	}
	if _, err := i.Finish(t.Context(), a, signIn(t, p, i, a, "alice")); err != nil {
		t.Error(err)
	}
	if host := mustParse(t, p.URL()).Host; i.Name() != host {
		t.Errorf("without a name it is %q, want %q", i.Name(), host)
	}
}

func mustParse(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
