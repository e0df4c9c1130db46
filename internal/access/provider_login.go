package access

import (
	"cmp"
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
	// Finish returns the claims of whoever logged in, for what the provider sends the browser
	// back with.
	Finish(ctx context.Context, a Attempt, r ProviderResponse) (Claims, error)
	// Caller returns the caller that such claims describe.
	Caller(claims Claims) (Caller, error)
}

// ProviderResponse is what a provider sends a browser back with: a code, or an error.
type ProviderResponse struct {
	// Code counts once, for the attempt that it was issued to.
	Code string
	// Error is an error code of OAuth 2.0; "" for none.
	Error string
	// Issuer is the provider's URL, by which it says that the response is its own; "" if it
	// does not.
	Issuer string
}

// Attempt is a login that a browser began and did not finish yet. The browser keeps it
// sealed: whoever comes back without it did not begin here.
type Attempt struct {
	// State comes back with the browser, Nonce in the ID token. Verifier is the secret of
	// PKCE, of which the provider got the hash.
	State, Nonce, Verifier string
	// Page is the page that was asked for. View is its view, such as /sessions; "" for the first.
	Page Page
	View string
}

// Page is a page that browsers log in to.
type Page string

// The pages. The zero value is the operators'.
const (
	PageOperators Page = "operators"
	PageUsers     Page = "users"
)

// LoginFailure is why a login with a provider failed, as the page's URL has it. The page has
// the words for each.
type LoginFailure string

// Why logins fail.
const (
	// LoginOver means that the browser has no attempt that belongs to the response: it took
	// too long, was begun anew in another window, was finished already, or was not begun here.
	LoginOver LoginFailure = "over"
	// LoginDenied means that the provider did not let the user in.
	LoginDenied LoginFailure = "denied"
	// LoginBroken means that the provider reported another error.
	LoginBroken LoginFailure = "broken"
	// LoginRefused means that the provider did not accept the code, or that its answer belongs
	// to another login.
	LoginRefused LoginFailure = "refused"
	// LoginClient means that the provider does not accept the broker's client or its secret.
	LoginClient LoginFailure = "client"
	// LoginClaims means that the claims of the user do not make a caller.
	LoginClaims LoginFailure = "claims"
	// LoginLocked means that an administrator has locked the user out.
	LoginLocked LoginFailure = "locked"
	// LoginTooLong means that the claims do not fit into a browser's cookie.
	LoginTooLong LoginFailure = "long"
	// LoginUnavailable means that the login cannot be checked now.
	LoginUnavailable LoginFailure = "unavailable"
	// LoginTooMany means that too many logins failed from one address.
	LoginTooMany LoginFailure = "many"
)

// FailureOf returns why a login failed, for an error of a Provider or of Guard.
func FailureOf(err error) LoginFailure {
	var refused *RefusedError
	var locked *LockedError
	switch {
	case errors.As(err, &locked):
		return LoginLocked
	case errors.Is(err, ErrLoginOver):
		return LoginOver
	case errors.Is(err, ErrLoginTooLong):
		return LoginTooLong
	case errors.As(err, &refused):
		return cmp.Or(refused.Login, LoginClaims)
	}
	return LoginUnavailable
}

// AttemptLife is how long a browser may take to log in at the provider.
const AttemptLife = 10 * time.Minute

// NewAttempt returns a fresh attempt, which asks for a view of the operators' page.
func NewAttempt(view string) Attempt {
	random := func() string {
		b := make([]byte, 32)
		_, _ = rand.Read(b) // never fails, as crypto/rand documents
		return base64.RawURLEncoding.EncodeToString(b)
	}
	return Attempt{State: random(), Nonce: random(), Verifier: random(), Page: PageOperators, View: view}
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
	return seal(ctx, g, now, sealedAttempt, sealedFor[Attempt]{now.Add(AttemptLife).Unix(), g.Provider.ID(), a})
}

// OpenAttempt opens an attempt. Errors are ErrLoginOver or an *UnavailableError.
func (g Guard) OpenAttempt(ctx context.Context, sealed string, now time.Time) (Attempt, error) {
	return unseal[Attempt](ctx, g, sealedAttempt, sealed, now)
}

// ProviderLogin seals the claims of whoever logged in with the provider for a browser's
// cookie. It lasts LoginLife: neither the provider nor its token is asked again.
func (g Guard) ProviderLogin(ctx context.Context, claims Claims, now time.Time) (string, error) {
	sealed, err := seal(ctx, g, now, sealedClaims, sealedFor[Claims]{now.Add(LoginLife).Unix(), g.Provider.ID(), claims})
	if err == nil && len(sealed) > maxSealed {
		return "", ErrLoginTooLong
	}
	return sealed, err
}

// ProviderCaller returns the caller that the provider's claims make by the mapping of now.
// Errors are a *RefusedError, a *LockedError or an *UnavailableError.
func (g Guard) ProviderCaller(claims Claims) (Caller, error) {
	return g.unlocked(g.Provider.Caller(claims))
}

// IdentifyLogin returns the caller of a login: one with the provider by the mapping of now, one
// with a token as Identify does. Errors are those of Identify, and ErrLoginOver.
func (g Guard) IdentifyLogin(ctx context.Context, sealed string, now time.Time) (Caller, error) {
	if g.Provider != nil {
		claims, err := unseal[Claims](ctx, g, sealedClaims, sealed, now)
		if err == nil {
			return g.ProviderCaller(claims)
		}
		if !errors.Is(err, errNotOpened) {
			return Caller{}, err
		}
	}
	token, err := g.LoginToken(ctx, sealed, now)
	if err != nil {
		return Caller{}, err
	}
	return g.Identify(ctx, token, now)
}

// errNotOpened means that a text was sealed for something else, or elsewhere.
var errNotOpened = fmt.Errorf("%w (not sealed here)", ErrLoginOver)

// seal seals a value of a kind with the key that signs now.
func seal[T any](ctx context.Context, g Guard, now time.Time, kind string, v sealedFor[T]) (string, error) {
	plain, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("encode the %s: %w", kind, err)
	}
	aead, err := g.aead(ctx, now)
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
	aead, err := g.aead(ctx, now)
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
