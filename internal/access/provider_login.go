package access

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Provider is an identity provider with which browsers log in by OpenID Connect. Its errors
// are a *RefusedError or an *UnavailableError.
type Provider interface {
	// Name is the provider's name for people.
	Name() string
	// ID identifies the provider and our client there.
	ID() string
	// Begin returns the provider's URL at which a browser begins a login.
	Begin(ctx context.Context, a Attempt) (url string, err error)
	// Refusal is the error for an error code with which the provider sends a browser back.
	Refusal(code string) *RefusedError
	// Finish returns the claims of whoever logged in, for the code with which the provider
	// sends the browser back.
	Finish(ctx context.Context, a Attempt, code string) (Claims, error)
	// Caller returns the caller that such claims describe.
	Caller(claims Claims) (Caller, error)
}

// Attempt is a login that a browser began and did not finish yet. The browser keeps it
// sealed: whoever comes back without it did not begin here.
type Attempt struct {
	// State comes back with the browser, Nonce in the ID token. Verifier is the secret of
	// PKCE, of which the provider got the hash.
	State, Nonce, Verifier string
}

// AttemptLife is how long a browser may take to log in at the provider.
const AttemptLife = 10 * time.Minute

// NewAttempt returns a fresh attempt.
func NewAttempt() Attempt {
	random := func() string {
		b := make([]byte, 32)
		_, _ = rand.Read(b) // never fails, as crypto/rand documents
		return base64.RawURLEncoding.EncodeToString(b)
	}
	return Attempt{State: random(), Nonce: random(), Verifier: random()}
}

// What is sealed with the secret of logins, beside the tokens of logins. One kind never
// counts as another.
const (
	sealedAttempt = "oidc attempt"
	sealedClaims  = "oidc login"
)

// sealedFor is what is sealed, and until when it counts, in seconds since 1970.
type sealedFor[T any] struct {
	Until int64  `json:"until"`
	Of    string `json:"of"`
	What  T      `json:"what"`
}

// maxSealed bounds the bytes of a cookie's value. With its name and attributes a browser
// keeps 4096.
const maxSealed = 3800

// ErrLoginTooLong means that the claims of a login do not fit into a browser's cookie.
var ErrLoginTooLong = errors.New("the identity provider sends too many groups for a login: have it send fewer to this application")

// SealAttempt seals an attempt for a browser's cookie.
func (g Guard) SealAttempt(ctx context.Context, a Attempt, now time.Time) (string, error) {
	return seal(ctx, g, sealedAttempt, sealedFor[Attempt]{now.Add(AttemptLife).Unix(), g.Provider.ID(), a})
}

// OpenAttempt opens an attempt. Errors are ErrLoginOver or an *UnavailableError.
func (g Guard) OpenAttempt(ctx context.Context, sealed string, now time.Time) (Attempt, error) {
	return unseal[Attempt](ctx, g, sealedAttempt, sealed, now)
}

// ProviderLogin seals the claims of whoever logged in with the provider for a browser's
// cookie. It lasts LoginLife: neither the provider nor its token is asked again.
func (g Guard) ProviderLogin(ctx context.Context, claims Claims, now time.Time) (string, error) {
	sealed, err := seal(ctx, g, sealedClaims, sealedFor[Claims]{now.Add(LoginLife).Unix(), g.Provider.ID(), claims})
	if err == nil && len(sealed) > maxSealed {
		return "", ErrLoginTooLong
	}
	return sealed, err
}

// IdentifyLogin returns the caller of a login with the provider, by the mapping of now.
// ok is false if it is the login of a token. Errors are ErrLoginOver, a *RefusedError or an
// *UnavailableError.
func (g Guard) IdentifyLogin(ctx context.Context, sealed string, now time.Time) (c Caller, ok bool, err error) {
	if g.Provider == nil {
		return Caller{}, false, nil
	}
	claims, err := unseal[Claims](ctx, g, sealedClaims, sealed, now)
	switch {
	case errors.Is(err, errNotOpened):
		return Caller{}, false, nil
	case err != nil:
		return Caller{}, true, err
	}
	c, err = g.Provider.Caller(claims)
	return c, true, err
}

// errNotOpened means that a text was sealed for something else, or elsewhere.
var errNotOpened = fmt.Errorf("%w (not sealed here)", ErrLoginOver)

// seal seals a value of a kind.
func seal[T any](ctx context.Context, g Guard, kind string, v sealedFor[T]) (string, error) {
	plain, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("encode the %s: %w", kind, err)
	}
	aead, err := g.aead(ctx)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(aead.Seal(nil, nil, plain, []byte(kind))), nil
}

// unseal opens what was sealed for a kind and for the guard's provider.
func unseal[T any](ctx context.Context, g Guard, kind, sealed string, now time.Time) (what T, err error) {
	raw, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil {
		return what, errNotOpened
	}
	aead, err := g.aead(ctx)
	if err != nil {
		return what, err
	}
	plain, err := aead.Open(nil, nil, raw, []byte(kind))
	if err != nil {
		return what, errNotOpened
	}
	var v sealedFor[T]
	if err := json.Unmarshal(plain, &v); err != nil || now.Unix() >= v.Until || v.Of != g.Provider.ID() {
		return what, ErrLoginOver
	}
	return v.What, nil
}
