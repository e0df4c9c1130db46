// Package issuertest serves an OpenID Connect issuer on loopback, for tests. It serves a
// discovery document and a key set by HTTP, signs valid and invalid tokens, and logs browsers
// in to a client.
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

	mu       sync.Mutex
	keys     jose.JSONWebKeySet
	requests int
	// login is nil if the provider logs nobody in.
	login *login
	// broken, if set, handles every request.
	broken func(http.ResponseWriter)
}

// New starts a provider, which is closed when the test ends.
func New(t *testing.T) *Provider {
	p := &Provider{t: t}
	p.server = httptest.NewServer(p)
	t.Cleanup(p.server.Close)
	return p
}

// URL returns the issuer's URL.
func (p *Provider) URL() string { return p.server.URL }

// Close stops the provider before the test ends.
func (p *Provider) Close() { p.server.Close() }

// ServeHTTP implements http.Handler.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests++
	if p.broken != nil {
		p.broken(w)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	switch {
	case p.login != nil && r.URL.Path == "/auth":
		p.login.authorize(w, r, p.server.URL)
		return
	case p.login != nil && r.URL.Path == "/token":
		p.login.token(w, r, p.server.URL)
		return
	}
	var answer any = p.keys
	if r.URL.Path == "/.well-known/openid-configuration" {
		answer = map[string]any{
			"issuer": p.server.URL, "jwks_uri": p.server.URL + "/keys", "authorization_endpoint": p.server.URL + "/auth",
			"token_endpoint": p.server.URL + "/token", "response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
			// HS256 and none must not be accepted.
			"id_token_signing_alg_values_supported": []string{"RS256", "HS256", "none"},
		}
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// Breaks makes the provider answer every request with how; nil restores it.
func (p *Provider) Breaks(how func(http.ResponseWriter)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.broken = how
}

// Count returns the number of requests.
func (p *Provider) Count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.requests
}

// Key is a private key that signs tokens.
type Key struct {
	ID      string
	Private *rsa.PrivateKey
}

// NewKey creates a key.
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

// Claims returns the claims of a valid token for the audience greenroom, with change
// applied.
func (p *Provider) Claims(change map[string]any) map[string]any {
	all := map[string]any{
		"iss": p.server.URL, "aud": []string{"other", "greenroom"}, "sub": "u-1", "name": "Alice",
		"exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix(), "groups": []string{"students"}, "roles": []string{"ops"},
	}
	maps.Copy(all, change)
	return all
}

// Signs returns a token with the claims, signed with the key.
func (k Key) Signs(t *testing.T, claims map[string]any) string {
	t.Helper()
	return Sign(t, k.signing(), claims)
}

func (k Key) signing() jose.SigningKey {
	return jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: k.Private, KeyID: k.ID}}
}

func (k Key) sign(claims map[string]any) (string, error) { return sign(k.signing(), claims) }

// Sign returns a token with the claims, signed by the given algorithm and key.
func Sign(t *testing.T, with jose.SigningKey, claims map[string]any) string {
	t.Helper()
	text, err := sign(with, claims)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func sign(with jose.SigningKey, claims map[string]any) (string, error) {
	signer, err := jose.NewSigner(with, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}
