package issuer

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/greenroom/greenroom/internal/access"
)

// provider serves a discovery document and a key set on loopback, as an identity
// provider does.
type provider struct {
	t      *testing.T
	server *httptest.Server

	mu    sync.Mutex
	keys  jose.JSONWebKeySet
	asked int
	// broken is answered in place of everything.
	broken func(http.ResponseWriter)
}

func newProvider(t *testing.T) *provider {
	p := &provider{t: t}
	p.server = httptest.NewServer(p)
	t.Cleanup(p.server.Close)
	return p
}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	if p.broken != nil {
		p.broken(w)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	var answer any = p.keys
	if r.URL.Path == "/.well-known/openid-configuration" {
		answer = map[string]any{
			"issuer": p.server.URL, "jwks_uri": p.server.URL + "/keys", "authorization_endpoint": p.server.URL + "/auth",
			"token_endpoint": p.server.URL + "/token", "response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
			// It offers what must not be taken as well.
			"id_token_signing_alg_values_supported": []string{"RS256", "HS256", "none"},
		}
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// breaks has it answer otherwise; nil mends it.
func (p *provider) breaks(how func(http.ResponseWriter)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.broken = how
}

func (p *provider) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

// key is one that signs.
type key struct {
	id      string
	private *rsa.PrivateKey
}

func newKey(t *testing.T, id string) key {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key{id, private}
}

// publishes replaces the key set.
func (p *provider) publishes(keys ...key) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys.Keys = nil
	for _, k := range keys {
		p.keys.Keys = append(p.keys.Keys, jose.JSONWebKey{Key: k.private.Public(), KeyID: k.id, Algorithm: "RS256", Use: "sig"})
	}
}

// claims are those of a right token, changed.
func (p *provider) claims(change map[string]any) map[string]any {
	all := map[string]any{
		"iss": p.server.URL, "aud": []string{"other", "greenroom"}, "sub": "u-1", "name": "Alice",
		"exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix(), "groups": []string{"students"}, "roles": []string{"ops"},
	}
	maps.Copy(all, change)
	return all
}

func (k key) signs(t *testing.T, claims map[string]any) string {
	t.Helper()
	return sign(t, jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: k.private, KeyID: k.id}}, claims)
}

