// Package issuertest serves an OpenID Connect issuer on loopback, for tests: a
// discovery document and a key set over HTTP, as an identity provider does, and
// tokens that are signed with its keys, or wrongly.
package issuertest

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Provider is an identity provider on loopback.
type Provider struct {
	t      *testing.T
	server *httptest.Server

	mu    sync.Mutex
	keys  jose.JSONWebKeySet
	asked int
	// broken is answered in place of everything.
	broken func(http.ResponseWriter)
}

// New starts one, which ends with its test.
func New(t *testing.T) *Provider {
	p := &Provider{t: t}
	p.server = httptest.NewServer(p)
	t.Cleanup(p.server.Close)
	return p
}

// URL is the issuer's.
func (p *Provider) URL() string { return p.server.URL }

// Close ends it early.
func (p *Provider) Close() { p.server.Close() }

// ServeHTTP implements http.Handler.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
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

// Breaks has it answer otherwise; nil mends it.
func (p *Provider) Breaks(how func(http.ResponseWriter)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.broken = how
}

// Count is how often it was asked.
func (p *Provider) Count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

// Key is one that signs.
type Key struct {
	ID      string
	Private *rsa.PrivateKey
}

// NewKey makes a key.
func NewKey(t *testing.T, id string) Key {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return Key{id, private}
}

// Publishes replaces the key set.
func (p *Provider) Publishes(keys ...Key) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys.Keys = nil
	for _, k := range keys {
		p.keys.Keys = append(p.keys.Keys, jose.JSONWebKey{Key: k.Private.Public(), KeyID: k.ID, Algorithm: "RS256", Use: "sig"})
	}
}

// Claims are those of a token that is right, for the audience greenroom, changed.
func (p *Provider) Claims(change map[string]any) map[string]any {
	all := map[string]any{
		"iss": p.server.URL, "aud": []string{"other", "greenroom"}, "sub": "u-1", "name": "Alice",
		"exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix(), "groups": []string{"students"}, "roles": []string{"ops"},
	}
	maps.Copy(all, change)
	return all
}

// Signs makes a token of claims.
func (k Key) Signs(t *testing.T, claims map[string]any) string {
	t.Helper()
	return Sign(t, jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: k.Private, KeyID: k.ID}}, claims)
}

// Sign makes a token of claims, signed as with says.
func Sign(t *testing.T, with jose.SigningKey, claims map[string]any) string {
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