func sign(t *testing.T, with jose.SigningKey, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(with, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (p *provider) issuer() *Issuer {
	return New(Settings{URL: p.server.URL, Audience: "greenroom", Mapping: access.Mapping{
		User: "sub", Groups: "groups", Role: "roles", Roles: map[string]access.Role{"boss": access.Admin},
	}})
}

// refused wants a token refused, for good and without a part of it in the reason.
func refused(t *testing.T, i *Issuer, what, jwt string) {
	t.Helper()
	c, err := i.Identify(t.Context(), jwt)
	var no *access.RefusedError
	if !errors.As(err, &no) {
		t.Errorf("%s: %+v, %v", what, c, err)
		return
	}
	for _, part := range strings.Split(jwt, ".") {
		if len(part) > 3 && strings.Contains(no.Reason, part) {
			t.Errorf("%s: the reason has a part of the token: %s", what, no.Reason)
		}
	}
}

func accepted(t *testing.T, i *Issuer, what, jwt string) access.Caller {
	t.Helper()
	c, err := i.Identify(t.Context(), jwt)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	return c
}

// TestOnlyTheIssuersTokensForUsAreTaken within their time.
func TestOnlyTheIssuersTokensForUsAreTaken(t *testing.T) {
	p := newProvider(t)
	first, stranger := newKey(t, "first"), newKey(t, "first")
	p.publishes(first)
	i := p.issuer()

	c := accepted(t, i, "a right one", first.signs(t, p.claims(nil)))
	if c.Role != access.User || c.Subject != "u-1" || c.UserName != "Alice" || len(c.Groups) != 1 {
		t.Errorf("%+v", c)
	}
	if c := accepted(t, i, "one with a role", first.signs(t, p.claims(map[string]any{"roles": "boss"}))); c.Role != access.Admin {
		t.Errorf("%+v", c)
	}
	for what, change := range map[string]map[string]any{
		"another audience":    {"aud": "other"},
		"no audience":         {"aud": nil},
		"another issuer":      {"iss": "https://evil.example"},
		"expired":             {"exp": time.Now().Add(-time.Minute).Unix()},
		"no expiry":           {"exp": nil},
		"not yet":             {"nbf": time.Now().Add(time.Hour).Unix()},
		"no user":             {"sub": nil},
		"a user that is none": {"sub": strings.Repeat("x", 300)},
	} {
		refused(t, i, what, first.signs(t, p.claims(change)))
	}
	right := first.signs(t, p.claims(nil))
	parts := strings.Split(right, ".")
	refused(t, i, "signed by nobody", "eyJhbGciOiJub25lIn0."+parts[1]+".")
	refused(t, i, "nothing of a token", "a.b.c")
	refused(t, i, "another's claims", parts[0]+"."+strings.Split(first.signs(t, p.claims(map[string]any{"roles": "boss"})), ".")[1]+"."+parts[2])
	// The public key as a password: what a verifier that takes any algorithm falls for.
	der, err := json.Marshal(jose.JSONWebKey{Key: first.private.Public()})
	if err != nil {
		t.Fatal(err)
	}
	refused(t, i, "signed with the public key", sign(t, jose.SigningKey{Algorithm: jose.HS256, Key: der}, p.claims(nil)))
	refused(t, i, "signed by a stranger", stranger.signs(t, p.claims(nil)))
}

// TestKeysRotateAndAreKept: a new key is taken at once, an old one no longer; and
// while the issuer is away, those that were seen go on being taken, and of others
// it is said that they cannot be checked, not that they are wrong.
func TestKeysRotateAndAreKept(t *testing.T) {
	p := newProvider(t)
	first, second, third := newKey(t, "first"), newKey(t, "second"), newKey(t, "third")
	p.publishes(first)
	i := p.issuer()
	old := first.signs(t, p.claims(nil))
	accepted(t, i, "the first key's", old)
	p.publishes(second)
	accepted(t, i, "the second key's", second.signs(t, p.claims(nil)))
	refused(t, i, "the first key's, which is published no more", old)

	for what, broken := range map[string]func(http.ResponseWriter){
		"errors":  func(w http.ResponseWriter) { http.Error(w, "no", http.StatusBadGateway) },
		"garbage": func(w http.ResponseWriter) { _, _ = w.Write([]byte("<html>")) },
	} {
		p.breaks(broken)
		accepted(t, i, "the second key's while it answers "+what, second.signs(t, p.claims(nil)))
		var away *access.UnavailableError
		if c, err := i.Identify(t.Context(), third.signs(t, p.claims(nil))); !errors.As(err, &away) {
			t.Errorf("an unknown key's while it answers %s: %+v, %v", what, c, err)
		}
	}
	p.server.Close()
	accepted(t, i, "the second key's while it is away", second.signs(t, p.claims(nil)))
}

// TestABrokerStartsWhileTheIssuerIsAway, and takes tokens once it is there.
func TestABrokerStartsWhileTheIssuerIsAway(t *testing.T) {
	p := newProvider(t)
	k := newKey(t, "k")
	p.publishes(k)
	p.breaks(func(w http.ResponseWriter) { http.Error(w, "no", http.StatusServiceUnavailable) })
	i := p.issuer()
	jwt := k.signs(t, p.claims(nil))
	var away *access.UnavailableError
	if c, err := i.Identify(t.Context(), jwt); !errors.As(err, &away) {
		t.Fatalf("%+v, %v", c, err)
	}
	p.breaks(nil)
	accepted(t, i, "once it is there", jwt)
}

// TestWrongTokensDoNotWearTheIssuerOut: many of them are a few questions.
func TestWrongTokensDoNotWearTheIssuerOut(t *testing.T) {
	p := newProvider(t)
	k, stranger := newKey(t, "k"), newKey(t, "stranger")
	p.publishes(k)
	i := p.issuer()
	right, wrong := k.signs(t, p.claims(nil)), stranger.signs(t, p.claims(nil))
	accepted(t, i, "a right one", right)
	began, before := time.Now(), p.count()
	for range 500 {
		if c, err := i.Identify(t.Context(), wrong); err == nil {
			t.Fatalf("taken as %+v", c)
		}
		accepted(t, i, "a right one among wrong ones", right)
	}
	// The bound holds however long that took.
	if n, most := p.count()-before, questionsBurst+int(time.Since(began)/questionsEvery)+1; n > most {
		t.Errorf("500 wrong tokens made %d questions, want at most %d", n, most)
	}
}
